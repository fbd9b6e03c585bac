"""The rules of one's own account: what a signed-in person sees of it and may do with it."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import Conflict, Invalid
from app.core.paging import Pager
from app.core.policy import Actor
from app.modules.account.schemas import AccountExport, AccountRead, PurposeRead
from app.modules.audit.service import record
from app.modules.factors.service import Enrolment, SecondFactor
from app.modules.people.service import PURPOSES, People, read_consent
from app.modules.sessions.service import SessionBook, read_device, read_session


class Account:
    """The actor's own account. Whoever is no person has none: 409 `no_session`."""

    def __init__(self, session: AsyncSession, actor: Actor) -> None:
        self._session = session
        self._actor = actor
        self.people = People(session, actor)
        self.book = SessionBook(session, actor)

    @property
    def me(self) -> UUID:
        """
        Raises:
            Conflict (`no_session`): nobody is signed in; tokens have no account.
        """
        if self._actor.kind != "user" or self._actor.id is None or self._actor.session is None:
            raise Conflict("Only a signed-in person has an account", code="no_session")
        return self._actor.id

    async def read(self) -> AccountRead:
        user, profile, factor = await self.people.get(self.me), await self.people.profile(self.me), self._factor
        return AccountRead(
            id=str(user.id),
            email=user.email,
            name=user.name,
            phone=user.phone,
            role=user.role,
            timezone=profile.timezone,
            about=profile.about,
            second_factor=await factor.is_on(),
            recovery_codes_left=await factor.codes_left(),
        )

    async def begin_factor(self) -> Enrolment:
        """A fresh secret for an authenticator app.

        Raises:
            Conflict (`factor_on`).
        """
        return await self._factor.begin(self._actor.label)

    async def enable_factor(self, code: str) -> list[str]:
        """Switch the second factor on; returns the recovery codes. Other sessions end.

        Raises:
            Invalid (`code`). Conflict (`factor_on`, `factor_not_begun`).
        """
        codes = await self._factor.enable(code)
        if codes is None:
            raise Invalid.field("code", "is not the code that the app shows now")
        await self._trace("account.factor.enable", {"second_factor": False}, {"second_factor": True})
        await self.book.revoke_others(self.me, self.book.here)
        return codes

    async def disable_factor(self) -> None:
        if await self._factor.disable():
            await self._trace("account.factor.disable", {"second_factor": True}, {"second_factor": False})

    async def renew_codes(self) -> list[str]:
        """
        Raises:
            Conflict (`factor_off`): recovery codes stand in for a second factor, and there is none.
        """
        if not await self._factor.is_on():
            raise Conflict("Switch the second factor on first", code="factor_off")
        codes = await self._factor.renew_codes()
        await self._trace("account.recovery.renew", None, {"recovery_codes": len(codes)})
        return codes

    async def purposes(self) -> Sequence[PurposeRead]:
        """What can be agreed to, with the last answers."""
        given = await self.people.consents(self.me)
        return [
            PurposeRead(
                purpose=each.name,
                text=each.text,
                version=each.version,
                granted=given[each.name].granted if each.name in given else None,
                answered_version=given[each.name].text_version if each.name in given else None,
                answered_at=given[each.name].created_at if each.name in given else None,
            )
            for each in PURPOSES
        ]

    async def export(self, pager: Pager) -> AccountExport:
        """All that is stored about the person's account; of devices and open sessions the newest hundred."""
        sessions = await self.book.search(pager, self.me, limit=100)
        return AccountExport(
            account=await self.read(),
            consents=[read_consent(row) for row in await self.people.answers(self.me)],
            devices=[read_device(row) for row in await self.book.devices(self.me)],
            sessions=[read_session(row) for row in sessions.items],
        )

    @property
    def _factor(self) -> SecondFactor:
        return SecondFactor(self._session, self.me)

    async def _trace(self, action: str, before: dict[str, Any] | None, after: dict[str, Any]) -> None:
        resource = ("user", self.me, self._actor.label)
        await record(self._session, self._actor, action, resource=resource, before=before, after=after)
