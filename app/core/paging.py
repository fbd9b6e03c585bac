"""Keyset paging: a page is the rows beyond a cursor, so rows that come or go do not shift it."""

import base64
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, Select, select, union_all
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from app.core.errors import BadRequest, Invalid
from app.core.secrets import Signer

T = TypeVar("T")
R = TypeVar("R")
MAX_LIMIT = 100


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """A place in a list: the id of a row, which way to read from it, and which list it belongs to."""

    id: UUID
    back: bool
    list: str


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list. A cursor is None where there is nothing on that side."""

    items: Sequence[T]
    next_cursor: str | None
    prev_cursor: str | None

    def map(self, convert: Callable[[T], R]) -> "Page[R]":
        return Page([convert(item) for item in self.items], self.next_cursor, self.prev_cursor)


class Pager:
    """Cuts lists into pages and signs the cursors, so that a caller cannot make one up."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    async def page(
        self,
        session: AsyncSession,
        query: Select[tuple[T]],
        *,
        key: InstrumentedAttribute[UUID],
        of: str,
        limit: int = 25,
        cursor: str | None = None,
        branches: Sequence[ColumnElement[bool]] = (),
    ) -> Page[T]:
        """The rows of `query`, newest first, that lie beyond `cursor`.

        Args:
            key: the UUIDv7 column the list is ordered by.
            of: what list this is: its name, tenant and filters; a cursor of another list is refused.
            limit: rows on a page, 1 to 100.
            branches: conditions of which a row has to fulfil one. Each is read in order by its own index, and no
                further than a page; one `OR` would read and sort all that fits.

        Raises:
            Invalid: `limit` is out of range. BadRequest (`bad_cursor`): the cursor is not of this list.
        """
        if not 1 <= limit <= MAX_LIMIT:
            raise Invalid.field("limit", f"must be from 1 to {MAX_LIMIT}")
        label = hashlib.sha256(of.encode()).hexdigest()[:16]
        place = self._read(cursor, label) if cursor else None
        back = place is not None and place.back
        if place is not None:
            query = query.where(key > place.id if back else key < place.id)
        order = key.asc() if back else key.desc()
        if branches:
            first_of = (query.with_only_columns(key).where(one).order_by(order).limit(limit + 1) for one in branches)
            firsts = union_all(*(select(one.subquery()) for one in first_of)).subquery()
            query = query.where(key.in_(select(firsts)))
        rows = list((await session.scalars(query.order_by(order).limit(limit + 1))).all())
        more, rows = len(rows) > limit, rows[:limit]
        if back:
            rows.reverse()
        first = getattr(rows[0], key.key) if rows else None
        last = getattr(rows[-1], key.key) if rows else None
        has_next = more if not back else True
        has_prev = more if back else place is not None
        return Page(
            rows,
            self._write(Cursor(last, False, label)) if last and has_next else None,
            self._write(Cursor(first, True, label)) if first and has_prev else None,
        )

    def _write(self, cursor: Cursor) -> str:
        body = base64.urlsafe_b64encode(msgspec.json.encode(cursor)).decode().rstrip("=")
        return f"{body}.{self._signer.sign('cursor', body)}"

    def _read(self, text: str, label: str) -> Cursor:
        body, _, signature = text.partition(".")
        wrong = BadRequest("cursor: does not belong to this list", code="bad_cursor")
        if not text.isascii() or not self._signer.verify("cursor", body, signature):
            raise wrong
        cursor = msgspec.json.decode(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)), type=Cursor)
        if cursor.list != label:
            raise wrong
        return cursor
