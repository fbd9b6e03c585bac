"""The versions of an article on the wire, and what changed between two of them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

from msgspec import convert, to_builtins

from app.core.wire import Outgoing
from app.modules.articles.service import ArticleVersion


class VersionItem(Outgoing):
    """A version in a list. `aiRunId` is the run of AI that wrote it, where one did."""

    number: int
    author: str
    reason: str | None
    ai_run_id: UUID | None
    sha256: str
    created_at: datetime


class VersionRead(VersionItem):
    """The content of an article as it was."""

    title: str
    slug: str
    language: str
    body: str


class VersionPage(Outgoing):
    """A page of versions, newest first."""

    items: Sequence[VersionItem]
    next_cursor: str | None
    prev_cursor: str | None


class FieldChange(Outgoing):
    """A field of one line that differs."""

    field: Literal["title", "slug", "language"]
    before: str
    after: str


class Line(Outgoing):
    """A line of the Markdown. `before` and `after` are its numbers there, from 1; None where it is not."""

    kind: Literal["same", "added", "removed"]
    before: int | None
    after: int | None
    text: str


class Comparison(Outgoing):
    """What changed from one version to another. `hunks` are the places in the body, with three lines around each.

    `exact` is false where the bodies are too long to compare line by line: then what differs is shown as a whole.
    """

    before: int
    after: int
    fields: Sequence[FieldChange]
    hunks: Sequence[Sequence[Line]]
    exact: bool


def item(row: ArticleVersion) -> VersionItem:
    return convert(row, VersionItem, from_attributes=True)


def read(row: ArticleVersion) -> VersionRead:
    return convert(to_builtins(item(row)) | row.snapshot, VersionRead)
