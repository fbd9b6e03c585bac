"""Queries on plugins and their deliveries, and the names that pages show beside the ids."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Select, Table, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.queries import between
from app.core.signs import Sign, Weight, counted
from app.core.trace import MOST_STEPS, Step
from app.modules.plugins.models import Plugin, PluginConfig, PluginDelivery, PluginExecutionLog, Status
from app.modules.plugins.schemas import State
from app.queues.models import JobRow
from app.queues.models import State as JobState

_delivery = cast(Table, PluginDelivery.__table__)


@dataclass(frozen=True, slots=True)
class PluginFilter:
    """Which plugins; None means any. `words` are looked for in name and key."""

    words: str | None = None
    state: State | None = None
    tenant_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Which deliveries; None means any."""

    status: Status | None = None
    type: str | None = None
    plugin_id: UUID | None = None
    tenant_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None


def plugins(wanted: PluginFilter) -> Select[tuple[Plugin]]:
    """Those that are installed."""
    query = select(Plugin).where(Plugin.removed_at.is_(None))
    if wanted.words:
        found = Plugin.name.icontains(wanted.words, autoescape=True) | Plugin.key.icontains(
            wanted.words, autoescape=True
        )
        query = query.where(found)
    if wanted.state is not None:
        such = select(PluginConfig.plugin_id).filter_by(enabled=wanted.state == "enabled")
        query = query.where(Plugin.id.in_(such))
    return query.where(Plugin.tenant_id == wanted.tenant_id) if wanted.tenant_id else query


async def configs(session: AsyncSession, plugins: Sequence[Plugin]) -> list[tuple[Plugin, PluginConfig]]:
    """Each with how it is set up."""
    query = select(PluginConfig).where(PluginConfig.plugin_id.in_([plugin.id for plugin in plugins]))
    by_plugin = {config.plugin_id: config for config in await session.scalars(query)}
    return [(plugin, by_plugin[plugin.id]) for plugin in plugins]


async def installed(
    session: AsyncSession, plugin_id: UUID, *, lock: bool = False
) -> tuple[Plugin, PluginConfig] | None:
    """One with how it is set up. A lock is on both, so that neither is older than what it was waited for."""
    here = (PluginConfig.tenant_id == Plugin.tenant_id) & (PluginConfig.plugin_id == Plugin.id)
    query = plugins(PluginFilter()).where(Plugin.id == plugin_id).join(PluginConfig, here).add_columns(PluginConfig)
    if lock:
        # Deliveries that point at the plugin can be written meanwhile.
        query = query.with_for_update(key_share=True).execution_options(populate_existing=True)
    row = (await session.execute(query)).one_or_none()
    return None if row is None else (row[0], row[1])


async def receiver(session: AsyncSession, plugin_id: UUID, *, lock: bool = False) -> tuple[Plugin, PluginConfig | None]:
    """A plugin, which may be removed, and how it is set up; None where it is removed."""
    plugin = await session.get_one(Plugin, plugin_id)
    query = select(PluginConfig).filter_by(tenant_id=plugin.tenant_id, plugin_id=plugin_id)
    query = query.execution_options(populate_existing=True)
    return plugin, await session.scalar(query.with_for_update() if lock else query)


async def wanting(session: AsyncSession, tenant_id: UUID, topic: str) -> Sequence[UUID]:
    """The enabled plugins of a tenant that want to hear of a topic."""
    here = (PluginConfig.tenant_id == Plugin.tenant_id, PluginConfig.plugin_id == Plugin.id)
    query = select(Plugin.id).join(PluginConfig, here[0] & here[1])
    query = query.where(Plugin.tenant_id == tenant_id, Plugin.removed_at.is_(None), PluginConfig.enabled)
    return (await session.scalars(query.where(Plugin.events.contains([topic])).order_by(Plugin.id))).all()


def deliveries(wanted: DeliveryFilter) -> Select[tuple[PluginDelivery]]:
    pairs: list[tuple[Any, object]] = [
        (PluginDelivery.status, wanted.status),
        (PluginDelivery.type, wanted.type),
        (PluginDelivery.plugin_id, wanted.plugin_id),
        (PluginDelivery.tenant_id, wanted.tenant_id),
    ]
    query = select(PluginDelivery).where(*(column == value for column, value in pairs if value is not None))
    return between(query, PluginDelivery.id, wanted.since, wanted.until)


async def write(session: AsyncSession, rows: Sequence[dict[str, Any]]) -> frozenset[UUID]:
    """The ids of those that are new for their receiver and key."""
    query = insert(_delivery).values(rows).on_conflict_do_nothing().returning(_delivery.c.id)
    return frozenset(await session.scalars(query))


async def keyed(session: AsyncSession, tenant_id: UUID, plugin_id: UUID | None, key: str) -> PluginDelivery:
    query = select(PluginDelivery).filter_by(tenant_id=tenant_id, plugin_id=plugin_id, key=key)
    return (await session.scalars(query)).one()


async def tries(session: AsyncSession, delivery_id: UUID) -> Sequence[PluginExecutionLog]:
    """The first one first."""
    query = select(PluginExecutionLog).filter_by(delivery_id=delivery_id).order_by(PluginExecutionLog.attempt)
    return (await session.scalars(query)).all()


async def add_tries(session: AsyncSession, rows: Iterable[PluginDelivery]) -> None:
    """Let each delivery know its `attempts` and `next_at`."""
    by_id = {row.id: row for row in rows}
    by_job = {row.job_id: row for row in by_id.values() if row.status == Status.QUEUED}
    log = PluginExecutionLog
    counted = select(log.delivery_id, func.count()).where(log.delivery_id.in_(by_id)).group_by(log.delivery_id)
    for id_, count in await session.execute(counted):
        by_id[id_].attempts = count
    waiting = select(JobRow.id, JobRow.run_at).where(JobRow.id.in_(by_job), JobRow.state == JobState.RETRYING)
    for job_id, run_at in await session.execute(waiting):
        by_job[job_id].next_at = run_at


async def names(session: AsyncSession, rows: Iterable[PluginDelivery]) -> dict[UUID, str]:
    """The names of the plugins that deliveries are for, removed ones too."""
    query = select(Plugin.id, Plugin.name).where(Plugin.id.in_({row.plugin_id for row in rows if row.plugin_id}))
    return {row.id: row.name for row in await session.execute(query)}


async def steps(session: AsyncSession, correlation_id: UUID) -> list[Step]:
    """The deliveries that a request set going, the first one first."""
    query = select(PluginDelivery, Plugin.name).outerjoin(Plugin, Plugin.id == PluginDelivery.plugin_id)
    query = query.where(PluginDelivery.correlation_id == correlation_id).order_by(PluginDelivery.id).limit(MOST_STEPS)
    return [
        Step(
            kind="webhook",
            label=f"{row.type} to {name or row.address}",
            status=row.status,
            began_at=row.created_at,
            ended_at=row.finished_at,
            open=row.status == Status.QUEUED,
            note=row.error,
            path=f"/deliveries/{row.id}",
            tenant_id=row.tenant_id,
        )
        for row, name in await session.execute(query)
    ]


async def about_jobs(session: AsyncSession, jobs: Collection[UUID]) -> dict[UUID, tuple[str, str]]:
    """What a job is to deliver and to whom, and where that is shown."""
    query = select(PluginDelivery.id, PluginDelivery.job_id, PluginDelivery.type, PluginDelivery.address, Plugin.name)
    query = query.outerjoin(Plugin, Plugin.id == PluginDelivery.plugin_id).where(PluginDelivery.job_id.in_(jobs))
    rows = await session.execute(query)
    return {row.job_id: (f"{row.type} to {row.name or row.address}", f"/deliveries/{row.id}") for row in rows}


async def signs(session: AsyncSession) -> list[Sign]:
    """Whether receivers take what they are sent."""
    of = select(Plugin.id, Plugin.name, PluginConfig.enabled).join(PluginConfig, PluginConfig.plugin_id == Plugin.id)
    failing = PluginConfig.failure_streak > 0
    rows = (await session.execute(of.where(Plugin.removed_at.is_(None), failing).order_by(Plugin.name))).all()
    count = select(func.count()).select_from(PluginConfig).join(Plugin, PluginConfig.plugin_id == Plugin.id)
    enabled = await session.scalar(count.where(Plugin.removed_at.is_(None), PluginConfig.enabled)) or 0
    if not rows:
        text = f"{counted(enabled, 'plugin')} enabled, none fails"
        return [Sign("Plugins", f"{enabled:,}", text, Weight.OK, "/plugins")]
    text = f"{rows[0].name} does not take what it is sent"
    if len(rows) > 1:
        text = f"{counted(len(rows), 'plugin')} do not take what they are sent, {rows[0].name} among them"
    return [Sign("Plugins", f"{enabled:,}", text, Weight.WARN, f"/plugins/{rows[0].id}")]
