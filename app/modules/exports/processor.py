"""Writes the files of exports piece by piece, and deletes what is past its time."""

from datetime import UTC, datetime
from typing import Any, cast

from sqlalchemy import CursorResult, delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.live import signal
from app.modules.exports.jobs import ExportList, PurgeExports
from app.modules.exports.models import Export
from app.modules.exports.service import TOPIC, count, write_next
from app.queues.failure import Unrecoverable
from app.queues.job import processor
from app.queues.work import Work

MOST_ROWS = 1_000_000


@processor(ExportList, timeout_s=1800)
async def export_list(work: Work, job: ExportList) -> None:
    """One piece a transaction: an attempt that ends early is taken up by the next where it stopped."""
    more, piece = True, await _start(work, job)
    while more and piece is not None:
        async with work.transaction(f"piece:{piece}") as session:
            if session is None:
                piece += 1
                continue
            export = await _export(session, job)
            if export is None:
                return
            more = await write_next(session, session.info["exportables"][export.list], export)
            signal(session, TOPIC, export.id, export.tenant_id)
            if not more:
                export.state, export.finished_at = "completed", datetime.now(UTC)
                await session.flush()
                await work.complete(session, {"rows": export.row_count, "bytes": export.byte_count})
                return
            piece, done, total = export.chunks, export.row_count, export.total or 1
        await work.progress(100 * done / total, f"{done} of {total} rows")


async def _start(work: Work, job: ExportList) -> int | None:
    """The number of the piece to begin with; None where the export is gone.

    Raises:
        Unrecoverable: it would have too many rows.
    """
    async with work.transaction(f"start:{work.this_try}") as session:
        assert session is not None
        export = await _export(session, job)
        if export is None:
            return None
        source = session.info["exportables"][export.list]
        export.total = await count(session, source, export.filter, export.id, most=MOST_ROWS + 1)
        if export.total > MOST_ROWS:
            raise Unrecoverable(f"more than {MOST_ROWS:,} rows: choose a shorter time")
        export.state = "running"
        signal(session, TOPIC, export.id, export.tenant_id)
        return export.chunks


async def _export(session: AsyncSession, job: ExportList) -> Export | None:
    return (await session.scalars(select(Export).filter_by(id=job.export_id).with_for_update())).one_or_none()


@export_list.dead
async def on_dead(session: AsyncSession, job: ExportList, error: str) -> None:
    export = await _export(session, job)
    if export is not None:
        export.state, export.error, export.finished_at = "failed", error, datetime.now(UTC)
        signal(session, TOPIC, export.id, export.tenant_id)


@export_list.replayed
async def on_replay(session: AsyncSession, job: ExportList) -> None:
    query = update(Export).where(Export.id == job.export_id)
    await session.execute(query.values(state="queued", error=None, finished_at=None))


@processor(PurgeExports)
async def purge_exports(work: Work, _: PurgeExports) -> None:
    async with work.transaction("purge") as session:
        if session is not None:
            gone = await session.execute(delete(Export).where(Export.expires_at < datetime.now(UTC)))
            await work.complete(session, {"exports": cast(CursorResult[Any], gone).rowcount})
