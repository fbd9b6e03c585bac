"""The rules of second factors and one-time codes. What counts a wrong try returns, so that the count commits."""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple
from uuid import UUID

from pyotp import TOTP, random_base32
from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import Conflict, Problem
from app.core.ids import floor_id, new_id
from app.core.limits import neighbours
from app.core.secrets import Cipher, Secret, Signer, digest
from app.modules.email.service import Letter, Ticket, send
from app.modules.factors.models import OtpCode, RecoveryCode, Totp

Purpose = Literal["sign_in", "reset", "register", "welcome", "second_factor"]
PATHS = {"sign_in": "/signin/link", "reset": "/signin/reset", "register": "/signup", "welcome": "/signin/welcome"}
LASTS: dict[str, timedelta] = {
    "sign_in": timedelta(minutes=10),
    "second_factor": timedelta(minutes=10),
    "reset": timedelta(minutes=30),
    "register": timedelta(hours=24),
    "welcome": timedelta(hours=72),
}
TRIES = 5
MAILS, MAILS_PER_ADDRESS, WINDOW = 5, 20, timedelta(minutes=15)
WRONG_CODES = 10
RECOVERY_CODES = 10
STEP_S = 30
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"


class TooManyCodes(Problem):
    status, code, title = 429, "too_many_codes", "Too many codes; wait and try again"


class Proof(NamedTuple):
    """Whom a code or link was for; `user_id` is None where there is no account yet."""

    id: UUID
    user_id: UUID | None
    email: str


class OneTimeCodes:
    """Codes and links that work once. `address` is where the caller comes from."""

    def __init__(self, session: AsyncSession, address: str | None = None) -> None:
        self._session = session
        self._signer: Signer = session.info["signer"]
        self._address = address and neighbours(address)

    async def issue(
        self, purpose: Purpose, email: str, user_id: UUID | None, *, mail: bool, props: dict[str, Any] | None = None
    ) -> str:
        """Write a code down, and with `mail` send it; returns its ticket, which names it to those who hold it.

        An address gets a few mails in a quarter of an hour; what is more is not sent, and looks the same.

        Raises:
            TooManyCodes: the caller's address asked for too many.
        """
        now = datetime.now(UTC)
        since = OtpCode.id >= floor_id(now - WINDOW)
        asked = select(func.count()).where(OtpCode.ip == self._address, since, OtpCode.purpose != "second_factor")
        counts = self._address is not None and purpose != "second_factor"
        if counts and (await self._session.scalar(asked) or 0) >= MAILS_PER_ADDRESS:
            raise TooManyCodes(headers={"Retry-After": str(round(WINDOW.total_seconds()))})
        sent = select(func.count()).where(OtpCode.email == email, since, OtpCode.purpose == purpose)
        enough = mail and (await self._session.scalar(sent) or 0) >= MAILS
        lasts = LASTS[purpose]
        row = OtpCode(
            id=new_id(),
            # What nobody was sent is for nobody: else each would be five more guesses at a code.
            user_id=None if enough else user_id,
            email=email,
            purpose=purpose,
            expires_at=now + lasts,
            ip=self._address,
        )
        self._session.add(row)
        if mail and not enough:
            minutes = round(lasts.total_seconds() / 60)
            letter = Letter(
                template=purpose,
                to=email,
                props={"minutes": minutes, "hours": minutes // 60, **(props or {})},
                ticket=Ticket(purpose, row.id, PATHS[purpose]),
                good_until=row.expires_at,
            )
            await send(self._session, letter)
        return self._signer.ticket(purpose, row.id)

    async def close(self, user_id: UUID) -> None:
        """Let no code or link that the person was sent, and no sign-in that is half-way, lead in any more."""
        query = update(OtpCode).where(OtpCode.user_id == user_id, OtpCode.consumed_at.is_(None))
        await self._session.execute(query.values(consumed_at=func.now()))

    async def look(self, purpose: Purpose, ticket: str, *, lock: bool = False) -> Proof | None:
        """Whom a ticket is for, while it is good; it stays good."""
        row = await self._open(purpose, ticket, lock=lock)
        return Proof(row.id, row.user_id, row.email) if row else None

    async def redeem(self, purpose: Purpose, ticket: str) -> Proof | None:
        """Use a link up."""
        row = await self._open(purpose, ticket, lock=True)
        return self._use(row) if row else None

    async def redeem_code(self, purpose: Purpose, ticket: str, code: str) -> Proof | None:
        """Use a code up that was typed in beside its ticket; a wrong one counts, and after five it is no good."""
        row = await self._open(purpose, ticket, lock=True)
        if row is None or not await self._count(row):
            return None
        typed = "".join(code.split())
        right = secrets.compare_digest(typed.encode(), self._signer.code(purpose, row.id).encode())
        return self._use(row) if right else None

    async def try_ticket(self, purpose: Purpose, ticket: str) -> Proof | None:
        """Count a try at what the ticket stands for, where something else than its own code decides."""
        row = await self._open(purpose, ticket, lock=True)
        return Proof(row.id, row.user_id, row.email) if row and await self._count(row) else None

    async def _count(self, row: OtpCode) -> bool:
        row.attempts += 1
        await self._session.flush()
        return row.attempts <= TRIES

    def _use(self, row: OtpCode) -> Proof:
        row.consumed_at = datetime.now(UTC)
        return Proof(row.id, row.user_id, row.email)

    async def _open(self, purpose: Purpose, ticket: str, *, lock: bool) -> OtpCode | None:
        id_ = self._signer.read_ticket(purpose, ticket)
        if id_ is None:
            return None
        query = select(OtpCode).where(
            OtpCode.id == id_,
            OtpCode.consumed_at.is_(None),
            OtpCode.expires_at > func.now(),
            OtpCode.purpose == purpose,
        )
        return (await self._session.scalars(query.with_for_update() if lock else query)).one_or_none()


class Enrolment(NamedTuple):
    """What an authenticator app needs: the secret, and the address that its QR code says."""

    secret: str
    uri: str


class SecondFactor:
    """One person's authenticator app and recovery codes."""

    def __init__(self, session: AsyncSession, user_id: UUID) -> None:
        self._session = session
        self._user_id = user_id
        self._cipher: Cipher = session.info["cipher"]

    async def is_on(self) -> bool:
        row = await self._session.get(Totp, self._user_id)
        return row is not None and row.confirmed_at is not None

    async def codes_left(self) -> int:
        query = select(func.count()).where(RecoveryCode.user_id == self._user_id, RecoveryCode.used_at.is_(None))
        return await self._session.scalar(query) or 0

    async def begin(self, label: str) -> Enrolment:
        """A fresh secret, which counts once `enable` has seen a code of it.

        Raises:
            Conflict (`factor_on`): there is one already.
        """
        if await self.is_on():
            raise Conflict("The second factor is switched on already", code="factor_on")
        await self._session.execute(delete(Totp).where(Totp.user_id == self._user_id))
        secret = random_base32()
        sealed = self._cipher.encrypt("totp", self._user_id, secret)
        self._session.add(Totp(user_id=self._user_id, secret=sealed))
        await self._session.flush()
        return Enrolment(Secret(secret), TOTP(secret).provisioning_uri(name=label, issuer_name="TekNav"))

    async def begun(self, label: str) -> Enrolment | None:
        """The secret that waits for its first code."""
        row = await self._session.get(Totp, self._user_id)
        if row is None or row.confirmed_at is not None:
            return None
        secret = self._cipher.decrypt("totp", self._user_id, row.secret)
        return Enrolment(Secret(secret), TOTP(secret).provisioning_uri(name=label, issuer_name="TekNav"))

    async def enable(self, code: str) -> list[str] | None:
        """Switch it on with a first code; returns the recovery codes, None when the code is wrong.

        Raises:
            Conflict (`factor_on`, `factor_not_begun`).
        """
        row = await self._session.get(Totp, self._user_id, with_for_update=True)
        if row is None:
            raise Conflict("Add the secret to an authenticator app first", code="factor_not_begun")
        if row.confirmed_at is not None:
            raise Conflict("The second factor is switched on already", code="factor_on")
        if not self._accept(row, code):
            return None
        row.confirmed_at = datetime.now(UTC)
        return await self.renew_codes()

    async def disable(self) -> bool:
        """Forget secret and recovery codes; whether there was something to forget."""
        row = await self._session.get(Totp, self._user_id)
        if row is not None:
            await self._session.delete(row)
        await self._session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == self._user_id))
        await self._session.flush()
        return row is not None and row.confirmed_at is not None

    async def renew_codes(self) -> list[str]:
        """Ten fresh recovery codes, `abcd-efgh-jkmn-pqrs`; those from before no longer work."""
        await self._session.execute(delete(RecoveryCode).where(RecoveryCode.user_id == self._user_id))
        made = [
            "-".join("".join(secrets.choice(_ALPHABET) for _ in range(4)) for _ in range(4))
            for _ in range(RECOVERY_CODES)
        ]
        self._session.add_all(RecoveryCode(user_id=self._user_id, code_hash=digest(code)) for code in made)
        await self._session.flush()
        return made

    async def check(self, code: str) -> bool:
        """Whether this is a code of the app that was not used yet, or a recovery code, which is used up now.

        Raises:
            TooManyCodes: ten were wrong within a quarter of an hour, wherever they came from.
        """
        # Read anew: whoever held the row until now may have used this very code.
        row = await self._session.get(Totp, self._user_id, with_for_update=True, populate_existing=True)
        now = datetime.now(UTC)
        if row is None or row.confirmed_at is None:
            return False
        if row.failures_until is None or row.failures_until <= now:
            row.failures, row.failures_until = 0, now + WINDOW
        if row.failures >= WRONG_CODES:
            wait = max(1, round((row.failures_until - now).total_seconds()))
            raise TooManyCodes(headers={"Retry-After": str(wait)})
        right = self._accept(row, code) or await self._use_recovery_code(code)
        row.failures = 0 if right else row.failures + 1
        await self._session.flush()
        return right

    def _accept(self, row: Totp, code: str) -> bool:
        """RFC 6238, one step of 30 seconds to either side; a step counts once."""
        typed = "".join(code.split())
        totp = TOTP(self._cipher.decrypt("totp", self._user_id, row.secret))
        current = int(datetime.now(UTC).timestamp()) // STEP_S
        for step in (current - 1, current, current + 1):
            same = secrets.compare_digest(totp.generate_otp(step).encode(), typed.encode())
            if same and step > row.last_step:
                row.last_step = step
                return True
        return False

    async def _use_recovery_code(self, code: str) -> bool:
        plain = "".join(sign for sign in code.lower() if sign in _ALPHABET)
        shaped = "-".join(plain[n : n + 4] for n in range(0, len(plain), 4))
        query = (
            update(RecoveryCode)
            .where(
                RecoveryCode.user_id == self._user_id,
                RecoveryCode.code_hash == digest(shaped),
                RecoveryCode.used_at.is_(None),
            )
            .values(used_at=func.now())
            .returning(RecoveryCode.id)
        )
        return await self._session.scalar(query) is not None


async def forget_old_codes(session: AsyncSession, before: datetime) -> int:
    """Delete codes that expired before; returns how many."""
    gone = await session.execute(delete(OtpCode).where(OtpCode.expires_at < before))
    return int(getattr(gone, "rowcount", 0))
