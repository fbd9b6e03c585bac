"""The rules of files: what is taken, that a tenant has the same bytes once, and who gets them."""

from hashlib import sha256
from typing import Any
from urllib.parse import quote
from uuid import UUID

from litestar import Request, Response
from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import after_commit, scope_of
from app.core.errors import Conflict, Invalid, NotFound
from app.core.ids import new_id
from app.core.live import signal
from app.core.paging import Page, Pager, Sorts
from app.core.policy import Actor
from app.core.request import correlation_id
from app.core.threads import in_thread
from app.core.uploads import Upload, plain_name
from app.modules.audit.service import record
from app.modules.media import repository
from app.modules.media.client import ALIASES, KINDS, PICTURES, WEBP, Folder, NotAPicture, kind_of, size_of
from app.modules.media.client import folder_of as folder_of
from app.modules.media.jobs import MakeImages
from app.modules.media.models import File, Images, MediaAsset
from app.modules.media.repository import FileFilter as FileFilter
from app.modules.media.schemas import MAX_NAME
from app.modules.tenants.service import require_room
from app.queues.enqueue import enqueue

TOPIC = "files"
FILE_BYTES = "fileBytes"
UNSAID = ("", "application/octet-stream")
SORTS = Sorts("-createdAt", {"createdAt": File.id, "name": File.name, "byteCount": File.byte_count})


class FileService:
    """The files that the session's transaction may see. Every change is audited in its transaction."""

    def __init__(self, session: AsyncSession, actor: Actor, folder: Folder) -> None:
        self._session = session
        self._actor = actor
        self._folder = folder

    async def add(self, upload: Upload) -> tuple[File, bool]:
        """Keep a file, and say whether it is new: the same bytes again are the file that is there.

        Raises:
            Invalid (`file`): of a kind that is not taken, not what it says that it is, or a picture that is broken or
            too large. QuotaExceeded.
        """
        data, kind = upload.data, kind_of(upload.data)
        if kind is None:
            raise Invalid.field("file", f"must be one of {', '.join(KINDS)}, by its first bytes")
        said = upload.media_type.lower()
        if ALIASES.get(said, said) not in (kind, *UNSAID):
            raise Invalid.field("file", f"is {kind} by its first bytes, not {said}")
        width, height = await _size(kind, data) if kind in PICTURES else (None, None)
        tenant, id_, digest = scope_of(self._session).tenant_id, new_id(), sha256(data).hexdigest()
        if (there := await repository.same(self._session, tenant, digest)) is not None:
            return there, False
        await require_room(self._session, tenant, FILE_BYTES, len(data))
        values = {
            "id": id_,
            "tenant_id": tenant,
            "name": plain_name(upload.name, MAX_NAME, f"file.{kind.partition('/')[2]}"),
            "media_type": kind,
            "byte_count": len(data),
            "sha256": digest,
            "width": width,
            "height": height,
            "images": Images.PENDING if kind in PICTURES else Images.NONE,
            "uploaded_by": self._actor.label,
            "correlation_id": correlation_id(),
        }
        file = await repository.add(self._session, values)
        if file is None:  # sent twice at the same moment, and the other one was first
            there = await repository.same(self._session, tenant, digest)
            if there is None:
                raise Conflict("The same file is being deleted at this moment: send it again", code="same_file")
            return there, False
        await in_thread(self._folder.put, tenant, str(id_), data)
        if kind in PICTURES:
            await enqueue(self._session, MakeImages(file_id=id_))
        after = {"name": file.name, "mediaType": kind, "bytes": len(data), "sha256": digest}
        await record(self._session, self._actor, "file.create", resource=("file", id_, file.name), after=after)
        signal(self._session, TOPIC, id_, tenant)
        return file, True

    async def get(self, file_id: UUID) -> File:
        """
        Raises:
            NotFound: there is none, or it is another tenant's.
        """
        file = await self._session.scalar(select(File).where(File.id == file_id))
        if file is None:
            raise NotFound("There is no file with this id")
        return file

    async def assets(self, file_id: UUID) -> list[MediaAsset]:
        return await repository.assets(self._session, file_id)

    async def search(
        self, pager: Pager, wanted: FileFilter, *, limit: int = 25, cursor: str | None = None
    ) -> Page[File]:
        """Newest first."""
        of = f"files {scope_of(self._session).tenant_id} {wanted}"
        query = repository.files(wanted)
        return await pager.page(self._session, query, key=File.id, of=of, limit=limit, cursor=cursor, sorts=SORTS)

    async def content(self, file_id: UUID, width: int | None = None) -> tuple[File, str, bytes]:
        """A file's bytes, or those of its smaller picture of this width, with their media type.

        Raises:
            NotFound.
        """
        file = await self.get(file_id)
        if width is not None and width not in [one.width for one in await self.assets(file_id)]:
            raise NotFound("This file has no picture of this width")
        name = str(file.id) if width is None else f"{file.id}-{width}"
        try:
            data = await in_thread(self._folder.get, file.tenant_id, name)
        except FileNotFoundError:
            raise NotFound("What is in this file is not in this host's folder") from None
        return file, file.media_type if width is None else WEBP, data

    async def delete(self, file_id: UUID) -> None:
        """With its smaller pictures.

        Raises:
            NotFound.
        """
        file = await self.get(file_id)
        names = [str(file.id), *(f"{file.id}-{one.width}" for one in await self.assets(file_id))]
        await self._session.execute(delete(MediaAsset).where(MediaAsset.file_id == file_id))
        await self._session.execute(delete(File).where(File.id == file_id))
        before = {"name": file.name, "mediaType": file.media_type, "bytes": file.byte_count}
        what = ("file", file_id, file.name)
        tenant = file.tenant_id
        await record(self._session, self._actor, "file.delete", resource=what, before=before, tenant_id=tenant)
        signal(self._session, TOPIC, file_id, tenant)

        async def remove() -> None:
            await in_thread(self._folder.remove, tenant, names)

        after_commit(self._session, remove)


async def served(
    request: Request[Any, Any, Any], files: FileService, file_id: UUID, width: int | None = None
) -> Response[bytes]:
    """The bytes as an answer: 304 for whoever has them, shown in place only where it is a picture.

    Raises:
        NotFound.
    """
    file, kind, data = await files.content(file_id, width)
    tag = f'"{file.sha256[:32]}{"" if width is None else f"-{width}"}"'
    place = "inline" if kind in PICTURES else "attachment"
    headers = {
        "ETag": tag,
        "Cache-Control": "private, no-cache",
        "Content-Disposition": f"{place}; filename*=UTF-8''{quote(file.name, safe='')}",
        "Content-Security-Policy": "sandbox; default-src 'none'",
    }
    if tag in request.headers.get("if-none-match", ""):
        return Response(b"", status_code=304, headers=headers)
    return Response(data, media_type=kind, headers=headers)


async def keep_assets(session: AsyncSession, file: File, made: list[tuple[int, int, int]]) -> None:
    """Note the smaller pictures that lie in the folder: width, height and bytes of each."""
    rows = [
        {"tenant_id": file.tenant_id, "file_id": file.id, "width": w, "height": h, "media_type": WEBP, "byte_count": n}
        for w, h, n in made
    ]
    await session.execute(delete(MediaAsset).where(MediaAsset.file_id == file.id))
    await session.execute(insert(MediaAsset), rows)
    file.images = Images.COMPLETED
    signal(session, TOPIC, file.id, file.tenant_id)


async def _size(kind: str, data: bytes) -> tuple[int, int]:
    try:
        return await in_thread(size_of, kind, data)
    except NotAPicture as error:
        raise Invalid.field("file", str(error)) from None
