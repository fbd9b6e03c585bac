"""Queries on funnels and on what is told of them."""

from collections.abc import Collection, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, column, delete, func, or_, select, table
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.ids import new_id
from app.core.locks import hold
from app.modules.funnels.models import Funnel, FunnelDay, FunnelMark

# What analytics have counted, by name: its model is its own.
_COUNT = table("analytics_aggregate", column("tenant_id"), column("grain"), column("metric"), column("site_day"))


def funnels(tenant_id: UUID | None = None) -> Select[tuple[Funnel]]:
    return select(Funnel) if tenant_id is None else select(Funnel).where(Funnel.tenant_id == tenant_id)


async def of_tenant(session: AsyncSession, tenant_id: UUID) -> Sequence[Funnel]:
    return (await session.scalars(funnels(tenant_id).order_by(Funnel.id))).all()


async def name_taken(session: AsyncSession, tenant_id: UUID, name: str, but: UUID | None) -> bool:
    query = funnels(tenant_id).where(func.lower(Funnel.name) == name.lower(), Funnel.id.is_distinct_from(but))
    return bool(await session.scalar(select(query.exists())))


async def days(session: AsyncSession, funnel_id: UUID, first: date, last: date) -> Sequence[FunnelDay]:
    query = select(FunnelDay).where(FunnelDay.funnel_id == funnel_id, FunnelDay.day.between(first, last))
    return (await session.scalars(query.order_by(FunnelDay.day, FunnelDay.step))).all()


async def replace(session: AsyncSession, funnel: Funnel, day: date, told: Sequence[tuple[int, float | None]]) -> None:
    """What a day's row of steps is now: people and median of each; nothing where nobody entered."""
    await session.execute(delete(FunnelDay).where(FunnelDay.funnel_id == funnel.id, FunnelDay.day == day))
    rows = [
        {"tenant_id": funnel.tenant_id, "funnel_id": funnel.id, "day": day, "step": n, "people": p, "median_s": s}
        for n, (p, s) in enumerate(told, 1)
    ]
    if told and told[0][0]:
        await session.execute(insert(FunnelDay), rows)


async def mark(session: AsyncSession, tenant_id: UUID, days: Collection[date], funnel_id: UUID | None = None) -> None:
    rows: list[dict[str, Any]] = [
        {"id": new_id(), "tenant_id": tenant_id, "funnel_id": funnel_id, "day": day} for day in sorted(days)
    ]
    if rows:
        await session.execute(insert(FunnelMark), rows)


async def counted_days(session: AsyncSession, tenant_id: UUID, first: date) -> Sequence[date]:
    """The days of a site since then that have any events."""
    query = select(_COUNT.c.site_day).where(_COUNT.c.tenant_id == tenant_id, _COUNT.c.grain == "day").distinct()
    return (await session.scalars(query.where(_COUNT.c.metric == "events", _COUNT.c.site_day >= first))).all()


async def next_marked(session: AsyncSession) -> UUID | None:
    found: UUID | None = await session.scalar(select(FunnelMark.tenant_id).order_by(FunnelMark.id).limit(1))
    return found


async def is_marked(session: AsyncSession, funnel: Funnel) -> bool:
    query = select(FunnelMark.id).where(FunnelMark.tenant_id == funnel.tenant_id, _about(funnel.id)).limit(1)
    return await session.scalar(query) is not None


async def take_marks(session: AsyncSession, tenant_id: UUID, most: int) -> list[tuple[UUID | None, date]]:
    """Some marks of a tenant, gone with the transaction; nobody else tells of this tenant until it ends."""
    await hold(session, f"funnels {tenant_id}")
    oldest = select(FunnelMark.id).where(FunnelMark.tenant_id == tenant_id).order_by(FunnelMark.day).limit(most)
    query = delete(FunnelMark).where(FunnelMark.id.in_(oldest)).returning(FunnelMark.funnel_id, FunnelMark.day)
    return [(row.funnel_id, row.day) for row in await session.execute(query)]


def _about(funnel_id: UUID) -> ColumnElement[bool]:
    return or_(FunnelMark.funnel_id.is_(None), FunnelMark.funnel_id == funnel_id)
