"""Saved views on the wire."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

from msgspec import Meta, convert, field

from app.core.errors import Invalid
from app.core.wire import Incoming, Outgoing
from app.modules.views.models import SavedView

LONGEST_NAME, LONGEST_QUERY = 60, 1000
NOT_KEPT = ("cursor", "limit")
PAGE = re.compile(r"[a-z0-9-]+(/[a-z0-9:-]+){0,5}")


class ViewCreate(Incoming):
    """A list's filters under a name. `page` is its path under the dashboard, `logs/audit`; `query` as in an address."""

    page: Annotated[str, Meta(max_length=100, examples=["logs/audit"])]
    name: Annotated[str, Meta(min_length=1, max_length=LONGEST_NAME, examples=["Refused today"])]
    query: Annotated[str, Meta(max_length=LONGEST_QUERY, examples=["outcome=denied"])]


class ViewForm(Incoming):
    """The dashboard's form for that."""

    page: str = ""
    name: str = ""
    query: str = ""
    csrf_token: str = field(name="_csrf_token", default="")


class ViewRead(Outgoing):
    """A saved view of the caller's own."""

    id: UUID
    page: str
    name: str
    query: str
    created_at: datetime


class ViewList(Outgoing):
    """By name."""

    items: Sequence[ViewRead]


def read(row: SavedView) -> ViewRead:
    return convert(row, ViewRead, from_attributes=True)


def page_of(text: str) -> str:
    """
    Raises:
        Invalid: it is no path of a list.
    """
    if len(text) > 100 or not PAGE.fullmatch(text):
        raise Invalid.field("page", "must be a list's path under the dashboard, such as logs/audit")
    return text


def query_of(text: str) -> str:
    """The parameters in one form, without the place in the list.

    Raises:
        Invalid: it is too long or no query.
    """
    if len(text) > LONGEST_QUERY or not text.isprintable():
        raise Invalid.field("query", f"must have at most {LONGEST_QUERY} printable characters")
    kept = sorted((k, v) for k, v in parse_qsl(text.lstrip("?")) if k not in NOT_KEPT)
    if not kept:
        raise Invalid.field("query", "must have at least one filter")
    return urlencode(kept)
