"""Asking for runs of the isolation suite, and what they found."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from msgspec import to_builtins
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from app import __version__
from app.core.errors import Conflict, NotFound
from app.core.ids import PLATFORM_TENANT, new_id
from app.core.live import signal
from app.core.locks import hold
from app.core.paging import Page, Pager
from app.core.policy import Actor
from app.core.signs import Sign, Weight, counted
from app.modules.audit.service import record
from app.modules.isolation.jobs import TryIsolation
from app.modules.isolation.models import IsolationRun, Status
from app.modules.isolation.schemas import Case, Result
from app.queues.enqueue import enqueue

TOPIC = "isolation"
KEPT = 50
UNFINISHED = (Status.QUEUED, Status.RUNNING)


class IsolationService:
    """Runs, in the caller's transaction; for the platform only."""

    def __init__(self, session: AsyncSession, actor: Actor) -> None:
        self._session = session
        self._actor = actor

    async def list(self, pager: Pager, *, limit: int = 25, cursor: str | None = None) -> Page[IsolationRun]:
        """Newest first; the newest fifty are kept."""
        query = select(IsolationRun)
        return await pager.page(
            self._session, query, key=IsolationRun.id, of="isolation runs", limit=limit, cursor=cursor
        )

    async def get(self, run_id: UUID) -> IsolationRun:
        """
        Raises:
            NotFound: there is none.
        """
        row = await self._session.get(IsolationRun, run_id)
        if row is None:
            raise NotFound("There is no run of the isolation suite with this id")
        return row

    async def latest(self) -> IsolationRun | None:
        query = select(IsolationRun).order_by(IsolationRun.id.desc()).limit(1)
        found: IsolationRun | None = await self._session.scalar(query)
        return found

    async def ask(self) -> IsolationRun:
        """Have a worker try everything.

        Raises:
            Conflict (`already_running`): a run is not over yet.
        """
        await hold(self._session, "teknav isolation run")
        if await self._session.scalar(select(IsolationRun.id).where(IsolationRun.status.in_(UNFINISHED)).limit(1)):
            raise Conflict("A run is not over yet", code="already_running")
        row = IsolationRun(id=new_id(), asked_by=self._actor.label, teknav=__version__)
        self._session.add(row)
        row.job_id = await enqueue(self._session, TryIsolation(run_id=row.id))
        await self._session.flush()
        await record(self._session, self._actor, "owner.isolation.run", resource=("isolation_run", row.id, None))
        self._changed(row)
        return row

    async def begin(self, run_id: UUID) -> None:
        row = await self.get(run_id)
        row.status, row.error, row.finished_at = Status.RUNNING, None, None
        self._changed(row)

    async def finish(self, run_id: UUID, cases: Sequence[Case]) -> None:
        """Keep what was found; runs before the newest fifty go."""
        row, found = await self.get(run_id), Counter(case.result for case in cases)
        row.cases = to_builtins(cases)
        row.tried, row.skipped = len(cases) - found[Result.SKIPPED], found[Result.SKIPPED]
        row.got_through = found[Result.BREACHED]
        row.status = Status.BREACHED if found[Result.BREACHED] else Status.HELD
        row.finished_at = datetime.now(UTC)
        newest = select(IsolationRun.id).order_by(IsolationRun.id.desc()).limit(KEPT)
        await self._session.execute(delete(IsolationRun).where(IsolationRun.id.not_in(newest)))
        self._changed(row)

    async def give_up(self, run_id: UUID, error: str) -> None:
        """A run that went since with those before the newest fifty is left out: the job dies without it."""
        row = await self._session.get(IsolationRun, run_id)
        if row is not None:
            row.status, row.error, row.finished_at = Status.FAILED, error, datetime.now(UTC)
            self._changed(row)

    def _changed(self, row: IsolationRun) -> None:
        signal(self._session, TOPIC, row.id, PLATFORM_TENANT)


async def signs(session: AsyncSession) -> list[Sign]:
    """What the last run that came to an end has found; nothing before the first one."""
    ended = IsolationRun.status.not_in(UNFINISHED)
    query = select(IsolationRun).where(ended).order_by(IsolationRun.id.desc()).limit(1)
    last: IsolationRun | None = await session.scalar(query)
    if last is None:
        return []
    here = f"/isolation/{last.id}"
    if last.status == Status.BREACHED:
        text = f"{counted(last.got_through, 'try', 'tries')} got through the walls between tenants"
        return [Sign("Isolation", "breached", text, Weight.BAD, here)]
    if last.status == Status.FAILED:
        text = "The walls between tenants could not be tried to the end"
        return [Sign("Isolation", "failed", text, Weight.WARN, here)]
    text = f"{counted(last.tried, 'try', 'tries')} against the walls between tenants, none got through"
    return [Sign("Isolation", "held", text, Weight.OK, here)]
