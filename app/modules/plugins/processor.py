"""What the worker runs: the tries at one delivery, with no transaction held meanwhile; and forgetting old ones."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

import msgspec
from sqlalchemy import CursorResult, delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.egress import Egress
from app.core.events import emit
from app.core.ids import floor_id, new_id
from app.core.policy import SYSTEM_ACTOR
from app.core.secrets import Cipher
from app.modules.plugins import repository
from app.modules.plugins.client import Call, Result, send
from app.modules.plugins.events import DeliveryEnded
from app.modules.plugins.jobs import ExecuteHook, PurgeDeliveries
from app.modules.plugins.models import PluginConfig, PluginDelivery, PluginExecutionLog, Status
from app.modules.plugins.service import again, audited, body_of, secret_settings, tell, trace
from app.modules.tenants.service import may_send
from app.queues.failure import Unrecoverable
from app.queues.job import processor
from app.queues.work import Work

KEPT = timedelta(days=90)
MOST_FAILURES = 10
"""So many deliveries in a row that fail for good, and the plugin is disabled."""


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


class HookLog:
    """Opens and closes the tries at one delivery, and says how it ended.

    Each call locks the delivery, so that two workers never write into one try.
    """

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def open(self, delivery_id: UUID, log_id: UUID) -> Call | None:
        """Begin the next try; None when there is nothing to do: it has ended, or ends here, as nobody wants it."""
        row = await self._row(delivery_id)
        if row is None or row.status != Status.QUEUED:
            return None
        last = await self._close_open(row)
        call = await self._call(row)
        if call is None:
            return None
        log = PluginExecutionLog(
            id=log_id,
            tenant_id=row.tenant_id,
            delivery_id=row.id,
            attempt=last.attempt + 1 if last else 1,
            url=call.url,
        )
        self._session.add(log)
        tell(self._session, row)
        return call

    async def close(self, delivery_id: UUID, log_id: UUID, result: Result) -> bool:
        """Write down what came of a try; False when the next worker has closed it, and so it counts no more."""
        row = await self._row(delivery_id)
        log = await self._session.get(PluginExecutionLog, log_id)
        if row is None or log is None or log.finished_at is not None:
            return False
        log.http_code, log.latency_ms, log.response = result.http_code, result.latency_ms, result.response
        log.error, log.finished_at = result.error, datetime.now(UTC)
        row.http_code, row.error = result.http_code, result.error
        if result.error is None:
            await self._end(row, Status.DELIVERED)
            await self._count(row, None)
        elif result.gone:
            await self._disable(row, "the receiver answered 410: it is gone")
        tell(self._session, row)
        return True

    async def give_up(self, delivery_id: UUID, error: str) -> None:
        """The job is out of attempts, or somebody has ended it."""
        row = await self._row(delivery_id)
        if row is None or row.status != Status.QUEUED:
            return
        await self._close_open(row)
        # The receiver's failure counts; that somebody removed the job does not.
        its_own = row.error == error
        row.error = error
        await self._end(row, Status.FAILED)
        if its_own:
            await self._count(row, error)

    async def take_up(self, delivery_id: UUID) -> None:
        """The job gets a new run: the delivery is under way again."""
        row = await self._row(delivery_id)
        if row is not None and row.status == Status.FAILED:
            again(row)
            tell(self._session, row)

    async def _row(self, delivery_id: UUID) -> PluginDelivery | None:
        row: PluginDelivery | None = await self._session.get(PluginDelivery, delivery_id, with_for_update=True)
        return row

    async def _call(self, row: PluginDelivery) -> Call | None:
        if not await may_send(self._session):
            row.error = "its tenant is suspended"
            await self._end(row, Status.SKIPPED)
            return None
        message = body_of(row)
        if row.plugin_id is None:
            return Call(str(row.address), row.id, msgspec.json.encode(message), (), ())
        plugin, config = await repository.receiver(self._session, row.plugin_id)
        if config is None or not (config.enabled or row.test):
            row.error = "its plugin was removed" if config is None else "its plugin is disabled"
            await self._end(row, Status.SKIPPED)
            return None
        secrets = secret_settings(self._session, config)
        signing = _signing_secrets(self._session, config)
        body = msgspec.json.encode(message | {"settings": config.settings | secrets})
        # As a receiver would repeat them: as they are, or as they stand in the body.
        quoted = (msgspec.json.encode(value).decode()[1:-1] for value in secrets.values())
        return Call(plugin.endpoint, row.id, body, signing, [*secrets.values(), *quoted, *signing])

    async def _close_open(self, row: PluginDelivery) -> PluginExecutionLog | None:
        """The latest try, closed if a worker left it open."""
        query = select(PluginExecutionLog).filter_by(delivery_id=row.id)
        last = await self._session.scalar(query.order_by(PluginExecutionLog.attempt.desc()).limit(1))
        if last is not None and last.finished_at is None:
            last.error, last.finished_at = "the worker was lost during this try", datetime.now(UTC)
            await self._session.flush()
        return last

    async def _end(self, row: PluginDelivery, status: Status) -> None:
        row.status, row.finished_at = status, datetime.now(UTC)
        await self._session.flush()
        tell(self._session, row)
        await emit(self._session, DeliveryEnded(row.id, status))

    async def _count(self, row: PluginDelivery, error: str | None) -> None:
        """A delivery ends a row of failures, or makes it longer. Tests count as neither."""
        if row.plugin_id is None or row.test:
            return
        # Not through the mapper: what workers count is no change that people could miss.
        query = update(PluginConfig).filter_by(tenant_id=row.tenant_id, plugin_id=row.plugin_id)
        if error is None:
            query = query.where(PluginConfig.failure_streak > 0).values(failure_streak=0)
            await self._session.execute(query.execution_options(synchronize_session=False))
            return
        longer = query.values(failure_streak=PluginConfig.failure_streak + 1).returning(PluginConfig.failure_streak)
        streak = await self._session.scalar(longer.execution_options(synchronize_session=False))
        if streak is not None and streak >= MOST_FAILURES:
            await self._disable(row, f"{streak} deliveries in a row failed, the last one because {error}")

    async def _disable(self, row: PluginDelivery, reason: str) -> None:
        if row.plugin_id is None:
            return
        plugin, config = await repository.receiver(self._session, row.plugin_id, lock=True)
        if config is None or not config.enabled:
            return
        before = audited(plugin, config)
        config.enabled, config.disabled_reason, config.disabled_at = False, reason, datetime.now(UTC)
        await self._session.flush()
        await trace(self._session, SYSTEM_ACTOR, "plugin.disable", plugin, before, audited(plugin, config))


def _signing_secrets(session: AsyncSession, config: PluginConfig) -> list[str]:
    """What a call is to be signed with now: one secret, or while they overlap both."""
    cipher: Cipher = session.info["cipher"]
    sealed = [config.signing_secret]
    if config.next_secret is not None:
        sealed = [*sealed, config.next_secret] if config.overlap_until else [config.next_secret]
    return [cipher.decrypt("plugin signing", config.plugin_id, one) for one in sealed]
