"""Keyset paging: a page is the rows beyond a cursor, so rows that come or go do not shift it."""

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from uuid import UUID

import msgspec
from msgspec import to_builtins
from sqlalchemy import ColumnElement, Select, select, tuple_, union_all
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from app.core.errors import BadRequest, Invalid
from app.core.secrets import Signer

T = TypeVar("T")
R = TypeVar("R")
MAX_LIMIT = 100
RELEVANCE = "relevance"


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """A place in a list: the id of a row, which way to read from it, and which list it belongs to."""

    id: UUID
    back: bool
    list: str
    value: str | int | float | None = None
    """Of the column that the list is sorted by, where it is not by id."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list. A cursor is None where there is nothing on that side."""

    items: Sequence[T]
    next_cursor: str | None
    prev_cursor: str | None

    def map(self, convert: Callable[[T], R]) -> "Page[R]":
        return Page([convert(item) for item in self.items], self.next_cursor, self.prev_cursor)


@dataclass(frozen=True, slots=True)
class Sorts:
    """By what a list may be sorted: columns by their names in the address, and how it is where nobody says.

    A route says so beside its permission, `sorts=SORTS`, and its service to the pager. No column is ever NULL, and each
    holds text, numbers or times; the list's key stands for its age.
    """

    default: str
    columns: Mapping[str, InstrumentedAttribute[Any]]
    ranked: bool = False
    """Its service knows which rows fit words best: where some are searched for, they come by `relevance`, the best
    first, unless the reader wants it otherwise."""

    def __deepcopy__(self, memo: dict[int, Any]) -> "Sorts":
        """Itself: the framework copies what stands beside routes, and behind a column is the whole of the models."""
        return self

    @property
    def choices(self) -> list[str]:
        """`name`, the smallest first, and `-name`, for each column; `relevance` where there is that."""
        named = [sign + name for name in self.columns for sign in ("", "-")]
        return [RELEVANCE, *named] if self.ranked else named

    def chosen(self, asked: str | None, words: str | None = None) -> str:
        """
        Raises:
            Invalid (`sort`): it is not one that there is, or there are no words to be relevant to.
        """
        if asked is not None and asked not in self.choices:
            raise Invalid.field("sort", f"must be one of {', '.join(self.choices)}")
        if asked == RELEVANCE and not words:
            raise Invalid.field("sort", "relevance needs words: give q")
        return asked or (RELEVANCE if self.ranked and words else self.default)


class Pager:
    """Cuts lists into pages and signs the cursors, so that a caller cannot make one up.

    `sort` is how the reader wants lists that have `sorts`: the address says it, or the command.
    """

    def __init__(self, signer: Signer, sort: str | None = None) -> None:
        self._signer = signer
        self._sort = sort

    def by(self, sort: str | None) -> "Pager":
        """One that sorts otherwise: as the list did from which an act was sent."""
        return Pager(self._signer, sort)

    def chosen(self, sorts: Sorts, words: str | None = None) -> str:
        """How the reader wants a list with `sorts`, in which `words` are searched for.

        Raises:
            Invalid (`sort`).
        """
        return sorts.chosen(self._sort, words)

    @property
    def order(self) -> dict[str, str]:
        """What the addresses of the list's other pages keep, beside its filters."""
        return {"sort": self._sort} if self._sort else {}

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
        as_rows: bool = False,
        sorts: Sorts | None = None,
    ) -> Page[T]:
        """The rows of `query` that lie beyond `cursor`: newest first, or as the reader wants it of `sorts`.

        Args:
            key: the UUIDv7 column the list is ordered by.
            of: what list this is: its name, tenant and filters; a cursor of another list is refused.
            limit: rows on a page, 1 to 100.
            branches: conditions of which a row has to fulfil one. Each is read in order by its own index, and no
                further than a page; one `OR` would read and sort all that fits. They go with age alone.
            as_rows: the query names columns, `key` and those of `sorts` among them, and the page has its rows: they
                cost a third of what objects do, and nobody can change them.
            sorts: what the reader may choose from; rows with the same value go by `key`. A cursor is good for the
                order that it came with.

        Raises:
            Invalid: `limit` is out of range, or the reader wants none of `sorts`. BadRequest (`bad_cursor`): the
                cursor is not of this list.
        """
        if not 1 <= limit <= MAX_LIMIT:
            raise Invalid.field("limit", f"must be from 1 to {MAX_LIMIT}")
        sort: InstrumentedAttribute[Any] | None = None
        ascending = False
        if sorts is not None:
            chosen = self.chosen(sorts)
            column = sorts.columns[chosen.removeprefix("-")]
            sort, ascending, of = None if column is key else column, not chosen.startswith("-"), f"{of} {chosen}"
        label = hashlib.sha256(of.encode()).hexdigest()[:16]
        place = self._read(cursor, label) if cursor else None
        back = place is not None and place.back
        up = ascending != back
        columns: list[Any] = [key] if sort is None else [sort, key]
        if place is not None:
            row: Any = key if sort is None else tuple_(sort, key)
            here: Any = place.id if sort is None else (_value(place, sort), place.id)
            query = query.where(row > here if up else row < here)
        order = [column.asc() if up else column.desc() for column in columns]
        if branches:
            first_of = (query.with_only_columns(key).where(one).order_by(*order).limit(limit + 1) for one in branches)
            firsts = union_all(*(select(one.subquery()) for one in first_of)).subquery()
            query = query.where(key.in_(select(firsts)))
        found: Any = await session.execute(query.order_by(*order).limit(limit + 1))
        rows = list((found if as_rows else found.scalars()).all())
        more, rows = len(rows) > limit, rows[:limit]
        if back:
            rows.reverse()
        has_next = more if not back else True
        has_prev = more if back else place is not None

        def cursor_at(item: T, back: bool) -> str:
            value = None if sort is None else to_builtins(getattr(item, sort.key))
            return self._write(Cursor(getattr(item, key.key), back, label, value))

        return Page(
            rows,
            cursor_at(rows[-1], False) if rows and has_next else None,
            cursor_at(rows[0], True) if rows and has_prev else None,
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


def _value(place: Cursor, sort: InstrumentedAttribute[Any]) -> Any:
    return msgspec.convert(place.value, sort.type.python_type)
