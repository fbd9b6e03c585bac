"""Reads the file of an import, and makes a draft of each of its articles, one in a transaction."""

from datetime import UTC, datetime

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import Problem, RateLimited
from app.core.live import signal
from app.modules.imports.client import Entry, Unreadable, entries
from app.modules.imports.jobs import ImportArticles
from app.modules.imports.models import ImportRun, Outcome, Status
from app.modules.imports.service import TOPIC, Importing
from app.queues.job import processor
from app.queues.work import Work


class _Undo(Exception):
    """Rolls a dry run's transaction back."""


@processor(ImportArticles, timeout_s=3600)
async def import_articles(work: Work, job: ImportArticles) -> None:
    """An attempt that ends early is taken up by the next where it stopped."""
    async with work.transaction(f"start:{work.this_try}") as session:
        assert session is not None
        begun = await Importing(session).begin(job.import_id)
    if begun is None:
        return
    run, data = begun
    try:
        found = await work.in_thread(entries, data)
    except Unreadable as error:
        await _end(work, run, Status.FAILED, f"The file cannot be read: {error}")
        return
    await _total(work, run, len(found))
    for n in range(run.done, len(found)):
        await _one(work, run, n, found[n])
        await work.progress(100 * (n + 1) / len(found), f"{n + 1} of {len(found)} articles")
    await _end(work, run, Status.COMPLETED)


async def _one(work: Work, run: ImportRun, n: int, entry: Entry) -> None:
    step, outcome, reason = f"item:{n}", Outcome.FAILED, entry.problem
    if entry.problem is None:
        try:
            async with work.transaction(step) as session:
                if session is None:
                    return
                importing = Importing(session)
                outcome, reason, article_id = await importing.create(run, entry)
                if run.dry_run and outcome is Outcome.CREATED:
                    outcome = Outcome.READY
                    raise _Undo
                await importing.note(run, n, entry, outcome, reason, article_id)
                return
        except _Undo:
            pass
        except RateLimited:
            raise  # the job goes on from here later
        except Problem as error:
            outcome, reason = Outcome.FAILED, error.detail
    async with work.transaction(step) as session:
        if session is not None:
            await Importing(session).note(run, n, entry, outcome, reason, None)


async def _total(work: Work, run: ImportRun, total: int) -> None:
    async with work.transaction("total") as session:
        if session is not None:
            await session.execute(update(ImportRun).where(ImportRun.id == run.id).values(total=total))
            signal(session, TOPIC, run.id, run.tenant_id)


async def _end(work: Work, run: ImportRun, status: Status, error: str | None = None) -> None:
    async with work.transaction("end") as session:
        if session is None:
            return
        ended = {"status": status, "error": error, "finished_at": datetime.now(UTC), "data": None}
        query = update(ImportRun).where(ImportRun.id == run.id).values(ended).returning(ImportRun)
        row = (await session.execute(query)).scalar_one()
        signal(session, TOPIC, run.id, run.tenant_id)
        result = {"created": row.created, "skipped": row.skipped, "failed": row.failed}
        await work.complete(session, result)


@import_articles.dead
async def on_dead(session: AsyncSession, job: ImportArticles, error: str) -> None:
    """Its file stays, so that a replay can go on."""
    await _set(session, job, Status.FAILED, error)


@import_articles.replayed
async def on_replay(session: AsyncSession, job: ImportArticles) -> None:
    await _set(session, job, Status.QUEUED, None)


async def _set(session: AsyncSession, job: ImportArticles, status: Status, error: str | None) -> None:
    ended = datetime.now(UTC) if status is Status.FAILED else None
    query = update(ImportRun).where(ImportRun.id == job.import_id).returning(ImportRun.tenant_id)
    tenant = await session.scalar(query.values(status=status, error=error, finished_at=ended))
    if tenant is not None:
        signal(session, TOPIC, job.import_id, tenant)
