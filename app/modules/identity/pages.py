"""The front door: `/signin`, `/signout`, `/setup/{link}`; and a person's own account."""

import json
import re
from typing import Annotated, Any
from urllib.parse import urlsplit

from litestar import Controller, Request, get, post
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter, URLEncodedBody
from litestar.response import Redirect, Template
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import Forbidden, Invalid, Problem
from app.core.policy import COOKIE, PUBLIC, SIGNED_IN, Actor, actor_of
from app.core.secrets import Secret
from app.core.settings import Settings
from app.core.templating import PREFIX, render
from app.modules.identity.schemas import PasswordForm, SetupForm, SignInForm
from app.modules.identity.service import SESSION_LASTS, IdentityService, LinkExpired, OwnerLinks, SignIn

AnyRequest = Request[Any, Any, Any]
_INSIDE = re.compile(r"/dashboard(/[\w.~%:-]+)*/?")


def _check_origin(request: AnyRequest, settings: Settings) -> None:
    """These forms come before there is a session to bind a token to, so the browser's word for where it is counts.

    Raises:
        Forbidden (`bad_origin`): the form stood on another site. Programs send no Origin, and pass.
    """
    origin = request.headers.get("origin")
    ours = {request.headers.get("host"), urlsplit(settings.base_url).netloc}
    try:
        theirs = urlsplit(origin).netloc if origin is not None else None
    except ValueError:
        theirs = ""
    if theirs is not None and theirs not in ours:
        raise Forbidden("This form was sent from another site", code="bad_origin")


def _enter(secret: Secret, settings: Settings, where: str) -> Redirect:
    cookie = _cookie(str(secret), settings, int(SESSION_LASTS.total_seconds()))
    return Redirect(where, status_code=303, cookies=[cookie])


def _cookie(value: str, settings: Settings, max_age: int) -> Cookie:
    secure = settings.secure_cookies
    return Cookie(COOKIE, value=value, max_age=max_age, path="/", httponly=True, samesite="lax", secure=secure)


def _inside(where: str) -> str:
    return where if _INSIDE.fullmatch(where) else PREFIX


def _form(name: str, values: dict[str, str], problem: Problem | None = None, **more: Any) -> Template:
    fields = {error.field: error.message for error in problem.errors} if problem else {}
    error = problem.detail if problem and not fields else None
    return Template(
        template_name=f"identity/{name}.html",
        context={"values": values, "fields": fields, "error": error, **more},
        status_code=problem.status if problem else 200,
        headers={"Cache-Control": "no-store", **(problem.headers if problem else {})},
    )


class FrontDoor(Controller):
    @get("/", permission=PUBLIC, sync_to_thread=False)
    def home(self) -> Redirect:
        return Redirect(PREFIX, status_code=303)

    @get("/signin", permission=PUBLIC, sync_to_thread=False)
    def form(self, request: AnyRequest, next_: Annotated[str, QueryParameter(name="next")] = "") -> Template | Redirect:
        where = _inside(next_)
        actor = actor_of(request)
        if actor is not None and actor.session is not None:
            return Redirect(where, status_code=303)
        return _form("signin", {}, next=where)

    @post("/signin", permission=PUBLIC, audit="session.create")
    async def enter(
        self,
        request: AnyRequest,
        settings: NamedDependency[Settings],
        door: NamedDependency[SignIn],
        data: URLEncodedBody[SignInForm],
    ) -> Template | Redirect:
        _check_origin(request, settings)
        actor = actor_of(request)
        try:
            secret = await door.with_password(data.email, data.password, instead_of=actor.session if actor else None)
        except Problem as problem:
            return _form("signin", {"email": data.email}, problem, next=_inside(data.next))
        return _enter(secret, settings, _inside(data.next))

    @post("/signout", permission=SIGNED_IN, audit="session.end")
    async def leave(self, identity: NamedDependency[IdentityService], settings: NamedDependency[Settings]) -> Redirect:
        await identity.sign_out()
        return Redirect("/signin", status_code=303, cookies=[_cookie("", settings, 0)])

    @get("/setup/{link:str}", permission=PUBLIC)
    async def setup(self, link: FromPath[str], session: NamedDependency[AsyncSession]) -> Template:
        try:
            await OwnerLinks(session).check(Secret(link))
        except LinkExpired as problem:
            return _form("setup", {}, problem, expired=True)
        return _form("setup", {}, expired=False)

    @post("/setup/{link:str}", permission=PUBLIC, audit="owner.create")
    async def become_owner(
        self,
        request: AnyRequest,
        settings: NamedDependency[Settings],
        door: NamedDependency[SignIn],
        link: FromPath[str],
        data: URLEncodedBody[SetupForm],
    ) -> Template | Redirect:
        _check_origin(request, settings)
        try:
            if data.password != data.repeat:
                raise Invalid.field("repeat", "is not the same password")
            secret = await door.with_link(Secret(link), data.email, data.password)
        except Problem as problem:
            return _form("setup", {"email": data.email}, problem, expired=isinstance(problem, LinkExpired))
        return _enter(secret, settings, PREFIX)


class AccountPages(Controller):
    """The signed-in person's own account."""

    path = "/account"

    @get("/", permission=SIGNED_IN, sync_to_thread=False)
    def show(self, request: AnyRequest) -> Template:
        return render(request, "identity/account.html", {}, fragment="identity/_password.html")

    @post("/password", permission=SIGNED_IN, audit="owner.password.change", status_code=200)
    async def change_password(
        self,
        request: AnyRequest,
        actor: NamedDependency[Actor],
        door: NamedDependency[SignIn],
        identity: NamedDependency[IdentityService],
        data: URLEncodedBody[PasswordForm],
    ) -> Template:
        if data.password != data.repeat:
            raise Invalid.field("repeat", "is not the same password")
        await door.confirm(actor, data.current)
        await identity.change_password(data.password)
        answer = render(request, "identity/account.html", {}, fragment="identity/_password.html")
        told = {"toast": {"message": "Your password is changed; your other sessions have ended.", "tone": "ok"}}
        answer.headers["HX-Trigger"] = json.dumps(told)
        return answer
