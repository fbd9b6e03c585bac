"""`/api/account`: what signed-in people do with their own accounts."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from litestar import Controller, Request, Response, delete, get, patch, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from app.core.paging import Pager
from app.core.policy import SIGNED_IN, Actor
from app.core.settings import Settings
from app.modules.account.schemas import (
    AccountExport,
    AccountRead,
    Confirmation,
    FactorBegun,
    FactorCode,
    PasswordChange,
    PurposeRead,
    RecoveryCodes,
)
from app.modules.account.service import Account
from app.modules.identity.service import IdentityService, SignIn
from app.modules.people.service import ConsentChange, ConsentRead, ProfileChange, read_consent
from app.modules.sessions.service import DeviceRead, SessionPage, read_device, read_session, session_cookie


class AccountController(Controller):
    path = "/api/account"
    include_in_schema = True

    @get("/", permission=SIGNED_IN)
    async def show(self, account: NamedDependency[Account]) -> AccountRead:
        """Read the signed-in person's account. Tokens have none: 409."""
        return await account.read()

    @patch("/", permission=SIGNED_IN, audit="account.profile.update")
    async def update(self, account: NamedDependency[Account], data: JSONBody[ProfileChange]) -> AccountRead:
        """Change what the signed-in person tells about itself."""
        await account.people.set_profile(data)
        return await account.read()

    @put("/password", permission=SIGNED_IN, audit="owner.password.change", status_code=204)
    async def change_password(
        self,
        actor: NamedDependency[Actor],
        settings: NamedDependency[Settings],
        door: NamedDependency[SignIn],
        identity: NamedDependency[IdentityService],
        data: JSONBody[PasswordChange],
    ) -> Response[None]:
        """Change the password, end the person's other sessions, and give this one another cookie.

        Of who has a second factor it wants a fresh confirmation, as dangerous changes do: 403 `step_up_required`.
        """
        await door.confirm_password(actor, data.current)
        secret = await identity.change_password(data.password)
        return Response(None, status_code=204, cookies=[session_cookie(secret, settings)])

    @post("/confirmation", permission=SIGNED_IN, audit="session.confirm", status_code=204)
    async def confirm(
        self, actor: NamedDependency[Actor], door: NamedDependency[SignIn], data: JSONBody[Confirmation]
    ) -> None:
        """Confirm that it is still the same person; dangerous changes want that every ten minutes."""
        await door.step_up(actor, data.proof)

    @post("/factor", permission=SIGNED_IN, audit="account.factor.begin", secret_answer=True)
    async def begin_factor(self, account: NamedDependency[Account]) -> FactorBegun:
        """Make a secret for an authenticator app. It counts once a first code of it was sent."""
        begun = await account.begin_factor()
        return FactorBegun(secret=str(begun.secret), uri=begun.uri)

    @post("/factor/confirmation", permission=SIGNED_IN, audit="account.factor.enable", secret_answer=True)
    async def enable_factor(self, account: NamedDependency[Account], data: JSONBody[FactorCode]) -> RecoveryCodes:
        """Switch the second factor on with a first code, and end the person's other sessions."""
        return RecoveryCodes(recovery_codes=await account.enable_factor(data.code))

    @delete("/factor", permission=SIGNED_IN, audit="account.factor.disable")
    async def disable_factor(self, account: NamedDependency[Account]) -> None:
        """Switch the second factor off; the recovery codes go with it."""
        await account.disable_factor()

    @post("/recovery-codes", permission=SIGNED_IN, audit="account.recovery.renew", secret_answer=True)
    async def renew_codes(self, account: NamedDependency[Account]) -> RecoveryCodes:
        """Make ten fresh recovery codes; those from before no longer work."""
        return RecoveryCodes(recovery_codes=await account.renew_codes())

    @get("/sessions", permission=SIGNED_IN)
    async def sessions(
        self,
        account: NamedDependency[Account],
        pager: NamedDependency[Pager],
        limit: FromQuery[int] = 25,
        cursor: FromQuery[str | None] = None,
    ) -> SessionPage:
        """List where the signed-in person is signed in, newest first."""
        page = (await account.book.search(pager, account.me, limit=limit, cursor=cursor)).map(read_session)
        return SessionPage(items=page.items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)

    @delete("/sessions", permission=SIGNED_IN, audit="session.revoke_others")
    async def revoke_others(self, account: NamedDependency[Account]) -> None:
        """End all of the person's sessions but this one."""
        await account.book.revoke_others(account.me, account.book.here)

    @delete("/sessions/{session_id:uuid}", permission=SIGNED_IN, audit="session.revoke")
    async def revoke(self, account: NamedDependency[Account], session_id: FromPath[UUID]) -> None:
        """End one of the person's sessions, at once."""
        await account.book.revoke(session_id, account.me)

    @get("/devices", permission=SIGNED_IN)
    async def devices(self, account: NamedDependency[Account]) -> Sequence[DeviceRead]:
        """List the browsers that signed this person in before, the last used first."""
        return [read_device(row) for row in await account.book.devices(account.me)]

    @delete("/devices/{device_id:uuid}", permission=SIGNED_IN, audit="account.device.forget")
    async def forget_device(self, account: NamedDependency[Account], device_id: FromPath[UUID]) -> None:
        """End a device's sessions, and take its next sign-in for a new device's."""
        await account.book.forget_device(device_id, account.me)

    @get("/consents", permission=SIGNED_IN)
    async def consents(self, account: NamedDependency[Account]) -> Sequence[PurposeRead]:
        """List what can be agreed to, with the person's last answers."""
        return await account.purposes()

    @put("/consents/{purpose:str}", permission=SIGNED_IN, audit="account.consent.update")
    async def consent(
        self,
        request: Request[Any, Any, Any],
        account: NamedDependency[Account],
        purpose: FromPath[str],
        data: JSONBody[ConsentChange],
    ) -> ConsentRead:
        """Answer the present text of a purpose."""
        address: str | None = request.scope.get("client_address")  # type: ignore[assignment]
        return read_consent(await account.people.consent(purpose, data.granted, address))

    @get("/export", permission=SIGNED_IN)
    async def export(self, account: NamedDependency[Account], pager: NamedDependency[Pager]) -> Response[AccountExport]:
        """Everything that is stored about the account, as a file."""
        headers = {"Content-Disposition": 'attachment; filename="account.json"', "Cache-Control": "no-store"}
        return Response(await account.export(pager), headers=headers)
