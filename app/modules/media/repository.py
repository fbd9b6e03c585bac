"""Queries on files."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Select, Uuid, any_, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.trace import MOST_STEPS, Step
from app.modules.media.models import File, Images, MediaAsset


@dataclass(frozen=True, slots=True)
class FileFilter:
    """Which files; None means any. `media_type` may be a whole one or what stands before its slash."""

    text: str | None = None
    media_type: str | None = None
    tenant_id: UUID | None = None


def files(wanted: FileFilter) -> Select[tuple[File]]:
    query = select(File)
    if wanted.text:
        query = query.where(File.name.icontains(wanted.text, autoescape=True))
    if wanted.media_type:
        query = query.where(File.media_type.startswith(wanted.media_type, autoescape=True))
    return query.where(File.tenant_id == wanted.tenant_id) if wanted.tenant_id is not None else query


async def add(session: AsyncSession, values: dict[str, Any]) -> File | None:
    """Insert a file; None when the tenant has these bytes, also by a transaction that committed just now."""
    query = insert(File).values(**values).on_conflict_do_nothing(index_elements=["tenant_id", "sha256"])
    added: File | None = await session.scalar(query.returning(File))
    return added


async def same(session: AsyncSession, tenant_id: UUID, sha256: str) -> File | None:
    found: File | None = await session.scalar(select(File).where(File.tenant_id == tenant_id, File.sha256 == sha256))
    return found


async def assets(session: AsyncSession, file_id: UUID) -> list[MediaAsset]:
    """The smallest first."""
    query = select(MediaAsset).where(MediaAsset.file_id == file_id).order_by(MediaAsset.width)
    return list(await session.scalars(query))


async def thumbnails(session: AsyncSession, ids: Collection[UUID]) -> dict[UUID, MediaAsset]:
    """Each file's smallest picture."""
    query = select(MediaAsset).where(MediaAsset.file_id.in_(ids)).order_by(MediaAsset.width.desc())
    return {one.file_id: one for one in await session.scalars(query)}


async def bytes_of(session: AsyncSession, tenant_id: UUID) -> int:
    """What a tenant's files take, without their smaller pictures."""
    query = select(func.coalesce(func.sum(File.byte_count), 0)).where(File.tenant_id == tenant_id)
    return int(await session.scalar(query) or 0)


async def known(session: AsyncSession, ids: Collection[UUID]) -> set[UUID]:
    """Which of these are files. One array: a folder may hold more of them than a statement may have parameters."""
    asked = bindparam("ids", list(ids), type_=ARRAY(Uuid))
    return set(await session.scalars(select(File.id).where(File.id == any_(asked))))


async def steps(session: AsyncSession, trace_id: UUID) -> list[Step]:
    """The files that a request brought, the first one first; a picture is under way until its smaller ones are made."""
    query = select(File).where(File.correlation_id == trace_id).order_by(File.id).limit(MOST_STEPS)
    return [
        Step(
            kind="file",
            label=row.name,
            status="created" if row.images == Images.NONE else row.images,
            began_at=row.created_at,
            ended_at=None if row.images == Images.PENDING else row.updated_at,
            open=row.images == Images.PENDING,
            path=f"/files/{row.id}",
            tenant_id=row.tenant_id,
        )
        for row in await session.scalars(query)
    ]
