"""Files on the wire."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from msgspec import convert

from app.core.wire import Outgoing
from app.modules.media.models import File, Images, MediaAsset

MAX_NAME = 200


class FileRead(Outgoing):
    """A file. `images` says whether its smaller pictures are made."""

    id: UUID
    name: str
    media_type: str
    byte_count: int
    sha256: str
    width: int | None
    height: int | None
    images: Images
    uploaded_by: str
    created_at: datetime


class AssetRead(Outgoing):
    """A smaller picture of an image, at `…/images/{width}`."""

    width: int
    height: int
    media_type: str
    byte_count: int


class FileDetail(FileRead):
    """A file with its smaller pictures."""

    assets: Sequence[AssetRead]


class FileOwned(FileRead):
    """A file, for the owner."""

    tenant_id: UUID


class FilePage(Outgoing):
    """A page of files, newest first."""

    items: Sequence[FileRead]
    next_cursor: str | None
    prev_cursor: str | None


class FileOwnedPage(Outgoing):
    """A page of all tenants' files, newest first."""

    items: Sequence[FileOwned]
    next_cursor: str | None
    prev_cursor: str | None


def read(row: File) -> FileRead:
    return convert(row, FileRead, from_attributes=True)


def owned(row: File) -> FileOwned:
    return convert(row, FileOwned, from_attributes=True)


def detail(row: File, assets: Sequence[MediaAsset]) -> FileDetail:
    fields = {name: getattr(row, name) for name in FileRead.__struct_fields__}
    return FileDetail(**fields, assets=[convert(one, AssetRead, from_attributes=True) for one in assets])
