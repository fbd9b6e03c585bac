"""Exports on the wire, and the lines of their files."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta, Struct, convert
from msgspec import field as struct_field

from app.core.access import Access
from app.core.wire import Incoming, Outgoing
from app.modules.exports.models import Export

FILE_SEEN = Access("owner.read.export", "export", of="export_id", fields=("file",), exported=True)
State = Literal["queued", "running", "completed", "failed"]
FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Format(StrEnum):
    """How the file is written."""

    CSV = "csv"
    NDJSON = "ndjson"


class ExportCreate(Incoming):
    """A list to be exported. `filter` has the parameters of the list's own address, as text."""

    list: Annotated[str, Meta(max_length=40, examples=["audit"])]
    format: Format = Format.NDJSON
    filter: Annotated[dict[str, Annotated[str, Meta(max_length=200)]], Meta(max_length=20)] = struct_field(
        default_factory=dict
    )


class ExportForm(Incoming):
    """The dashboard's form for that; `query` is the list's address as it stands."""

    list: str = ""
    format: str = ""
    query: str = ""
    csrf_token: str = struct_field(name="_csrf_token", default="")


class ExportRead(Outgoing):
    """An export. `total` is how many rows there will be; the file is there when it is completed, until `expiresAt`."""

    id: UUID
    tenant_id: UUID
    list: str
    format: Format
    filter: dict[str, str]
    state: State
    total: int | None
    row_count: int
    byte_count: int
    job_id: UUID
    actor_label: str
    error: str | None
    created_at: datetime
    finished_at: datetime | None
    expires_at: datetime


class ExportPage(Outgoing):
    """A page of exports, in the order that was asked for."""

    items: Sequence[ExportRead]
    next_cursor: str | None
    prev_cursor: str | None


def read(row: Export) -> ExportRead:
    return convert(row, ExportRead, from_attributes=True)


def lines(form: str, rows: Iterable[Struct], columns: Sequence[str], *, first: bool) -> bytes:
    """Rows as they stand in the file; `first` puts the names of the columns above CSV."""
    plain: list[dict[str, Any]] = [msgspec.to_builtins(row) for row in rows]
    if form == Format.NDJSON:
        return b"".join(msgspec.json.encode(row) + b"\n" for row in plain)
    text = io.StringIO()
    table = csv.writer(text)
    if first:
        table.writerow(columns)
    table.writerows([cell(row.get(name)) for name in columns] for row in plain)
    return text.getvalue().encode()


def cell(value: Any) -> str:
    """What stands in a field of CSV. A spreadsheet must not take what somebody wrote for a formula of its own."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return f"'{text}" if isinstance(value, str) and text.startswith(FORMULA) else text


def file_name(row: Export) -> str:
    return f"{row.list}-{row.created_at:%Y-%m-%d-%H%M}.{row.format}"


def media_type(form: str) -> str:
    return "text/csv; charset=utf-8" if form == Format.CSV else "application/x-ndjson"


def wire_filter(given: Mapping[str, str]) -> dict[str, str]:
    """Without what is empty, and without order and place in the list: a file is newest first."""
    return {name: value for name, value in given.items() if value and name not in ("cursor", "limit", "sort")}
