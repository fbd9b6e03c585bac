"""Marks, and the statements that count events."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, and_, column, delete, func, select, table, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.ids import new_id
from app.core.locks import hold
from app.modules.analytics.models import (
    AnalyticsAggregate,
    AnalyticsMark,
    ArticleStatsDaily,
    Dimension,
    Grain,
    Metric,
    UserEngagementDaily,
)

MOST_VALUES = 1_000
"""Of each dimension so many values are kept for a bucket, those with the highest counts."""
# A table of a module below, by name: its model is its own.
_EVENT = table("analytics_event", column("tenant_id"), column("day"))
_ARTICLE = table("article", column("tenant_id"), column("id"), column("title"), column("deleted_at"))
# A mask has a 0 where its row is of one value of that column: 127 is the whole bucket.
_COUNT = text("""
WITH counted AS (
    SELECT name, path, article_id, referrer, utm_source, country, device,
           grouping(name, path, article_id, referrer, utm_source, country, device) AS mask,
           count(*) FILTER (WHERE NOT is_bot) AS events,
           count(*) FILTER (WHERE NOT is_bot AND name = 'page_view') AS views,
           count(DISTINCT visitor) FILTER (WHERE NOT is_bot) AS visitors,
           count(DISTINCT visit) FILTER (WHERE NOT is_bot) AS visits,
           count(*) FILTER (WHERE is_bot) AS bots
    FROM analytics_event
    WHERE tenant_id = :tenant AND day BETWEEN :first AND :last AND ts >= :start AND ts < :end
    GROUP BY GROUPING SETS ((), (name), (path), (article_id), (referrer), (utm_source), (country), (device))
), named AS (
    SELECT mask, events, views, visitors, visits, bots, CASE mask
        WHEN 63 THEN jsonb_build_object('name', name)
        WHEN 95 THEN jsonb_build_object('path', path)
        WHEN 111 THEN jsonb_build_object('articleId', article_id)
        WHEN 119 THEN jsonb_build_object('referrer', referrer)
        WHEN 123 THEN jsonb_build_object('utmSource', utm_source)
        WHEN 125 THEN jsonb_build_object('country', country)
        WHEN 126 THEN jsonb_build_object('device', device)
        ELSE '{}' END AS dims
    FROM counted
    WHERE mask = 127 OR coalesce(name, path, article_id::text, referrer, utm_source, country, device) IS NOT NULL
), ranked AS (
    SELECT dims, metric, value, row_number() OVER (PARTITION BY mask, metric ORDER BY value DESC, dims::text) AS rank
    FROM named, LATERAL (VALUES ('views', views), ('visitors', visitors), ('visits', visits), ('events', events),
                                ('bots', bots)) AS m (metric, value)
    WHERE value > 0
)
INSERT INTO analytics_aggregate (tenant_id, metric, grain, bucket_utc, dims_hash, dims, value, site_day)
SELECT :tenant, metric, :grain, :start, sha256(convert_to(dims::text, 'UTF8')), dims, value, :day
FROM ranked WHERE rank <= :most
""")
_DAILY = (
    text("DELETE FROM article_stats_daily WHERE tenant_id = :tenant AND day = :day"),
    text("""
INSERT INTO article_stats_daily (tenant_id, day, article_id, views, visitors, engaged_s)
SELECT :tenant, :day, article_id, count(*) FILTER (WHERE name = 'page_view'), count(DISTINCT visitor),
       coalesce(sum(duration_ms), 0) / 1000
FROM analytics_event
WHERE tenant_id = :tenant AND day BETWEEN :first AND :last AND ts >= :start AND ts < :end
  AND NOT is_bot AND article_id IS NOT NULL
GROUP BY article_id
"""),
    text("DELETE FROM user_engagement_daily WHERE tenant_id = :tenant AND day = :day"),
    text("""
INSERT INTO user_engagement_daily
    (tenant_id, day, user_id, events, views, visits, articles, engaged_s, first_at, last_at)
SELECT :tenant, :day, user_id, count(*), count(*) FILTER (WHERE name = 'page_view'), count(DISTINCT visit),
       count(DISTINCT article_id), coalesce(sum(duration_ms), 0) / 1000, min(ts), max(ts)
FROM analytics_event
WHERE tenant_id = :tenant AND day BETWEEN :first AND :last AND ts >= :start AND ts < :end
  AND NOT is_bot AND user_id IS NOT NULL
GROUP BY user_id
"""),
)


@dataclass(frozen=True, slots=True)
class Bucket:
    """What is counted as one: from `start` until before `end`, both in UTC, of the site's `day`."""

    grain: Grain
    start: datetime
    end: datetime
    day: date


async def mark(session: AsyncSession, tenant_id: UUID, grain: Grain, moments: Collection[datetime]) -> None:
    rows = [{"id": new_id(), "tenant_id": tenant_id, "grain": grain, "moment": moment} for moment in sorted(moments)]
    if rows:
        await session.execute(insert(AnalyticsMark), rows)


async def next_marked(session: AsyncSession, grain: Grain) -> UUID | None:
    """The tenant that has waited longest."""
    query = select(AnalyticsMark.tenant_id).where(AnalyticsMark.grain == grain)
    found: UUID | None = await session.scalar(query.order_by(AnalyticsMark.id).limit(1))
    return found


async def is_marked(session: AsyncSession, tenant_id: UUID | None, since: datetime, until: datetime) -> bool:
    query = select(AnalyticsMark.id).where(AnalyticsMark.moment >= since, AnalyticsMark.moment < until)
    if tenant_id is not None:
        query = query.where(AnalyticsMark.tenant_id == tenant_id)
    return await session.scalar(query.limit(1)) is not None


async def lock(session: AsyncSession, tenant_id: UUID) -> None:
    """Nobody else counts this tenant until the transaction ends."""
    await hold(session, f"analytics {tenant_id}")


async def oldest_mark(session: AsyncSession, tenant_id: UUID, grain: Grain) -> datetime | None:
    query = select(func.min(AnalyticsMark.moment)).where(AnalyticsMark.tenant_id == tenant_id)
    found: datetime | None = await session.scalar(query.where(AnalyticsMark.grain == grain))
    return found


async def take_marks(session: AsyncSession, tenant_id: UUID, bucket: Bucket) -> None:
    """Of one bucket. A statement after this one sees all the events whose marks it has taken; others stay marked."""
    here = (AnalyticsMark.tenant_id == tenant_id, AnalyticsMark.grain == bucket.grain)
    span = (AnalyticsMark.moment >= bucket.start, AnalyticsMark.moment < bucket.end)
    await session.execute(delete(AnalyticsMark).where(*here, *span))


async def first_event(session: AsyncSession, tenant_id: UUID) -> date | None:
    """The first day, in UTC, of which there are events."""
    found: date | None = await session.scalar(select(func.min(_EVENT.c.day)).where(_EVENT.c.tenant_id == tenant_id))
    return found


async def last_day(session: AsyncSession) -> date | None:
    """The last one that any site has reached."""
    rows = AnalyticsAggregate
    query = select(func.max(rows.site_day)).where(rows.metric == Metric.EVENTS, rows.grain == Grain.DAY)
    found: date | None = await session.scalar(query)
    return found


async def mark_days(session: AsyncSession, tenant_id: UUID) -> None:
    """All days of which there are events still, by the hours that have some."""
    first = select(func.min(_EVENT.c.day)).where(_EVENT.c.tenant_id == tenant_id).scalar_subquery()
    rows = AnalyticsAggregate
    query = select(rows.bucket_utc).where(rows.tenant_id == tenant_id, rows.grain == Grain.HOUR).distinct()
    query = query.where(rows.metric.in_((Metric.EVENTS, Metric.BOTS)), rows.bucket_utc >= first)
    await mark(session, tenant_id, Grain.DAY, (await session.scalars(query)).all())


async def recount(session: AsyncSession, tenant_id: UUID, bucket: Bucket) -> None:
    """Replace the counts of a bucket. `lock` is held."""
    values = {
        "tenant": tenant_id,
        "grain": bucket.grain,
        "start": bucket.start,
        "end": bucket.end,
        "day": bucket.day,
        "first": bucket.start.date(),
        "last": (bucket.end - timedelta(microseconds=1)).date(),
    }
    rows = AnalyticsAggregate
    here = (rows.tenant_id == tenant_id, rows.metric.in_(Metric), rows.grain == bucket.grain)
    await session.execute(delete(rows).where(*here, rows.bucket_utc >= bucket.start, rows.bucket_utc < bucket.end))
    await session.execute(_COUNT, values | {"most": MOST_VALUES})
    if bucket.grain is Grain.DAY:
        for statement in _DAILY:
            await session.execute(statement, values)


@dataclass(frozen=True, slots=True)
class Where:
    """Which counts: of one tenant or of all, of days of their sites, both included."""

    tenant_id: UUID | None
    first: date
    last: date

    def of(self, tenant: Any, day: Any) -> tuple[ColumnElement[bool], ...]:
        here = (day >= self.first, day <= self.last)
        return here if self.tenant_id is None else (tenant == self.tenant_id, *here)


async def days(session: AsyncSession, where: Where, metric: Metric, dims: dict[str, str]) -> dict[date, int]:
    rows = AnalyticsAggregate
    query = select(rows.site_day, func.sum(rows.value)).where(*where.of(rows.tenant_id, rows.site_day))
    query = query.where(rows.metric == metric, rows.grain == Grain.DAY, rows.dims == dims).group_by(rows.site_day)
    return {day: int(value) for day, value in await session.execute(query)}


async def hours(
    session: AsyncSession, tenant_id: UUID | None, span: tuple[datetime, datetime], metric: Metric, dims: dict[str, str]
) -> dict[datetime, int]:
    """By the beginning of the hour in UTC; `span` is half open."""
    rows, bucket = AnalyticsAggregate, AnalyticsAggregate.bucket_utc
    query = select(bucket, func.sum(rows.value)).where(bucket >= span[0], bucket < span[1])
    query = query.where(rows.metric == metric, rows.grain == Grain.HOUR, rows.dims == dims).group_by(bucket)
    found = await session.execute(query if tenant_id is None else query.where(rows.tenant_id == tenant_id))
    return {hour: int(value) for hour, value in found}


async def totals(session: AsyncSession, where: Where) -> dict[str, int]:
    """By metric."""
    rows = AnalyticsAggregate
    query = select(rows.metric, func.sum(rows.value)).where(*where.of(rows.tenant_id, rows.site_day))
    found = await session.execute(query.where(rows.grain == Grain.DAY, rows.dims == {}).group_by(rows.metric))
    return {metric: int(value) for metric, value in found}


async def parts(
    session: AsyncSession, where: Where, metric: Metric, dimension: Dimension, most: int
) -> list[tuple[str, int]]:
    """Values with their counts, the highest first."""
    rows = AnalyticsAggregate
    value, count = rows.dims[dimension.value].astext, func.sum(rows.value)
    query = select(value, count).where(*where.of(rows.tenant_id, rows.site_day), rows.dims.has_key(dimension.value))
    query = query.where(rows.metric == metric, rows.grain == Grain.DAY).group_by(value)
    found = await session.execute(query.order_by(count.desc(), value).limit(most))
    return [(name, int(number)) for name, number in found]


async def articles(session: AsyncSession, where: Where, most: int) -> Sequence[Row[Any]]:
    """How articles were read, those with the most views first; `title` is None where the article is gone."""
    rows = ArticleStatsDaily
    sums = [func.sum(getattr(rows, name)).label(name) for name in ("views", "visitors", "engaged_s")]
    query = select(rows.tenant_id, rows.article_id, _ARTICLE.c.title, *sums)
    here = and_(_ARTICLE.c.tenant_id == rows.tenant_id, _ARTICLE.c.id == rows.article_id)
    query = query.outerjoin(_ARTICLE, and_(here, _ARTICLE.c.deleted_at.is_(None)))
    query = query.where(*where.of(rows.tenant_id, rows.day)).group_by(rows.tenant_id, rows.article_id, _ARTICLE.c.title)
    return (await session.execute(query.order_by(sums[0].desc(), rows.article_id).limit(most))).all()


async def readers(session: AsyncSession, where: Where, most: int) -> Sequence[Row[Any]]:
    """What signed-in readers did, those with the most views first."""
    rows = UserEngagementDaily
    sums = [func.sum(getattr(rows, name)).label(name) for name in ("views", "events", "visits", "engaged_s")]
    ends = [func.min(rows.first_at).label("first_at"), func.max(rows.last_at).label("last_at")]
    query = select(rows.tenant_id, rows.user_id, func.count().label("days"), *sums, *ends)
    query = query.where(*where.of(rows.tenant_id, rows.day)).group_by(rows.tenant_id, rows.user_id)
    return (await session.execute(query.order_by(sums[0].desc(), rows.user_id).limit(most))).all()
