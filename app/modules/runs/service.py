"""The rules of runs: each try at a task is one, and all that happens in it leaves a trace.

A run belongs to a task of `ai`, which stands above and holds the task's lock while it writes here.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from sqlalchemy import Select, func
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import scope_of
from app.core.errors import Invalid, NotFound
from app.core.live import signal
from app.core.paging import Page, Pager, Sorts
from app.modules.runs import repository
from app.modules.runs.models import AiEventLog, AiMessage, AiRun, RunStatus
from app.modules.runs.repository import EntryFilter, RunFilter, Spent, UsedPart
from app.modules.runs.schemas import By

__all__ = ["TOPIC", "By", "RunFilter", "RunLog", "RunStatus", "Runs"]
TOPIC = "ai.runs"
SORTS = Sorts("-createdAt", {"createdAt": AiRun.id})
MESSAGE_SORTS = Sorts("-createdAt", {"createdAt": AiMessage.id})
EVENT_SORTS = Sorts("-createdAt", {"createdAt": AiEventLog.id})
R = TypeVar("R")
Part = dict[str, Any]
_NOW: Any = func.now()  # the database's clock, like the start's


class Runs:
    """Reading runs and what belongs to them. What a provider was told and answered is the platform's to read."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def run(self, run_id: UUID) -> AiRun:
        """
        Raises:
            NotFound: there is none with this id.
        """
        return await self._one(repository.runs(RunFilter()).where(AiRun.id == run_id), "run")

    async def event(self, event_id: UUID) -> AiEventLog:
        """
        Raises:
            NotFound: there is none with this id.
        """
        return await self._one(repository.events(EntryFilter()).where(AiEventLog.id == event_id), "event")

    async def runs(self, pager: Pager, wanted: RunFilter, *, limit: int = 25, cursor: str | None = None) -> Page[AiRun]:
        return await self._page(pager, repository.runs(wanted), SORTS, wanted, limit, cursor)

    async def of_task(self, pager: Pager, task_id: UUID, *, limit: int) -> Page[AiRun]:
        """The newest runs of one task."""
        return await self.runs(pager, RunFilter(task_id=task_id), limit=limit)

    async def messages(
        self, pager: Pager, wanted: EntryFilter, *, limit: int = 25, cursor: str | None = None
    ) -> Page[AiMessage]:
        return await self._page(pager, repository.messages(wanted), MESSAGE_SORTS, wanted, limit, cursor)

    async def events(
        self, pager: Pager, wanted: EntryFilter, *, limit: int = 25, cursor: str | None = None
    ) -> Page[AiEventLog]:
        return await self._page(pager, repository.events(wanted), EVENT_SORTS, wanted, limit, cursor)

    async def usage(self, month: str | None = None) -> tuple[str, list[Spent]]:
        """What runs used in a month ("2026-11"), or in this one, by tenant; a tenant finds its own.

        Raises:
            Invalid: naming `month`.
        """
        begin, end = _span(month)
        return f"{begin:%Y-%m}", await repository.spent(self._session, begin, end)

    async def parts(
        self, by: By, month: str | None = None, tenant_id: UUID | None = None
    ) -> tuple[str, list[UsedPart]]:
        """The same, of all tenants or of one, by day, kind of task or model.

        Raises:
            Invalid: naming `month`.
        """
        begin, end = _span(month)
        return f"{begin:%Y-%m}", await repository.parts(self._session, begin, end, by, tenant_id)

    async def _one(self, query: Select[tuple[R]], what: str) -> R:
        found: R | None = await self._session.scalar(query)
        if found is None:
            raise NotFound(f"There is no AI {what} with this id")
        return found

    async def _page(
        self,
        pager: Pager,
        query: Select[tuple[R]],
        sorts: Sorts,
        wanted: RunFilter | EntryFilter,
        limit: int,
        cursor: str | None,
    ) -> Page[R]:
        key = sorts.columns["createdAt"]
        place = f"{key} {scope_of(self._session).tenant_id} {wanted}"
        return await pager.page(self._session, query, key=key, of=place, limit=limit, cursor=cursor, sorts=sorts)


def _span(month: str | None) -> tuple[date, date]:
    """When a month begins and ends, by UTC; this one where none is named.

    Raises:
        Invalid: naming `month`.
    """
    try:
        begin = (datetime.strptime(month, "%Y-%m") if month else datetime.now(UTC)).date().replace(day=1)
    except ValueError:
        raise Invalid.field("month", "must be a month such as 2026-11") from None
    if not 2020 <= begin.year < 2100:
        raise Invalid.field("month", "must lie between 2020 and 2099")
    return begin, (begin + timedelta(days=32)).replace(day=1)


class RunLog:
    """A worker's side: opens, completes and fails runs, and writes down what happened."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def open(self, run_id: UUID, tenant_id: UUID, task_id: UUID, provider: str, **about: Any) -> None:
        """The next run of a task; one that a lost worker left open is closed first."""
        last = await self.close_open(task_id, "the worker was lost during this run")
        run = AiRun(
            id=run_id,
            tenant_id=tenant_id,
            task_id=task_id,
            attempt=last.attempt + 1 if last else 1,
            provider=provider,
            status=RunStatus.RUNNING,
        )
        self._session.add(run)
        await self._session.flush()
        await self._note(run, "run.started", attempt=run.attempt, provider=provider, **about)
        self._announce(run)

    async def complete(
        self,
        run_id: UUID,
        *,
        model: str,
        template_version: int | None,
        usage: Mapping[str, int] | None,
        cost: Decimal | None,
        said: Sequence[tuple[str, list[Part]]],
        finish_reason: str,
        **about: Any,
    ) -> None:
        """Keep what was used, and `said`: the messages that were sent and the answer, each a role and its parts."""
        run = await self._session.get_one(AiRun, run_id)
        self._say(run, said)
        run.status, run.model, run.cost, run.finished_at = RunStatus.COMPLETED, model, cost, _NOW
        run.template_version = template_version
        if usage is not None:
            run.usage = dict(usage)
        await self._note(run, "provider.answered", model=model, finishReason=finish_reason)
        await self._note(run, "run.completed", **about)
        self._announce(run)

    async def fail(self, run_id: UUID, code: str, message: str, **about: Any) -> bool:
        """Close a run that got no answer; False where the next worker has closed it, and it stays as it is."""
        run = await self._session.get_one(AiRun, run_id)
        if run.status != RunStatus.RUNNING:
            return False
        self._close(run, code, message)
        await self._note(run, "run.failed", "error", code=code, message=message, **about)
        self._announce(run)
        return True

    async def close_open(self, task_id: UUID, reason: str) -> AiRun | None:
        """The task's latest run, closed if a worker left it open."""
        last = await repository.latest_run(self._session, task_id)
        if last is not None and last.status == RunStatus.RUNNING:
            self._close(last, "interrupted", reason)
            await self._note(last, "run.interrupted", "warning", message=reason)
            await self._session.flush()
            self._announce(last)
        return last

    def _close(self, run: AiRun, code: str, message: str) -> None:
        run.status, run.error_code, run.error_message, run.finished_at = RunStatus.FAILED, code, message, _NOW

    def _say(self, run: AiRun, said: Sequence[tuple[str, list[Part]]]) -> None:
        for seq, (role, parts) in enumerate(said, 1):
            digest = sha256(msgspec.json.encode(parts, order="sorted")).hexdigest()
            self._session.add(
                AiMessage(tenant_id=run.tenant_id, run_id=run.id, seq=seq, role=role, parts=parts, sha256=digest)
            )

    async def _note(self, run: AiRun, type_: str, level: str = "info", **payload: Any) -> None:
        seq = await repository.last_seq(self._session, run.id) + 1
        self._session.add(
            AiEventLog(run_id=run.id, seq=seq, tenant_id=run.tenant_id, type=type_, level=level, payload=payload)
        )

    def _announce(self, run: AiRun) -> None:
        signal(self._session, TOPIC, run.id, run.tenant_id)
