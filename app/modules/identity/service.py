"""The rules of the front door: who may enter, and how they prove who they are."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from litestar import Request
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core import roles
from app.core.database import SYSTEM, Database, Plane
from app.core.errors import Conflict, FieldError, Invalid, NotFound, Problem, Unauthenticated
from app.core.limits import neighbours
from app.core.passwords import hash_of, matches, weakness
from app.core.policy import Actor, StepUpRequired, actor_of
from app.core.secrets import Secret, digest, new_secret
from app.modules.audit.service import record
from app.modules.email.service import Letter, send
from app.modules.factors.service import OneTimeCodes, Proof, Purpose, SecondFactor
from app.modules.identity import repository
from app.modules.identity.models import OwnerLink
from app.modules.people.service import People, User, owner_exists, plain_email, user_by_email
from app.modules.sessions.service import Browser, SessionBook, UserDevice, knows

LINK_LASTS = timedelta(minutes=30)
FAILURES_PER_ACCOUNT, FAILURES_PER_ADDRESS = 10, 50
FAILURES_OF_STRANGERS = 100
"""For one account in an hour, from all browsers and addresses together that never signed it in."""
ASKING_TAKES_S = 0.3
"""At least, so that the time tells nobody whether a mail was written: that takes a few hundredths of it."""
CLOSED_TO_STRANGERS = (
    "Too many failed sign-ins to this account, from many places: get a code by e-mail, or use a browser or a network"
    " where this account signed in before; else wait {}"
)
DEVICE_COOKIE = "teknav_device"
ANONYMOUS = Actor("anonymous", None, "not signed in", frozenset(), Plane.SYSTEM)
_NO_ACCOUNT = "not an e-mail address"


class LinkExpired(Problem):
    status, code, title = 410, "link_expired", "This link no longer works"


class TooManySignIns(Problem):
    status, code, title = 429, "too_many_sign_ins", "Too many failed sign-ins; wait and try again"


class Entered(NamedTuple):
    """Somebody is in: the secret of the session, that of the browser where it is new, and who it is."""

    secret: Secret
    device: Secret | None
    actor: Actor


class Asked(NamedTuple):
    """The first proof was right, and a second one is wanted: `ticket` goes with it."""

    ticket: str


class IdentityService:
    """Owners and passwords, in the caller's transaction."""

    def __init__(self, session: AsyncSession, actor: Actor) -> None:
        self._session = session
        self._actor = actor

    async def create_owner(self, email: str, password: str) -> User:
        """
        Raises:
            Invalid: naming `email` or `password`. Conflict (`email_taken`): there is an account with that e-mail.
        """
        hashed = await hash_password(password, email)
        return await _add_owner(self._session, self._actor, email, hashed)

    async def change_password(self, password: str) -> Secret:
        """Give the signed-in person another password, once `SignIn.confirm_password` has asked. Other sessions end.

        Returns:
            the new secret of this session: the one that the cookie has is no longer good.

        Raises:
            Invalid (`password`): it is too short, too long or too common.
        """
        assert self._actor.id is not None
        book = SessionBook(self._session, self._actor)
        hashed = await hash_password(password, self._actor.label)
        user = await People(self._session, self._actor).get(self._actor.id, lock=True)
        await self._set_password(user, hashed, keep=book.here)
        return await book.rotate()

    async def reset_password(self, email: str, password: str) -> User:
        """For the command line: another password without knowing the one before. All sessions of the person end.

        Raises:
            NotFound: nobody has this e-mail. Invalid: naming `password`.
        """
        hashed = await hash_password(password, email)
        user = await user_by_email(self._session, email)
        if user is None:
            raise NotFound("There is no account with this e-mail")
        await self._set_password(user, hashed)
        return user

    async def _set_password(self, user: User, hashed: str, *, keep: UUID | None = None) -> None:
        user.password_hash = hashed
        await self._session.flush()
        await record(self._session, self._actor, "owner.password.change", resource=("user", user.id, user.email))
        await SessionBook(self._session, self._actor).revoke_others(user.id, keep)
        await OneTimeCodes(self._session).close(user.id)


class OwnerLinks:
    """Links by which the first owner comes in. Once there is an owner, there are none."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def issue(self) -> Secret | None:
        """The secret of a new link, good once within 30 minutes; None when there is an owner."""
        if await owner_exists(self._session):
            return None
        secret = new_secret("own_")
        self._session.add(OwnerLink(token_hash=digest(secret), expires_at=datetime.now(UTC) + LINK_LASTS))
        return secret

    async def check(self, secret: str, *, lock: bool = False) -> OwnerLink:
        """
        Raises:
            LinkExpired: it is unknown, used or too old, or there is an owner by now.
        """
        link = await repository.open_link(self._session, digest(secret), lock=lock)
        if link is None or await owner_exists(self._session):
            raise LinkExpired
        return link


class SignIn:
    """The doors to a session. Each opens transactions of its own, so that none waits for argon2.

    Args:
        instead_of: the session that the browser came with; it ends where another one begins.
    """

    def __init__(self, database: Database, browser: Browser, instead_of: UUID | None = None) -> None:
        self._database = database
        self._browser = browser
        self._instead_of = instead_of

    @classmethod
    def of(cls, request: Request[Any, Any, Any]) -> "SignIn":
        """The door that a request stands at."""
        address: str | None = request.scope.get("client_address")  # type: ignore[assignment]
        browser = Browser(address, request.headers.get("user-agent"), request.cookies.get(DEVICE_COOKIE))
        actor = actor_of(request)
        session = UUID(actor.session) if actor is not None and actor.session is not None else None
        return cls(request.app.state.database, browser, session)

    async def with_password(self, email: str, password: str) -> Entered | Asked:
        """
        Raises:
            Unauthenticated: without saying which of the two is wrong. TooManySignIns: with `Retry-After`.
        """
        # The rows of a caller who is signed in are written under its own name, as those of other refused requests.
        return await self._let_in(await self._examine(email, password, trace=self._instead_of is None))

    async def with_second_factor(self, ticket: str, code: str) -> Entered:
        """Finish what was `Asked` for, with a code of the authenticator app or a recovery code.

        Raises:
            LinkExpired: the ticket is old, or was tried five times. Invalid (`code`). TooManyCodes.
        """
        async with self._database.transaction(SYSTEM) as session:
            codes = OneTimeCodes(session, self._browser.address)
            proof = await codes.try_ticket("second_factor", ticket)
            right = await SecondFactor(session, proof.user_id).check(code) if proof and proof.user_id else False
            if right:
                await codes.redeem("second_factor", ticket)
            user = await _person(session, proof)
        if proof is None:
            raise LinkExpired("This took too long, or too many codes were wrong: sign in again")
        if not right or user is None:
            if user is not None:
                await self._trace(user, "session.create", "denied")
            raise Invalid.field("code", "is not the code that the app shows now")
        return await self._enter(user)

    async def ask(self, purpose: Purpose, email: str) -> str:
        """Mail a code or link to whoever has this address, if anybody; the answer is the same either way.

        Returns:
            the ticket to type the code beside.

        Raises:
            Invalid (`email`): it is not an address. TooManyCodes.
        """
        ticket, _ = await asyncio.gather(self._ask(purpose, plain_email(email)), asyncio.sleep(ASKING_TAKES_S))
        return ticket

    async def _ask(self, purpose: Purpose, found: str) -> str:
        async with self._database.transaction(SYSTEM) as session:
            user = await user_by_email(session, found)
            known = user is not None and user.disabled_at is None
            if purpose == "register":
                ticket = await OneTimeCodes(session, self._browser.address).issue(
                    purpose, found, None, mail=user is None
                )
                if known:
                    hour = f"{datetime.now(UTC):%Y%m%d%H}"
                    await send(session, Letter(template="known", to=found, key=f"known:{found}:{hour}"))
                return ticket
            id_ = user.id if user is not None and known else None
            return await OneTimeCodes(session, self._browser.address).issue(purpose, found, id_, mail=known)

    async def with_code(self, ticket: str, code: str) -> Entered | Asked:
        """Enter with a code that came by mail.

        Raises:
            Invalid (`code`): it is wrong, or no longer good.
        """
        async with self._database.transaction(SYSTEM) as session:
            proof = await OneTimeCodes(session, self._browser.address).redeem_code("sign_in", ticket, code)
            user = await _person(session, proof)
        if user is None:
            raise Invalid.field("code", "is wrong, or no longer good")
        return await self._let_in(user)

    async def look(self, purpose: Purpose, ticket: str) -> Proof:
        """Whom a link is for; it stays good.

        Raises:
            LinkExpired.
        """
        async with self._database.transaction(SYSTEM) as session:
            proof = await OneTimeCodes(session).look(purpose, ticket)
        if proof is None:
            raise LinkExpired
        return proof

    async def with_mail_link(self, ticket: str) -> Entered | Asked:
        """
        Raises:
            LinkExpired.
        """
        async with self._database.transaction(SYSTEM) as session:
            proof = await OneTimeCodes(session).redeem("sign_in", ticket)
            user = await _person(session, proof)
        if user is None:
            raise LinkExpired
        return await self._let_in(user)

    async def set_password(self, purpose: Purpose, ticket: str, password: str) -> None:
        """Set a password with a link that came by mail. All sessions of the person end.

        Raises:
            LinkExpired. Invalid (`password`).
        """
        before = await self.look(purpose, ticket)
        hashed = await hash_password(password, before.email)
        async with self._database.transaction(SYSTEM) as session:
            proof = await OneTimeCodes(session).redeem(purpose, ticket)
            user = await session.get(User, proof.user_id, with_for_update=True) if proof and proof.user_id else None
            if user is None or user.disabled_at is not None or user.email != before.email:
                raise LinkExpired
            user.password_hash = hashed
            await session.flush()
            actor = _actor(user)
            await record(session, actor, "account.password.reset", resource=("user", user.id, user.email))
            await SessionBook(session, actor).revoke_others(user.id, None)
            await OneTimeCodes(session).close(user.id)

    async def register(self, ticket: str, name: str, password: str) -> Entered:
        """Make the account that a link by mail is for, and enter.

        Raises:
            LinkExpired. Invalid: naming `name` or `password`. Conflict (`email_taken`).
        """
        before = await self.look("register", ticket)
        hashed = await hash_password(password, before.email)
        async with self._database.transaction(SYSTEM) as session:
            if await OneTimeCodes(session).redeem("register", ticket) is None:
                raise LinkExpired
            chosen = name.strip() or before.email.partition("@")[0]
            user, _ = await open_account(session, before.email, chosen, hashed)
        return await self._enter(user)

    async def confirm(self, actor: Actor, password: str) -> None:
        """Whether a signed-in person is who signed in; wrong answers count as failed sign-ins.

        Raises:
            Invalid (`current`): it is not the password. TooManySignIns. Conflict (`no_session`): nobody signed in.
        """
        if actor.session is None:
            raise Conflict("Only a signed-in person has a password to change", code="no_session")
        try:
            user = await self._examine(actor.label, password, trace=False, inside=True)
        except Unauthenticated:
            raise Invalid.field("current", "is not your password") from None
        async with self._database.transaction(SYSTEM) as session:
            await repository.forgive_sign_in(session, self._place, user.email)

    async def confirm_password(self, actor: Actor, current: str) -> None:
        """Before another password: the present one, and of who has a second factor a fresh confirmation by that, too.

        Without a second factor that confirmation would be the same password again.

        Raises:
            StepUpRequired. Else as `confirm`.
        """
        if actor.id is not None and not actor.fresh:
            async with self._database.transaction(SYSTEM) as session:
                if await SecondFactor(session, actor.id).is_on():
                    raise StepUpRequired
        await self.confirm(actor, current)

    async def step_up(self, actor: Actor, proof: str) -> None:
        """Confirm that it is still the person: with a code where there is a second factor, else with the password.

        Raises:
            Invalid (`proof`). TooManySignIns, TooManyCodes. Conflict (`no_session`).
        """
        if actor.session is None or actor.id is None:
            raise Conflict("Only a signed-in person can confirm this", code="no_session")
        async with self._database.transaction(SYSTEM) as session:
            factor = SecondFactor(session, actor.id)
            has_one = await factor.is_on()
            right = has_one and await factor.check(proof)
        if has_one and not right:
            raise Invalid.field("proof", "is not the code that your app shows now, nor a recovery code that is left")
        if not has_one:
            try:
                await self.confirm(actor, proof)
            except Invalid:
                raise Invalid.field("proof", "is not your password") from None
        async with self._database.transaction(SYSTEM) as session:
            await SessionBook(session, actor).confirm()

    async def with_link(self, link: str, email: str, password: str) -> Entered:
        """Make the first owner, and sign in as that.

        Raises:
            LinkExpired; Invalid: naming `email` or `password`.
        """
        async with self._database.transaction(SYSTEM) as session:
            await OwnerLinks(session).check(link)
        hashed = await hash_password(password, email)
        async with self._database.transaction(SYSTEM) as session:
            await repository.lock_first_owner(session)
            used = await OwnerLinks(session).check(link, lock=True)
            used.used_at = datetime.now(UTC)
            user = await _add_owner(session, None, email, hashed)
        return await self._enter(user)

    @property
    def _place(self) -> str:
        return neighbours(self._browser.address)

    async def _examine(self, email: str, password: str, *, trace: bool, inside: bool = False) -> User:
        """Count the try, then look at the password.

        Args:
            inside: who asks is signed in to this very account.

        Raises:
            TooManySignIns, Unauthenticated: with `trace`, a row in the audit log tells of it.
        """
        async with self._database.transaction(SYSTEM) as session:
            try:
                account = plain_email(email)
            except Invalid:
                account = _NO_ACCOUNT
            failures = await repository.count_sign_in(session, self._place, account)
            user = await user_by_email(session, account)
            known = inside or await knows(session, user.id if user else None, self._browser)
            # What is refused here already is no guess, so one address alone closes no account.
            counts = not known and account != _NO_ACCOUNT and not _too_many(failures)
            strangers = await repository.count_stranger(session, account) if counts else None
        try:
            _require_patience(failures, strangers)
            right = await matches(password, user.password_hash if user else None)
            if not right or user is None or user.disabled_at is not None:
                raise Unauthenticated("E-mail or password is wrong", code="bad_credentials")
        except Problem:
            # The counters bound these rows.
            tried = strangers.failures if strangers else 0
            if trace and failures.account <= FAILURES_PER_ACCOUNT + 1 and tried <= FAILURES_OF_STRANGERS + 1:
                await self._trace(user, "session.create", "denied")
            if tried == FAILURES_OF_STRANGERS + 1:
                await self._trace(user, "account.sign_in.close", "success")
            raise
        return user

    async def _trace(self, user: User | None, action: str, outcome: Literal["success", "denied"]) -> None:
        """For an unknown account the row is taken back, so that both take as long; neither waits for the disk."""
        resource = ("user", user.id if user else None, user.email if user else None)
        async with self._database.transaction(SYSTEM) as session:
            await session.execute(text("SET LOCAL synchronous_commit = off"))
            await record(session, ANONYMOUS, action, resource=resource, outcome=outcome)
            if user is None:
                await session.flush()
                await session.rollback()

    async def _let_in(self, user: User) -> Entered | Asked:
        """Enter, or ask for the second factor where the person has one."""
        async with self._database.transaction(SYSTEM) as session:
            if await SecondFactor(session, user.id).is_on():
                codes = OneTimeCodes(session, self._browser.address)
                return Asked(await codes.issue("second_factor", user.email, user.id, mail=False))
        return await self._enter(user)

    async def _enter(self, user: User) -> Entered:
        actor = _actor(user)
        async with self._database.transaction(SYSTEM) as session:
            await _require_same(session, user)
            await repository.forgive_sign_in(session, self._place, user.email)
            begun = await SessionBook(session, actor).begin(user.id, self._browser, instead_of=self._instead_of)
            if begun.strange:
                await _tell_of(session, user, begun.device)
        return Entered(begun.secret, begun.device_secret, actor)


async def _tell_of(session: AsyncSession, user: User, device: UserDevice) -> None:
    """Mail the person that somebody signed in from a browser that was not known."""
    zone = (await People(session, ANONYMOUS).profile(user.id)).timezone
    props = {
        "at": f"{device.last_seen_at.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M} ({zone})",
        "device": device.label,
        "address": device.ip or "unknown",
    }
    await send(session, Letter(template="new_device", to=user.email, props=props))


async def _person(session: AsyncSession, proof: Proof | None) -> User | None:
    """Whose proof it is, where that person may enter and still has the address that it was sent to."""
    user = await session.get(User, proof.user_id) if proof is not None and proof.user_id is not None else None
    return user if user and proof and user.disabled_at is None and user.email == proof.email else None


async def _require_same(session: AsyncSession, user: User) -> None:
    """A ban or another password may have come while a proof was looked at; from here on they wait for the session.

    Raises:
        Unauthenticated (`bad_credentials`).
    """
    now = await session.get(User, user.id, with_for_update={"read": True})
    if now is None or now.disabled_at is not None or (now.email, now.password_hash) != (user.email, user.password_hash):
        raise Unauthenticated("E-mail or password is wrong", code="bad_credentials")


def _too_many(failures: repository.Failures) -> bool:
    return failures.account > FAILURES_PER_ACCOUNT or failures.address > FAILURES_PER_ADDRESS


def _require_patience(failures: repository.Failures, strangers: repository.Counted | None) -> None:
    """
    Raises:
        TooManySignIns: there were too many for the account from the address, or from the address, or for the account
            from wherever it is not known.
    """
    if _too_many(failures):
        told, until = "Too many failed sign-ins: wait {}, then try again", failures.until
    elif strangers is not None and strangers.failures > FAILURES_OF_STRANGERS:
        told, until = CLOSED_TO_STRANGERS, strangers.until
    else:
        return
    wait = max(1, round((until - datetime.now(UTC)).total_seconds()))
    minutes = f"{-(-wait // 60)} minutes" if wait > 60 else "a minute"
    raise TooManySignIns(told.format(minutes), headers={"Retry-After": str(wait)})


def _actor(user: User) -> Actor:
    plane = Plane.PLATFORM if user.role in roles.PLATFORM else Plane.SYSTEM
    return Actor("user", user.id, user.email, frozenset(), plane)


async def open_account(session: AsyncSession, email: str, name: str, hashed: str) -> tuple[User, Actor]:
    """Write down who makes an account for itself, and say who acts from then on.

    Raises:
        Invalid (`name`). Conflict (`email_taken`).
    """
    user = await People(session, ANONYMOUS).add(email, name, password_hash=hashed)
    actor, after = _actor(user), {"email": user.email, "name": user.name}
    await record(session, actor, "account.register", resource=("user", user.id, user.email), after=after)
    return user, actor


async def _add_owner(session: AsyncSession, actor: Actor | None, email: str, hashed: str) -> User:
    user = await People(session, actor or ANONYMOUS).add(
        email, email.strip().partition("@")[0], role="owner", password_hash=hashed
    )
    after = {"email": user.email, "role": user.role}
    await record(session, actor or _actor(user), "owner.create", resource=("user", user.id, user.email), after=after)
    return user


async def hash_password(password: str, email: str) -> str:
    """The argon2 hash of a new password, once it was found good enough. Call it before the transaction begins.

    Raises:
        Invalid: naming `email` or `password`, or both.
    """
    errors = []
    try:
        address = plain_email(email)
    except Invalid as error:
        address = ""
        errors += error.errors
    if wrong := weakness(password, address):
        errors.append(FieldError("password", wrong))
    if errors:
        raise Invalid("; ".join(f"{error.field} {error.message}" for error in errors), errors=errors)
    return await hash_of(password)
