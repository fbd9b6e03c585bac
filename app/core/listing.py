"""The list that an act of the dashboard answers with: as the reader had it when the button was pressed."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, NamedTuple, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

from litestar import Request

from app.core.paging import Page

T = TypeVar("T")


class Asked(NamedTuple):
    """What a list is asked for: filters, search and sort by their names in the address, and the place in it."""

    params: dict[str, str]
    cursor: str | None = None


def asked_of(given: Mapping[str, str], names: Collection[str]) -> Asked:
    """What the parameters of an address ask of a list that knows these names; an empty one is none."""
    return Asked({name: given[name] for name in names if given.get(name)}, given.get("cursor") or None)


def kept(request: Request[Any, Any, Any], path: str, names: Collection[str]) -> Asked:
    """What the page at `path`, from which an act was sent, asks of its list; nothing if it was sent from elsewhere.

    htmx tells the address of the page. As little of it is believed as of any address.
    """
    page = urlsplit(request.headers.get("hx-current-url", ""))
    there = unquote(page.path).rstrip("/") == unquote(path)
    return asked_of(dict(parse_qsl(page.query)) if there else {}, names)


async def filled(read: Callable[[str | None], Awaitable[Page[T]]], cursor: str | None) -> tuple[Page[T], str | None]:
    """The page at a cursor, with the cursor; the first page where nothing is left there: an act took all."""
    page = await read(cursor)
    return (page, cursor) if page.items or cursor is None else (await read(None), None)
