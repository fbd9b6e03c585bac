"""Imports on the wire."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from msgspec import convert

from app.core.wire import Outgoing
from app.modules.imports.models import ImportItem, ImportRun, Outcome, Status

MAX_NAME = 200


class ImportRead(Outgoing):
    """An import. `total` is how many articles its file has, known once it was read."""

    id: UUID
    workspace_id: UUID | None
    format: str
    file_name: str
    byte_count: int
    dry_run: bool
    status: Status
    total: int | None
    created: int
    skipped: int
    failed: int
    job_id: UUID
    actor_label: str
    error: str | None
    created_at: datetime
    finished_at: datetime | None


class ImportOwned(ImportRead):
    """An import, for the owner."""

    tenant_id: UUID


class ImportPage(Outgoing):
    """A page of imports, newest first."""

    items: Sequence[ImportRead]
    next_cursor: str | None
    prev_cursor: str | None


class ImportOwnedPage(Outgoing):
    """A page of all tenants' imports, newest first."""

    items: Sequence[ImportOwned]
    next_cursor: str | None
    prev_cursor: str | None


class ItemRead(Outgoing):
    """What became of one article of the file. `ready`: this was a dry run, and it would have been created."""

    id: UUID
    n: int
    source: str
    title: str
    dated: str | None
    tags: Sequence[str]
    outcome: Outcome
    reason: str | None
    article_id: UUID | None


class ItemPage(Outgoing):
    """A page of an import's report, the last that was read first."""

    items: Sequence[ItemRead]
    next_cursor: str | None
    prev_cursor: str | None


def read(row: ImportRun) -> ImportRead:
    return convert(row, ImportRead, from_attributes=True)


def owned(row: ImportRun) -> ImportOwned:
    return convert(row, ImportOwned, from_attributes=True)


def item(row: ImportItem) -> ItemRead:
    return convert(row, ItemRead, from_attributes=True)
