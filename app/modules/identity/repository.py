"""Queries on the first owner's links and on the counters of failed sign-ins."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import case, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.locks import hold
from app.modules.identity.models import OwnerLink, SignInCounter

ALL = "*"
"""Stands for all accounts; no e-mail address looks like it."""
WINDOW = timedelta(minutes=15)


async def lock_first_owner(session: AsyncSession) -> None:
    """Until the transaction ends nobody else can be in the middle of becoming the first owner."""
    await hold(session, "teknav first owner")


async def open_link(session: AsyncSession, token_hash: bytes, *, lock: bool = False) -> OwnerLink | None:
    """The link, if it can still be used."""
    query = select(OwnerLink).where(
        OwnerLink.token_hash == token_hash, OwnerLink.used_at.is_(None), OwnerLink.expires_at > func.now()
    )
    return (await session.scalars(query.with_for_update() if lock else query)).one_or_none()


@dataclass(frozen=True, slots=True)
class Failures:
    """Sign-ins from one address that are not known to be right, and when counting starts anew."""

    account: int
    address: int
    until: datetime


async def count_sign_in(session: AsyncSession, address: str, account: str) -> Failures:
    """Count a sign-in before its password is looked at, so that parallel guesses are counted as well."""
    rows = [
        {"address": address, "account": name, "failures": 1, "until": func.now() + WINDOW} for name in (ALL, account)
    ]
    new = insert(SignInCounter).values(rows)
    over = SignInCounter.until < func.now()
    query = new.on_conflict_do_update(
        index_elements=[SignInCounter.address, SignInCounter.account],
        set_={
            "failures": case((over, 1), else_=SignInCounter.failures + 1),
            "until": case((over, new.excluded.until), else_=SignInCounter.until),
        },
    ).returning(SignInCounter.account, SignInCounter.failures, SignInCounter.until)
    found = {row.account: row for row in (await session.execute(query)).all()}
    return Failures(found[account].failures, found[ALL].failures, max(row.until for row in found.values()))


async def forgive_sign_in(session: AsyncSession, address: str, account: str) -> None:
    """The password was right: what was counted for it does not stand."""
    here = SignInCounter.address == address
    await session.execute(delete(SignInCounter).where(here, SignInCounter.account == account))
    some = update(SignInCounter).where(here, SignInCounter.account == ALL, SignInCounter.failures > 0)
    await session.execute(some.values(failures=SignInCounter.failures - 1))
