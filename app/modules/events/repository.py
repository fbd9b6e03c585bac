"""Queries on events."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Select, Table, bindparam, column, delete, func, select
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.modules.events.models import AnalyticsEvent, AnalyticsSalt
from app.modules.events.schemas import EventFilter

_event = cast(Table, AnalyticsEvent.__table__)
_NAMES = tuple(_event.c.keys())
_given = (
    func.jsonb_to_recordset(bindparam("rows", type_=JSONB))
    .table_valued(*(column(name, _event.c[name].type) for name in _NAMES), name="given")
    .render_derived(with_types=True)
)
_TAKE = (
    insert(_event)
    .from_select(_NAMES, select(*(_given.c[name] for name in _NAMES)), include_defaults=False)
    .on_conflict_do_nothing()
    .returning(_event.c.ts)
)


def events(wanted: EventFilter) -> Select[tuple[AnalyticsEvent]]:
    names = (
        "tenant_id",
        "name",
        "path",
        "article_id",
        "referrer",
        "utm_source",
        "country",
        "device",
        "user_id",
        "is_bot",
    )
    equal = [(getattr(AnalyticsEvent, name), getattr(wanted, name)) for name in names]
    query = select(AnalyticsEvent).where(*(here == value for here, value in equal if value is not None))
    if wanted.since is not None:
        query = query.where(
            AnalyticsEvent.ts >= wanted.since, AnalyticsEvent.day >= wanted.since.astimezone(UTC).date()
        )
    if wanted.until is not None:
        query = query.where(AnalyticsEvent.ts < wanted.until, AnalyticsEvent.day <= wanted.until.astimezone(UTC).date())
    return query


async def take(session: AsyncSession, rows: Sequence[dict[str, Any]]) -> list[datetime]:
    """Write those that are new; returns their times."""
    return list(await session.scalars(_TAKE, {"rows": rows}))


async def salts(session: AsyncSession, tenant_id: UUID, made: dict[date, bytes]) -> dict[date, bytes]:
    """The salt of each day; `made` are those to begin with where a day has none yet."""
    rows = [{"tenant_id": tenant_id, "day": day, "salt": salt} for day, salt in sorted(made.items())]
    await session.execute(insert(AnalyticsSalt).values(rows).on_conflict_do_nothing())
    query = select(AnalyticsSalt.day, AnalyticsSalt.salt)
    found = await session.execute(query.where(AnalyticsSalt.tenant_id == tenant_id, AnalyticsSalt.day.in_(made)))
    return {row.day: row.salt for row in found}


async def forget_salts(session: AsyncSession, before: date) -> None:
    await session.execute(delete(AnalyticsSalt).where(AnalyticsSalt.day < before))


def of_people(tenant_id: UUID, names: Sequence[str], since: datetime, until: datetime) -> Select[Any]:
    """Person, time, name and path, person by person and then in order."""
    rows = AnalyticsEvent
    person = func.coalesce(rows.user_id, func.encode(rows.visitor, "hex"))
    query = select(person, rows.ts, rows.name, rows.path).where(rows.name.in_(names), person.is_not(None))
    query = query.where(rows.tenant_id == tenant_id, rows.is_bot.is_(False), rows.ts >= since, rows.ts < until)
    days = rows.day.between(since.astimezone(UTC).date(), until.astimezone(UTC).date())
    return query.where(days).order_by(person, rows.ts, rows.id).execution_options(yield_per=2_000)
