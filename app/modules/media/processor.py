"""Makes the smaller pictures of images, and tidies the folder of files."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.live import signal
from app.core.threads import in_thread
from app.modules.media.client import Folder, NotAPicture, smaller
from app.modules.media.jobs import MakeImages, SweepFiles
from app.modules.media.models import File, Images
from app.modules.media.repository import known
from app.modules.media.service import TOPIC, keep_assets
from app.queues.job import processor
from app.queues.work import Work

UNTOUCHED = timedelta(hours=1)


@processor(MakeImages, timeout_s=120)
async def make_images(work: Work, job: MakeImages) -> None:
    """A picture that cannot be decoded is its sender's matter: the job completes, and the file says it."""
    folder = work.resource(Folder)
    async with work.transaction(f"look:{work.this_try}") as session:
        assert session is not None
        file = await _file(session, job)
    if file is None:
        return
    try:
        data = await in_thread(folder.get, file.tenant_id, str(file.id))
        made = await work.in_thread(smaller, file.media_type, data)
    except NotAPicture as error:
        async with work.transaction("failed") as session:
            if session is not None:
                await _failed(session, job)
                await work.complete(session, {"error": str(error)})
        return
    for width, _, picture in made:
        await in_thread(folder.put, file.tenant_id, f"{file.id}-{width}", picture)
    async with work.transaction("result") as session:
        if session is None:
            return
        row = await _file(session, job)
        if row is not None:
            await keep_assets(session, row, [(width, height, len(picture)) for width, height, picture in made])
        await session.flush()
        await work.complete(session, {"images": len(made) if row is not None else 0})


async def _file(session: AsyncSession, job: MakeImages) -> File | None:
    found: File | None = await session.scalar(select(File).where(File.id == job.file_id).with_for_update())
    return found


async def _failed(session: AsyncSession, job: MakeImages) -> None:
    query = update(File).where(File.id == job.file_id).values(images=Images.FAILED).returning(File.tenant_id)
    tenant = await session.scalar(query)
    if tenant is not None:
        signal(session, TOPIC, job.file_id, tenant)


@make_images.dead
async def on_dead(session: AsyncSession, job: MakeImages, error: str) -> None:
    await _failed(session, job)


@make_images.replayed
async def on_replay(session: AsyncSession, job: MakeImages) -> None:
    await session.execute(update(File).where(File.id == job.file_id).values(images=Images.PENDING))


@processor(SweepFiles, timeout_s=1800)
async def sweep_files(work: Work, _: SweepFiles) -> None:
    folder = work.resource(Folder)
    lying = await in_thread(lambda: list(folder.older(UNTOUCHED.total_seconds())))
    ids = {id_ for _, name in lying if (id_ := _id(name)) is not None}
    async with work.transaction(f"look:{work.this_try}") as session:
        assert session is not None
        there = await known(session, ids)
    gone = [(tenant, name) for tenant, name in lying if _id(name) not in there]
    for tenant, name in gone:
        await in_thread(folder.discard, tenant, name)
    async with work.transaction("result") as session:
        if session is not None:
            await work.complete(session, {"removed": len(gone)})


def _id(name: str) -> UUID | None:
    """Whose it is; None for what was cut off while it was written."""
    try:
        return None if name.endswith(".part") else UUID(name[:36])
    except ValueError:
        return None
