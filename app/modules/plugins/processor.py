"""What the worker runs: one try at one delivery, with no transaction held meanwhile; and forgetting old ones."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast

from sqlalchemy import CursorResult, delete
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.egress import Egress
from app.core.ids import floor_id, new_id
from app.modules.plugins.client import send
from app.modules.plugins.jobs import ExecuteHook, PurgeDeliveries
from app.modules.plugins.models import PluginDelivery, Status
from app.modules.plugins.service import HookLog
from app.queues.failure import Unrecoverable
from app.queues.job import processor
from app.queues.work import Work

KEPT = timedelta(days=90)


class NotDelivered(Exception):
    """The receiver did not take the message; the queue tries again."""


@processor(ExecuteHook)
async def execute_hook(work: Work, job: ExecuteHook) -> dict[str, Any] | None:
    """Raises what went wrong, so that the queue tries again; `Unrecoverable` where that cannot help."""
    log_id = new_id()  # in the steps' names: every delivery of the job opens a try of its own
    async with work.transaction(f"open:{log_id}") as session:
        assert session is not None
        call = await HookLog(session).open(job.delivery_id, log_id)
    if call is None:
        return None
    result = await send(work.resource(Egress), call)
    async with work.transaction(f"close:{log_id}") as session:
        assert session is not None
        await HookLog(session).close(job.delivery_id, log_id, result)
        if result.error is None:
            await work.complete(session, {"httpCode": result.http_code})
    if result.error is None:
        return None
    if result.final:
        raise Unrecoverable(result.error)
    raise NotDelivered(result.error)


@execute_hook.dead
async def on_dead(session: AsyncSession, job: ExecuteHook, error: str) -> None:
    await HookLog(session).give_up(job.delivery_id, error)


@execute_hook.replayed
async def on_replay(session: AsyncSession, job: ExecuteHook) -> None:
    await HookLog(session).take_up(job.delivery_id)


@processor(PurgeDeliveries)
async def purge_deliveries(work: Work, _: PurgeDeliveries) -> None:
    async with work.transaction("purge") as session:
        if session is not None:
            before = floor_id(datetime.now(UTC) - KEPT)
            old = delete(PluginDelivery).where(PluginDelivery.id < before, PluginDelivery.status != Status.QUEUED)
            gone = await session.execute(old.execution_options(synchronize_session=False))
            await work.complete(session, {"deliveries": cast(CursorResult[Any], gone).rowcount})
