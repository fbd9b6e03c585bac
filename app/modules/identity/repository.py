"""Queries on the first owner's links and on the counters of failed sign-ins."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import case, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.locks import hold
from app.modules.identity.models import OwnerLink, SignInCounter

ALL = "*"
"""Stands for all accounts, and for all addresses; none of either looks like it."""
WINDOW, STRANGERS_WINDOW = timedelta(minutes=15), timedelta(hours=1)


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


class Counted(NamedTuple):
    """How many there were of one kind, and when counting starts anew."""

    failures: int
    until: datetime


async def count_sign_in(session: AsyncSession, address: str, account: str) -> Failures:
    """Count a sign-in before its password is looked at, so that parallel guesses are counted as well."""
    found = await _count(session, [(address, ALL), (address, account)], WINDOW)
    here, everyone = found[address, account], found[address, ALL]
    return Failures(here.failures, everyone.failures, max(here.until, everyone.until))


async def count_stranger(session: AsyncSession, account: str) -> Counted:
    """The same for one account, over all browsers and addresses that it does not know."""
    return (await _count(session, [(ALL, account)], STRANGERS_WINDOW))[ALL, account]


async def forgive_sign_in(session: AsyncSession, address: str, account: str) -> None:
    """The password was right: what was counted for it does not stand. Rows are locked in the order of counting."""
    one_less = update(SignInCounter).where(SignInCounter.failures > 0).values(failures=SignInCounter.failures - 1)
    here, theirs = SignInCounter.address == address, SignInCounter.account == account
    await session.execute(one_less.where(here, SignInCounter.account == ALL))
    await session.execute(delete(SignInCounter).where(here, theirs))
    await session.execute(one_less.where(SignInCounter.address == ALL, theirs))


async def _count(
    session: AsyncSession, which: list[tuple[str, str]], window: timedelta
) -> dict[tuple[str, str], Counted]:
    rows = [
        {"address": address, "account": account, "failures": 1, "until": func.now() + window}
        for address, account in which
    ]
    new = insert(SignInCounter).values(rows)
    over = SignInCounter.until < func.now()
    query = new.on_conflict_do_update(
        index_elements=[SignInCounter.address, SignInCounter.account],
        set_={
            "failures": case((over, 1), else_=SignInCounter.failures + 1),
            "until": case((over, new.excluded.until), else_=SignInCounter.until),
        },
    ).returning(SignInCounter.address, SignInCounter.account, SignInCounter.failures, SignInCounter.until)
    found = (await session.execute(query)).all()
    return {(row.address, row.account): Counted(row.failures, row.until) for row in found}
