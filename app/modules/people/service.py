"""The rules of people: who there is, and what they told."""

import re
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from uuid import UUID

from msgspec import UNSET
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import scope_of
from app.core.errors import Conflict, Invalid, NotFound
from app.core.etag import Expected, require
from app.core.ids import new_id
from app.core.live import signal
from app.core.paging import Page, Pager, Sorts
from app.core.policy import Actor
from app.core.queries import at_once, text_of
from app.core.wire import one_line, reason_of
from app.modules.access.service import erase_person
from app.modules.audit.service import record
from app.modules.email.service import forget
from app.modules.factors.service import OneTimeCodes, SecondFactor
from app.modules.people import repository
from app.modules.people.models import User, UserConsent, UserProfile
from app.modules.people.schemas import (
    MAX_ABOUT,
    MAX_NAME,
    MAX_PHONE,
    PURPOSES,
    ConsentChange,
    ConsentRead,
    ProfileChange,
    UserChange,
    read_consent,
)
from app.modules.sessions.service import TOPIC, Session, SessionBook, SessionFilter, end_all
from app.queues.timing import checked_zone

__all__ = [
    "PURPOSES",
    "TOPIC",
    "ConsentChange",
    "ConsentRead",
    "People",
    "ProfileChange",
    "User",
    "UserProfile",
    "read_consent",
]
# Without what separates or quotes addresses in a header, where one would become several, or another.
_SIGN = r"[^@\s\x00-\x1f\x7f<>()\[\]\\,;:\"?]"
_EMAIL = re.compile(rf"{_SIGN}{{1,64}}@{_SIGN}{{1,255}}")
SORTS = Sorts("-createdAt", {"createdAt": User.id, "name": User.name, "email": User.email})
_PHONE = re.compile(r"\+?[\d ()/.-]{3,40}")


def plain_email(text: str, field: str = "email") -> str:
    """An address as it is kept.

    Raises:
        Invalid: it is none.
    """
    found = text.strip().lower()
    if not _EMAIL.fullmatch(found):
        raise Invalid.field(field, "is not an e-mail address")
    return found


async def user_by_email(session: AsyncSession, email: str) -> User | None:
    found = email.strip().lower()
    query = select(User).where(User.email == found)
    return (await session.scalars(query)).one_or_none() if _EMAIL.fullmatch(found) else None


async def owner_exists(session: AsyncSession) -> bool:
    return bool(await session.scalar(select(User.id).where(User.role == "owner").limit(1)))


class People:
    """People, in the caller's transaction. Every change is audited in it."""

    def __init__(self, session: AsyncSession, actor: Actor) -> None:
        self._session = session
        self._actor = actor

    async def search(
        self,
        pager: Pager,
        *,
        text: str | None = None,
        role: str | None = None,
        state: str | None = None,
        limit: int = 25,
        cursor: str | None = None,
    ) -> Page[User]:
        """`text` is looked for in name and e-mail.

        Raises:
            Invalid (`q`).
        """
        text = text_of("q", text)
        query, of = repository.users(text, role, state), f"users {text} {role} {state}"
        return await pager.page(self._session, query, key=User.id, of=of, limit=limit, cursor=cursor, sorts=SORTS)

    async def sessions(
        self,
        pager: Pager,
        wanted: SessionFilter,
        user_id: UUID | None = None,
        *,
        text: str | None = None,
        limit: int = 25,
        cursor: str | None = None,
    ) -> Page[Session]:
        """Where people, or one of them, are or were signed in; `text` is a part of the person's name or e-mail.

        Raises:
            Invalid: naming `q` or `device`.
        """
        text = text_of("q", text)
        among = repository.ids(text) if text else None
        book = SessionBook(self._session, self._actor)
        return await book.search(pager, user_id, wanted, among=among, of=text or "", limit=limit, cursor=cursor)

    async def get(self, user_id: UUID, *, lock: bool = False) -> User:
        """
        Raises:
            NotFound.
        """
        query = select(User).where(User.id == user_id)
        found = (await self._session.scalars(query.with_for_update() if lock else query)).one_or_none()
        if found is None:
            raise NotFound("There is no such person")
        return found

    async def by_ids(self, ids: Collection[UUID]) -> dict[UUID, User]:
        return {row.id: row for row in await self._session.scalars(select(User).where(User.id.in_(ids)))}

    async def find(self, name: str) -> User:
        """By e-mail or id, as people write it on a command line.

        Raises:
            NotFound.
        """
        found = await user_by_email(self._session, name)
        if found is None:
            try:
                return await self.get(UUID(name))
            except ValueError:
                raise NotFound("There is no such person") from None
        return found

    async def add(
        self, email: str, name: str, *, role: str = "user", phone: str | None = None, password_hash: str | None = None
    ) -> User:
        """Write a person down, without a row in the audit log: the caller knows what it was.

        Raises:
            Invalid: naming `email`, `name` or `phone`. Conflict (`email_taken`).
        """
        user = User(
            id=new_id(),
            email=await self._free_email(email),
            name=one_line("name", name, MAX_NAME),
            phone=_phone(phone),
            role=role,
            password_hash=password_hash,
        )
        self._session.add(user)
        await self._session.flush()
        await self._session.refresh(user)
        self._tell(user)
        return user

    async def create(self, email: str, name: str, *, phone: str | None = None) -> User:
        """Make a person, who gets a mail with a link to set a password.

        Raises:
            Invalid: naming `email`, `name` or `phone`. Conflict (`email_taken`).
        """
        user = await self.add(email, name, phone=phone)
        await self.welcome(user)
        after = {"email": user.email, "name": user.name, "phone": user.phone}
        await record(self._session, self._actor, "owner.user.create", resource=_resource(user), after=after)
        return user

    async def welcome(self, user: User) -> None:
        props = {"by": self._actor.label}
        await OneTimeCodes(self._session).issue("welcome", user.email, user.id, mail=True, props=props)

    async def send_reset(self, user_id: UUID) -> User:
        """Mail the person a link that sets a new password.

        Raises:
            NotFound. Conflict (`user_banned`).
        """
        user = await self.get(user_id)
        if user.disabled_at is not None:
            raise Conflict("A banned person gets no mails", code="user_banned")
        await OneTimeCodes(self._session).issue("reset", user.email, user.id, mail=True)
        await record(self._session, self._actor, "owner.user.reset", resource=_resource(user))
        return user

    async def update(self, user_id: UUID, change: UserChange, *, expected: Expected = None) -> User:
        """Change what `change` names; nothing new makes no new version.

        Raises:
            NotFound, Stale, Invalid, Conflict (`email_taken`).
        """
        user = await self.get(user_id, lock=True)
        require(user.version, expected, "person")
        before = {"name": user.name, "email": user.email, "phone": user.phone}
        user.name = user.name if change.name is UNSET else one_line("name", change.name, MAX_NAME)
        user.email = user.email if change.email is UNSET else await self._free_email(change.email, user)
        user.phone = user.phone if change.phone is UNSET else _phone(change.phone)
        after = {"name": user.name, "email": user.email, "phone": user.phone}
        if after != before:
            await self._session.flush()
            await self._session.refresh(user)
            await self._trace("owner.user.update", user, before, after)
        return user

    async def set_role(self, user_id: UUID, role: str) -> User:
        """Make a person an owner, operator or auditor of the platform, or an ordinary person. Its sessions end.

        Raises:
            NotFound. Conflict (`last_owner`, `own_account`).
        """
        user = await self.get(user_id, lock=True)
        if user.id == self._actor.id:
            raise Conflict("Nobody changes their own role", code="own_account")
        if user.role == "owner" and role != "owner":
            await self._leave_an_owner(user)
        if user.role != role:
            before, user.role = user.role, role
            await self._session.flush()
            await self._session.refresh(user)
            await end_all(self._session, user.id)
            await self._trace("owner.user.role", user, {"role": before}, {"role": role})
        return user

    async def ban(self, user_id: UUID, reason: str = "") -> User:
        """Let the person in no more; every session ends at once. Banning who is banned changes nothing.

        Raises:
            NotFound. Invalid (`reason`). Conflict (`last_owner`, `own_account`).
        """
        user = await self.get(user_id, lock=True)
        if user.id == self._actor.id:
            raise Conflict("Nobody bans themselves", code="own_account")
        if user.role == "owner":
            await self._leave_an_owner(user)
        why = reason_of(reason)
        if user.disabled_at is None:
            user.disabled_at, user.disabled_reason = datetime.now(UTC), why
            await self._session.flush()
            await self._session.refresh(user)
            ended = await end_all(self._session, user.id)
            after = {"state": "banned", "sessions_ended": ended}
            await self._trace("owner.user.ban", user, {"state": "active"}, after, reason=user.disabled_reason)
        return user

    async def unban(self, user_id: UUID) -> User:
        """Let the person in again.

        Raises:
            NotFound.
        """
        user = await self.get(user_id, lock=True)
        if user.disabled_at is not None:
            user.disabled_at = user.disabled_reason = None
            await self._session.flush()
            await self._session.refresh(user)
            await self._trace("owner.user.unban", user, {"state": "banned"}, {"state": user.state})
        return user

    async def ban_many(self, ids: Collection[UUID], reason: str = "") -> int:
        """Let these people in no more, all of them or nobody; returns how many were not banned before.

        Raises:
            NotFound: one is nobody. Invalid (`ids`, `reason`). Conflict (`last_owner`, `own_account`).
        """
        return await self._each(ids, banned=False, act=lambda user_id: self.ban(user_id, reason))

    async def unban_many(self, ids: Collection[UUID]) -> int:
        """Let these people in again; returns how many were banned.

        Raises:
            NotFound: one is nobody. Invalid (`ids`).
        """
        return await self._each(ids, banned=True, act=self.unban)

    async def _each(self, ids: Collection[UUID], *, banned: bool, act: Callable[[UUID], Awaitable[User]]) -> int:
        chosen = at_once(ids)
        query = select(User).where(User.id.in_(chosen)).order_by(User.id).with_for_update()
        people = (await self._session.scalars(query)).all()
        if len(people) != len(chosen):
            raise NotFound("There is no such person")
        others = [user.id for user in people if (user.disabled_at is not None) == banned]
        for user_id in others:
            await act(user_id)
        return len(others)

    async def drop_factor(self, user_id: UUID) -> User:
        """Switch the person's second factor off, for one who lost it; their sessions end.

        Raises:
            NotFound.
        """
        user = await self.get(user_id, lock=True)
        if await SecondFactor(self._session, user.id).disable():
            await end_all(self._session, user.id)
            await self._trace("owner.user.factor_reset", user, {"second_factor": True}, {"second_factor": False})
        return user

    async def erase(self, user_id: UUID) -> None:
        """Delete a person with all that hangs on the account: sessions, devices, factors, profile and consents.

        What names the person in the audit and the access log is blanked, and the seals hold.

        Raises:
            NotFound. Conflict (`last_owner`, `own_account`).
        """
        user = await self.get(user_id, lock=True)
        if user.id == self._actor.id:
            raise Conflict("Nobody deletes their own account here", code="own_account")
        if user.role == "owner":
            await self._leave_an_owner(user)
        await forget(self._session, recipient=user.email)
        await self._session.delete(user)
        await self._session.flush()
        resource = ("user", user.id, None)
        await record(self._session, self._actor, "owner.user.erase", resource=resource)
        # A name of one word may be a part of other words, which would go with it.
        full_name = [user.name] if " " in user.name else []
        await erase_person(self._session, self._actor, user.id, [user.email, *full_name])
        self._tell(user)

    async def factor(self, user_id: UUID) -> bool:
        """Whether the person has a second factor."""
        return await SecondFactor(self._session, user_id).is_on()

    async def profile(self, user_id: UUID) -> UserProfile:
        """What the person told; the defaults where that is nothing."""
        found = await self._session.get(UserProfile, user_id)
        return found or UserProfile(user_id=user_id, timezone="UTC", about="")

    async def set_profile(self, change: ProfileChange) -> User:
        """Change what the actor tells about itself.

        Raises:
            Conflict (`no_session`): nobody is signed in.
            Invalid: naming `name`, `phone`, `timezone` or `about`.
        """
        user = await self._me()
        row = await self._session.get(UserProfile, user.id, with_for_update=True)
        if row is None:
            row = UserProfile(user_id=user.id, timezone="UTC", about="")
            self._session.add(row)
        before = {"name": user.name, "phone": user.phone, "timezone": row.timezone, "about": row.about}
        user.name = user.name if change.name is UNSET else one_line("name", change.name, MAX_NAME)
        user.phone = user.phone if change.phone is UNSET else _phone(change.phone)
        row.timezone = row.timezone if change.timezone is UNSET else checked_zone(change.timezone)
        row.about = row.about if change.about is UNSET else _text("about", change.about, MAX_ABOUT)
        after = {"name": user.name, "phone": user.phone, "timezone": row.timezone, "about": row.about}
        if after != before:
            await self._session.flush()
            await self._trace("account.profile.update", user, before, after)
        return user

    async def consents(self, user_id: UUID) -> dict[str, UserConsent]:
        """The newest answer to each purpose."""
        rows = await self._session.scalars(repository.newest_consents(user_id))
        return {row.purpose: row for row in rows}

    async def answers(self, user_id: UUID) -> Sequence[UserConsent]:
        """Every answer that the person gave, the oldest first."""
        query = select(UserConsent).where(UserConsent.user_id == user_id).order_by(UserConsent.id)
        return (await self._session.scalars(query)).all()

    async def consent(self, purpose: str, granted: bool, address: str | None) -> UserConsent:
        """Note the actor's answer to the present text of a purpose. The same answer again changes nothing.

        Raises:
            Conflict (`no_session`): nobody is signed in. NotFound: there is no such purpose.
        """
        user = await self._me()
        text = next((each for each in PURPOSES if each.name == purpose), None)
        if text is None:
            raise NotFound("There is no such purpose")
        last = (await self.consents(user.id)).get(purpose)
        if last is not None and (last.granted, last.text_version) == (granted, text.version):
            return last
        row = UserConsent(
            id=new_id(), user_id=user.id, purpose=purpose, text_version=text.version, granted=granted, ip=address
        )
        self._session.add(row)
        await self._session.flush()
        await self._session.refresh(row)
        before = {purpose: last.granted, "version": last.text_version} if last else None
        after = {purpose: granted, "version": text.version}
        await self._trace("account.consent.update", user, before, after)
        return row

    async def _me(self) -> User:
        if self._actor.id is None or self._actor.kind != "user":
            raise Conflict("Only a signed-in person has an account", code="no_session")
        return await self.get(self._actor.id, lock=True)

    async def _free_email(self, email: str, of: User | None = None) -> str:
        found = plain_email(email)
        holder = await user_by_email(self._session, found)
        if holder is not None and holder is not of:
            raise Conflict("There is an account with this e-mail already", code="email_taken")
        return found

    async def _leave_an_owner(self, user: User) -> None:
        if not await repository.other_owners(self._session, user.id):
            raise Conflict("This is the last owner: make another one first", code="last_owner")

    async def _trace(
        self,
        action: str,
        user: User,
        before: Mapping[str, object] | None,
        after: Mapping[str, object],
        reason: str | None = None,
    ) -> None:
        resource = _resource(user)
        old = dict(before) if before else None
        await record(
            self._session, self._actor, action, resource=resource, before=old, after=dict(after), reason=reason
        )
        self._tell(user)

    def _tell(self, user: User) -> None:
        signal(self._session, TOPIC, user.id, scope_of(self._session).tenant_id)


def _resource(user: User) -> tuple[str, UUID, str]:
    return ("user", user.id, user.email)


def _phone(text: str | None) -> str | None:
    found = (text or "").strip()
    if found and (len(found) > MAX_PHONE or not _PHONE.fullmatch(found)):
        raise Invalid.field("phone", "is not a phone number")
    return found or None


def _text(field: str, text: str, longest: int) -> str:
    found = text.replace("\r\n", "\n").strip()  # as browsers send the end of a line, which they count as one
    if len(found) > longest or "\0" in found:
        raise Invalid.field(field, f"must have at most {longest} characters that can be stored")
    return found
