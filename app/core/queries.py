"""Filters and choices as addresses and forms have them. An empty one is none, as browsers send it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, TypeVar
from unicodedata import category
from uuid import UUID

import msgspec
from msgspec import Meta, Struct
from sqlalchemy import Select
from sqlalchemy.orm import InstrumentedAttribute

from app.core.choices import explained
from app.core.errors import Invalid
from app.core.ids import floor_id

LONGEST, MOST_AT_ONCE = 200, 100
Ids = Annotated[Sequence[UUID], Meta(min_length=1, max_length=MOST_AT_ONCE)]
"""What callers of the API name to be changed together; `at_once` asks the same of everybody."""
Q = TypeVar("Q", bound=Struct)
R = TypeVar("R", bound=tuple[Any, ...])


def wire_name(name: str) -> str:
    """How a parameter is called in an address: camelCase, but for the two whose names Python keeps for itself."""
    head, *rest = name.split("_")
    return {"since": "from", "until": "to"}.get(name) or head + "".join(part.capitalize() for part in rest)


def query_of(given: Mapping[str, str], shape: type[Q]) -> Q:
    """A filter as text, from parameters that were kept; `shape` is renamed by `wire_name`.

    Raises:
        Invalid: naming a parameter that is not known.
    """
    for name in sorted(given.keys() - {*columns(shape)}):
        raise Invalid.field(name, "is not known here")
    return msgspec.convert(dict(given), shape)


def columns(shape: type[Struct]) -> tuple[str, ...]:
    """The names of a shape's fields on the wire."""
    return tuple(one.encode_name for one in msgspec.structs.fields(shape))


def text_of(field: str, value: str | None) -> str | None:
    """
    Raises:
        Invalid: naming the field; it is too long, or no text for people.
    """
    # Joiners are printed with the letters beside them: words in Persian hold some.
    if value and (len(value) > LONGEST or any(category(sign) in ("Cc", "Cs") for sign in value)):
        raise Invalid.field(field, f"must have at most {LONGEST} printable characters")
    return (value or "").strip() or None


def uuid_of(field: str, value: str | None) -> UUID | None:
    """
    Raises:
        Invalid: naming the field.
    """
    try:
        return UUID(value) if value else None
    except ValueError:
        raise Invalid.field(field, "must be a UUID") from None


def many(values: Sequence[str] | str) -> Sequence[str]:
    """What is ticked in a form: of one box alone a browser sends no list."""
    return [values] if isinstance(values, str) else values


def uuids_of(field: str, values: Sequence[str] | str) -> list[UUID]:
    """
    Raises:
        Invalid: naming the field.
    """
    return [found for each in many(values) if (found := uuid_of(field, each)) is not None]


def at_once(ids: Iterable[UUID]) -> set[UUID]:
    """What is changed together, in one transaction.

    Raises:
        Invalid (`ids`): none or too many.
    """
    chosen = {*ids}
    if not 0 < len(chosen) <= MOST_AT_ONCE:
        raise Invalid.field("ids", f"choose from 1 to {MOST_AT_ONCE}")
    return chosen


def one_of(field: str, value: str | None, kind: Any) -> Any:
    """What is chosen of a `Literal` or an enumeration.

    Raises:
        Invalid: naming the field, and what there is to choose.
    """
    try:
        return msgspec.convert(value, kind) if value else None
    except msgspec.ValidationError as error:
        raise Invalid.field(field, explained(error, kind)) from None


def between(
    query: Select[R], id_: InstrumentedAttribute[UUID], since: datetime | None, until: datetime | None
) -> Select[R]:
    """The rows that were made from `since` on and before `until`; None is no bound.

    By id and not by created_at: ids carry the time, and choose the month's partition.
    """
    query = query if since is None else query.where(id_ >= floor_id(since))
    return query if until is None else query.where(id_ < floor_id(until))
