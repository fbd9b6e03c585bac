"""The front door: `/signin`, `/signup`, `/signout` and `/setup/{link}`."""

import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from litestar import Controller, Request, get, post
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter, URLEncodedBody
from litestar.response import Redirect, Template
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import Forbidden, Invalid, NotFound, Problem
from app.core.policy import PUBLIC, SIGNED_IN, actor_of
from app.core.secrets import Secret
from app.core.settings import Settings
from app.core.wire import SHORT_BODY
from app.modules.identity.schemas import AskForm, CodeForm, NewPasswordForm, SetupForm, SignInForm, SignUpForm
from app.modules.identity.service import (
    DEVICE_COOKIE,
    Asked,
    Entered,
    LinkExpired,
    OwnerLinks,
    SignIn,
)
from app.modules.sessions.service import SessionBook, session_cookie

AnyRequest = Request[Any, Any, Any]
Next = Annotated[str, QueryParameter(name="next")]
DEVICE_LASTS_S = 365 * 24 * 3600
_INSIDE = re.compile(r"/(dashboard|account|invitations)(/(?!(\.|%2e){1,2}(/|$))[\w.~%:-]+)*/?", re.IGNORECASE)
HOME = "/dashboard"
"""Leads people to where they belong."""
ASKING = {
    "mail": ("Sign in with a code", "We send a code and a link to your e-mail address.", "Send the code"),
    "reset": (
        "A new password",
        "We send a link to your e-mail address, with which you set a new one.",
        "Send the link",
    ),
    "signup": ("Make an account", "We send a link to your e-mail address, to see that it is yours.", "Send the link"),
}


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


def _enter(entered: Entered, settings: Settings, where: str = "") -> Redirect:
    cookies = [session_cookie(entered.secret, settings)]
    if entered.device is not None:
        cookie = Cookie(
            DEVICE_COOKIE,
            value=str(entered.device),
            max_age=DEVICE_LASTS_S,
            httponly=True,
            samesite="lax",
            secure=settings.secure_cookies,
        )
        cookies.append(cookie)
    return Redirect(_inside(where) or HOME, status_code=303, cookies=cookies)


def _inside(where: str) -> str:
    return where if _INSIDE.fullmatch(where) else ""


def _form(name: str, values: dict[str, str], problem: Problem | None = None, **more: Any) -> Template:
    fields = {error.field: error.message for error in problem.errors} if problem else {}
    error = problem.detail if problem and not fields else None
    return Template(
        template_name=f"identity/{name}.html",
        context={"values": values, "fields": fields, "error": error, **more},
        status_code=problem.status if problem else 200,
        headers={"Cache-Control": "no-store", **(problem.headers if problem else {})},
    )


def _ask(kind: str, values: dict[str, str], problem: Problem | None = None) -> Template:
    title, lead, submit = ASKING[kind]
    action = "/signup" if kind == "signup" else f"/signin/{kind}"
    return _form("ask", values, problem, title=title, lead=lead, submit_label=submit, action=action)


def _code(kind: Literal["second", "code"], ticket: str, where: str, problem: Problem | None = None) -> Template:
    return _form("code", {"next": where}, problem, kind=kind, ticket=ticket)


def _gone(problem: Problem) -> Template:
    return _form("gone", {}, problem)


def _same(password: str, repeat: str) -> None:
    if password != repeat:
        raise Invalid.field("repeat", "is not the same password")


class FrontDoor(Controller):
    request_max_body_size = SHORT_BODY

    @get("/", permission=PUBLIC, sync_to_thread=False)
    def home(self) -> Redirect:
        return Redirect(HOME, status_code=303)

    @get("/signin", permission=PUBLIC, sync_to_thread=False)
    def form(self, request: AnyRequest, settings: NamedDependency[Settings], next_: Next = "") -> Template | Redirect:
        actor = actor_of(request)
        if actor is not None and actor.session is not None:
            return Redirect(_inside(next_) or HOME, status_code=303)
        return _form("signin", {}, next=_inside(next_), open=settings.open_registration)

    @post("/signin", permission=PUBLIC, audit="session.create")
    async def enter(
        self,
        request: AnyRequest,
        settings: NamedDependency[Settings],
        door: NamedDependency[SignIn],
        data: URLEncodedBody[SignInForm],
    ) -> Template | Redirect:
        _check_origin(request, settings)
        where = _inside(data.next)
        try:
            found = await door.with_password(data.email, data.password)
        except Problem as problem:
            values = {"email": data.email}
            return _form("signin", values, problem, next=where, open=settings.open_registration)
        return _code("second", found.ticket, where) if isinstance(found, Asked) else _enter(found, settings, where)

    @post("/signin/second", permission=PUBLIC, audit="session.create")
    async def second(
        self,
        request: AnyRequest,
        settings: NamedDependency[Settings],
        door: NamedDependency[SignIn],
        data: URLEncodedBody[CodeForm],
    ) -> Template | Redirect:
        _check_origin(request, settings)
        try:
            return _enter(await door.with_second_factor(data.ticket, data.code), settings, data.next)
        except LinkExpired as problem:
            return _gone(problem)
        except Problem as problem:
            return _code("second", data.ticket, _inside(data.next), problem)

    @get("/signin/mail", permission=PUBLIC, sync_to_thread=False)
    def mail_form(self, next_: Next = "") -> Template:
        return _ask("mail", {"next": _inside(next_)})

    @post("/signin/mail", permission=PUBLIC, audit="session.create")
    async def mail(
        self,
        request: AnyRequest,
        settings: NamedDependency[Settings],
        door: NamedDependency[SignIn],
        data: URLEncodedBody[AskForm],
    ) -> Template:
        _check_origin(request, settings)
        try:
            return _code("code", await door.ask("sign_in", data.email), _inside(data.next))
        except Problem as problem:
            return _ask("mail", {"email": data.email, "next": _inside(data.next)}, problem)

    @post("/signin/code", permission=PUBLIC, audit="session.create")
    async def code(
        self,
        request: AnyRequest,
        settings: NamedDependency[Settings],
        door: NamedDependency[SignIn],
        data: URLEncodedBody[CodeForm],
    ) -> Template | Redirect:
        _check_origin(request, settings)
        where = _inside(data.next)
        try:
            found = await door.with_code(data.ticket, data.code)
        except Problem as problem:
            return _code("code", data.ticket, where, problem)
        return _code("second", found.ticket, where) if isinstance(found, Asked) else _enter(found, settings, where)

    @get("/signin/link/{ticket:str}", permission=PUBLIC)
    async def link(self, door: NamedDependency[SignIn], ticket: FromPath[str]) -> Template:
        """A page with a button: programs that look into mails follow links, and would use this one up."""
        try:
            proof = await door.look("sign_in", ticket)
        except LinkExpired as problem:
            return _gone(problem)
        return _form("link", {}, email=proof.email)

    @post("/signin/link/{ticket:str}", permission=PUBLIC, audit="session.create")
    async def follow(
        self,
        request: AnyRequest,
        settings: NamedDependency[Settings],
        door: NamedDependency[SignIn],
        ticket: FromPath[str],
    ) -> Template | Redirect:
        _check_origin(request, settings)
        try:
            found = await door.with_mail_link(ticket)
        except LinkExpired as problem:
            return _gone(problem)
        return _code("second", found.ticket, "") if isinstance(found, Asked) else _enter(found, settings)

    @get("/signin/reset", permission=PUBLIC, sync_to_thread=False)
    def reset_form(self) -> Template:
        return _ask("reset", {})

    @post("/signin/reset", permission=PUBLIC, audit="account.password.reset")
    async def reset(
        self,
        request: AnyRequest,
        settings: NamedDependency[Settings],
        door: NamedDependency[SignIn],
        data: URLEncodedBody[AskForm],
    ) -> Template:
        _check_origin(request, settings)
        try:
            await door.ask("reset", data.email)
        except Problem as problem:
            return _ask("reset", {"email": data.email}, problem)
        return _form("sent", {"email": data.email})

    @get(["/signin/reset/{ticket:str}", "/signin/welcome/{ticket:str}"], permission=PUBLIC)
    async def password_form(
        self, request: AnyRequest, door: NamedDependency[SignIn], ticket: FromPath[str]
    ) -> Template:
        try:
            proof = await door.look(_purpose(request), ticket)
        except LinkExpired as problem:
            return _gone(problem)
        return _form("password", {}, email=proof.email, sign_up=False)

    @post(
        ["/signin/reset/{ticket:str}", "/signin/welcome/{ticket:str}"],
        permission=PUBLIC,
        audit="account.password.reset",
    )
    async def set_password(
        self,
        request: AnyRequest,
        settings: NamedDependency[Settings],
        door: NamedDependency[SignIn],
        ticket: FromPath[str],
        data: URLEncodedBody[NewPasswordForm],
    ) -> Template:
        _check_origin(request, settings)
        purpose, email = _purpose(request), ""
        try:
            email = (await door.look(purpose, ticket)).email
            _same(data.password, data.repeat)
            await door.set_password(purpose, ticket, data.password)
        except LinkExpired as problem:
            return _gone(problem)
        except Problem as problem:
            return _form("password", {}, problem, email=email, sign_up=False)
        return _form("signin", {"email": email}, next="", open=False, told="Your password is set. Sign in with it.")

    @get("/signup", permission=PUBLIC, sync_to_thread=False)
    def sign_up_form(self, settings: NamedDependency[Settings]) -> Template:
        _open(settings)
        return _ask("signup", {})

    @post("/signup", permission=PUBLIC, audit="account.register")
    async def ask_to_sign_up(
        self,
        request: AnyRequest,
        settings: NamedDependency[Settings],
        door: NamedDependency[SignIn],
        data: URLEncodedBody[AskForm],
    ) -> Template:
        _open(settings)
        _check_origin(request, settings)
        try:
            await door.ask("register", data.email)
        except Problem as problem:
            return _ask("signup", {"email": data.email}, problem)
        return _form("sent", {"email": data.email})

    @get("/signup/{ticket:str}", permission=PUBLIC)
    async def account_form(
        self, settings: NamedDependency[Settings], door: NamedDependency[SignIn], ticket: FromPath[str]
    ) -> Template:
        _open(settings)
        try:
            proof = await door.look("register", ticket)
        except LinkExpired as problem:
            return _gone(problem)
        return _form("password", {}, email=proof.email, sign_up=True)

    @post("/signup/{ticket:str}", permission=PUBLIC, audit="account.register")
    async def sign_up(
        self,
        request: AnyRequest,
        settings: NamedDependency[Settings],
        door: NamedDependency[SignIn],
        ticket: FromPath[str],
        data: URLEncodedBody[SignUpForm],
    ) -> Template | Redirect:
        _open(settings)
        _check_origin(request, settings)
        email = ""
        try:
            email = (await door.look("register", ticket)).email
            _same(data.password, data.repeat)
            return _enter(await door.register(ticket, data.name, data.password), settings)
        except LinkExpired as problem:
            return _gone(problem)
        except Problem as problem:
            return _form("password", {"name": data.name}, problem, email=email, sign_up=True)

    @post("/signout", permission=SIGNED_IN, audit="session.end", while_impersonating=True)
    async def leave(self, book: NamedDependency[SessionBook], settings: NamedDependency[Settings]) -> Redirect:
        await book.end()
        return Redirect("/signin", status_code=303, cookies=[session_cookie(None, settings)])

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
            _same(data.password, data.repeat)
            entered = await door.with_link(Secret(link), data.email, data.password)
        except Problem as problem:
            return _form("setup", {"email": data.email}, problem, expired=isinstance(problem, LinkExpired))
        return _enter(entered, settings)


def _purpose(request: AnyRequest) -> Literal["reset", "welcome"]:
    return "welcome" if request.scope["path"].startswith("/signin/welcome/") else "reset"


def _open(settings: Settings) -> None:
    if not settings.open_registration:
        raise NotFound("Accounts are made by invitation here")
