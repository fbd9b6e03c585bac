"""`/account`: one's own profile, password, second factor, devices, sessions and consents."""

from typing import Any
from uuid import UUID

import segno
from litestar import Controller, Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, URLEncodedBody
from litestar.response import Template

from app.core.errors import Invalid
from app.core.paging import Pager
from app.core.policy import SIGNED_IN, Actor
from app.core.settings import Settings
from app.core.templating import Page, render, told
from app.modules.account.schemas import CodeForm, ConfirmationForm, ConsentForm, PasswordForm, ProfileForm
from app.modules.account.service import Account
from app.modules.factors.service import Enrolment
from app.modules.identity.service import IdentityService, SignIn
from app.modules.people.service import ProfileChange
from app.modules.sessions.service import session_cookie
from app.queues.timing import zones

AnyRequest = Request[Any, Any, Any]
ZONES = sorted(zone for zone in zones() if "/" in zone and not zone.startswith(("Etc/", "SystemV/")))
ZONE_CHOICES = [(zone, zone) for zone in ("UTC", *ZONES)]


class AccountPages(Controller):
    path = "/account"

    @get("/", permission=SIGNED_IN)
    async def show(
        self,
        request: AnyRequest,
        account: NamedDependency[Account],
        pager: NamedDependency[Pager],
        cursor: FromQuery[str | None] = None,
    ) -> Template:
        return await _part(request, account, pager, "sessions", cursor=cursor)

    @post("/profile", permission=SIGNED_IN, audit="account.profile.update", status_code=200)
    async def update(
        self,
        request: AnyRequest,
        account: NamedDependency[Account],
        pager: NamedDependency[Pager],
        data: URLEncodedBody[ProfileForm],
    ) -> Template:
        change = ProfileChange(name=data.name, phone=data.phone, timezone=data.timezone, about=data.about)
        await account.people.set_profile(change)
        return await _part(request, account, pager, "profile", "Your profile is saved.")

    @post("/password", permission=SIGNED_IN, audit="owner.password.change", status_code=200)
    async def change_password(
        self,
        request: AnyRequest,
        actor: NamedDependency[Actor],
        settings: NamedDependency[Settings],
        account: NamedDependency[Account],
        door: NamedDependency[SignIn],
        identity: NamedDependency[IdentityService],
        pager: NamedDependency[Pager],
        data: URLEncodedBody[PasswordForm],
    ) -> Template:
        if data.password != data.repeat:
            raise Invalid.field("repeat", "is not the same password")
        await door.confirm_password(actor, data.current)
        secret = await identity.change_password(data.password)
        message = "Your password is changed; your other sessions have ended."
        answer = await _part(request, account, pager, "password", message)
        answer.cookies.append(session_cookie(secret, settings))
        return answer

    @post("/confirmation", permission=SIGNED_IN, audit="session.confirm", status_code=204)
    async def confirm(
        self, actor: NamedDependency[Actor], door: NamedDependency[SignIn], data: URLEncodedBody[ConfirmationForm]
    ) -> None:
        await door.step_up(actor, data.proof)

    @post("/factor", permission=SIGNED_IN, audit="account.factor.begin", status_code=200)
    async def begin_factor(
        self, request: AnyRequest, account: NamedDependency[Account], pager: NamedDependency[Pager]
    ) -> Template:
        return await _part(request, account, pager, "factor", enrolment=await account.begin_factor())

    @post("/factor/confirmation", permission=SIGNED_IN, audit="account.factor.enable", status_code=200)
    async def enable_factor(
        self,
        request: AnyRequest,
        account: NamedDependency[Account],
        pager: NamedDependency[Pager],
        data: URLEncodedBody[CodeForm],
    ) -> Template:
        codes = await account.enable_factor(data.code)
        return await _part(request, account, pager, "factor", "The second factor is on.", codes=codes)

    @post("/factor/removal", permission=SIGNED_IN, audit="account.factor.disable", status_code=200)
    async def disable_factor(
        self, request: AnyRequest, account: NamedDependency[Account], pager: NamedDependency[Pager]
    ) -> Template:
        await account.disable_factor()
        return await _part(request, account, pager, "factor", "The second factor is off.")

    @post("/recovery-codes", permission=SIGNED_IN, audit="account.recovery.renew", status_code=200)
    async def renew_codes(
        self, request: AnyRequest, account: NamedDependency[Account], pager: NamedDependency[Pager]
    ) -> Template:
        codes = await account.renew_codes()
        return await _part(request, account, pager, "factor", "The old recovery codes no longer work.", codes=codes)

    @post("/sessions/others", permission=SIGNED_IN, audit="session.revoke_others", status_code=200)
    async def revoke_others(
        self, request: AnyRequest, account: NamedDependency[Account], pager: NamedDependency[Pager]
    ) -> Template:
        await account.book.revoke_others(account.me, account.book.here)
        return await _part(request, account, pager, "sessions", "Your other sessions have ended.")

    @post("/sessions/{session_id:uuid}/revocation", permission=SIGNED_IN, audit="session.revoke", status_code=200)
    async def revoke(
        self,
        request: AnyRequest,
        account: NamedDependency[Account],
        pager: NamedDependency[Pager],
        session_id: FromPath[UUID],
    ) -> Template:
        await account.book.revoke(session_id, account.me)
        return await _part(request, account, pager, "sessions", "The session has ended.")

    @post("/devices/{device_id:uuid}/removal", permission=SIGNED_IN, audit="account.device.forget", status_code=200)
    async def forget_device(
        self,
        request: AnyRequest,
        account: NamedDependency[Account],
        pager: NamedDependency[Pager],
        device_id: FromPath[UUID],
    ) -> Template:
        await account.book.forget_device(device_id, account.me)
        return await _part(request, account, pager, "devices", "The device is forgotten, and signed out.")

    @post("/consents/{purpose:str}", permission=SIGNED_IN, audit="account.consent.update", status_code=200)
    async def consent(
        self,
        request: AnyRequest,
        account: NamedDependency[Account],
        pager: NamedDependency[Pager],
        purpose: FromPath[str],
        data: URLEncodedBody[ConsentForm],
    ) -> Template:
        address: str | None = request.scope.get("client_address")  # type: ignore[assignment]
        await account.people.consent(purpose, bool(data.granted), address)
        return await _part(request, account, pager, "consents", "Your answer is noted.")


async def _part(
    request: AnyRequest,
    account: Account,
    pager: Pager,
    name: str,
    message: str | None = None,
    *,
    enrolment: Enrolment | None = None,
    codes: list[str] | None = None,
    cursor: str | None = None,
) -> Page:
    """The whole page, or for htmx one of its panels; `message` stands beside it."""
    context = {
        "account": await account.read(),
        "page": await account.book.search(pager, account.me, limit=10, cursor=cursor),
        "cursor": cursor,
        "here": account.book.here,
        "devices": await account.book.devices(account.me),
        "purposes": await account.purposes(),
        "zones": ZONE_CHOICES,
        "enrolment": enrolment,
        "qr": segno.make(enrolment.uri, micro=False).svg_data_uri(scale=4, border=3, light="#fff") if enrolment else "",
        "codes": codes,
    }
    return told(render(request, "account/index.html", context, fragment=f"account/_{name}.html"), message)
