"""The rules of analytics: how what is marked is counted, and what can be asked of the counts."""

from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from msgspec.structs import replace
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Database, Plane
from app.core.errors import Invalid
from app.core.events import emit
from app.core.live import signal
from app.core.paging import MAX_LIMIT
from app.core.policy import Actor
from app.modules.analytics import repository
from app.modules.analytics.events import DaysCounted
from app.modules.analytics.models import Dimension, Grain, Metric
from app.modules.analytics.repository import Bucket, Where
from app.modules.analytics.schemas import ArticleStats, Asked, Breakdown, Part, Point, ReaderStats, Series
from app.modules.audit.service import record
from app.modules.events.events import EventsTaken
from app.modules.tenants.events import TimezoneChanged
from app.modules.tenants.service import TenantService, timezone_of

TOPIC = "analytics"
HOURS_AT_ONCE, DAYS_AT_ONCE = 48, 7
USUAL_DAYS, MOST_DAYS, MOST_DAYS_BY_HOUR = 28, 400, 31
HOUR = timedelta(hours=1)


async def recount_hours(session: AsyncSession) -> int:
    """Count some marked hours of one tenant anew, and mark their days; returns how many, 0 when none is left.

    In the platform's transaction; so is the next.
    """
    tenant_id = await repository.next_marked(session, Grain.HOUR)
    if tenant_id is None:
        return 0
    zone, hours = await _recount(session, tenant_id, Grain.HOUR, HOURS_AT_ONCE)
    # Where a zone is half an hour off, an hour belongs to two days.
    ends = {moment for hour in hours for moment in (hour.start, hour.end - timedelta.resolution)}
    await repository.mark(session, tenant_id, Grain.DAY, {day_at(moment, zone).start for moment in ends})
    return max(1, len(hours))


async def recount_days(session: AsyncSession) -> int:
    """Count some marked days of one tenant anew, with its articles and readers, and announce them."""
    tenant_id = await repository.next_marked(session, Grain.DAY)
    if tenant_id is None:
        return 0
    _, days = await _recount(session, tenant_id, Grain.DAY, DAYS_AT_ONCE)
    await emit(session, DaysCounted(tenant_id, [bucket.day for bucket in days]))
    return max(1, len(days))


async def _recount(session: AsyncSession, tenant_id: UUID, grain: Grain, most: int) -> tuple[ZoneInfo, list[Bucket]]:
    """The oldest first. A day is that of the zone as it is now: a mark says what it has in it, not when it begins."""
    zone, done = await timezone_of(session, tenant_id), list[Bucket]()
    await repository.lock(session, tenant_id)
    while len(done) < most and (moment := await repository.oldest_mark(session, tenant_id, grain)):
        bucket = hour_at(moment, zone) if grain is Grain.HOUR else day_at(moment, zone)
        await repository.take_marks(session, tenant_id, bucket)
        await repository.recount(session, tenant_id, bucket)
        done.append(bucket)
    signal(session, TOPIC, tenant_id, tenant_id)
    return zone, done


class Reports:
    """What was counted. A tenant is told of itself, the platform of one tenant or of all together."""

    def __init__(self, session: AsyncSession, actor: Actor) -> None:
        self._session = session
        self._actor = actor
        self._found: dict[tuple[UUID | None, date | None, date | None], tuple[Where, ZoneInfo]] = {}

    async def series(self, asked: Asked) -> Series:
        """
        Raises:
            Invalid: the days are too many, or in the wrong order. NotFound: there is no such tenant.
            Forbidden (`workspace_token`): analytics are of a whole tenant. So do the others.
        """
        where, zone = await self.where(asked)
        if asked.dimension is not None and asked.value is None:
            raise Invalid.field("value", "is wanted with a dimension")
        dims = {asked.dimension.value: asked.value} if asked.dimension and asked.value else {}
        start, end = bucket_of(where.first, zone).start, bucket_of(where.last, zone).end
        if asked.grain is Grain.DAY:
            length = (where.last - where.first).days + 1
            buckets = [bucket_of(where.first + timedelta(days=n), zone) for n in range(length)]
            by_day = await repository.days(self._session, where, asked.metric, dims)
            values = [by_day.get(bucket.day, 0) for bucket in buckets]
        else:
            if (where.last - where.first).days >= MOST_DAYS_BY_HOUR:
                raise Invalid.field("from", f"by the hour, at most {MOST_DAYS_BY_HOUR} days can be asked for")
            buckets = _hours(start, end, zone)
            span = (buckets[0].start, end)
            by_hour = await repository.hours(self._session, where.tenant_id, span, asked.metric, dims)
            values = [by_hour.get(bucket.start, 0) for bucket in buckets]
        points = [
            Point(bucket=bucket.start, end=bucket.end, day=bucket.day, value=value)
            for bucket, value in zip(buckets, values, strict=True)
        ]
        marked = await repository.is_marked(self._session, where.tenant_id, start, end)
        return Series(
            metric=asked.metric,
            grain=asked.grain,
            timezone=zone.key,
            points=points,
            total=sum(values),
            up_to_date=not marked,
        )

    async def totals(self, asked: Asked) -> dict[Metric, int]:
        """Every metric, summed up over the days."""
        where, _ = await self.where(asked)
        found = await repository.totals(self._session, where)
        return {metric: found.get(metric, 0) for metric in Metric}

    async def breakdown(self, asked: Asked, limit: int) -> Breakdown:
        where, _ = await self.where(asked)
        if asked.dimension is None:
            raise Invalid.field("dimension", f"is wanted: one of {', '.join(Dimension)}")
        found = await repository.parts(self._session, where, asked.metric, asked.dimension, _at_most(limit))
        items = [Part(value=value, count=count) for value, count in found]
        return Breakdown(metric=asked.metric, dimension=asked.dimension, items=items)

    async def articles(self, asked: Asked, limit: int) -> list[ArticleStats]:
        where, _ = await self.where(asked)
        rows = await repository.articles(self._session, where, _at_most(limit))
        return [ArticleStats(**row._asdict()) for row in rows]

    async def readers(self, asked: Asked, limit: int) -> list[ReaderStats]:
        where, _ = await self.where(asked)
        rows = await repository.readers(self._session, where, _at_most(limit))
        return [ReaderStats(**row._asdict()) for row in rows]

    async def where(self, asked: Asked) -> tuple[Where, ZoneInfo]:
        """Of which tenant and days the answer is, and where their days begin: found once for all parts of a page."""
        key = (asked.tenant_id, asked.first, asked.last)
        if key not in self._found:
            self._found[key] = await self._where(asked)
        return self._found[key]

    async def _where(self, asked: Asked) -> tuple[Where, ZoneInfo]:
        self._actor.for_whole_tenant("Analytics")
        tenant_id, zone = asked.tenant_id, ZoneInfo("UTC")
        if self._actor.plane is Plane.TENANT:
            tenant_id = self._actor.tenant_id
        elif tenant_id is not None:
            await TenantService(self._session, self._actor).get(tenant_id)
        if tenant_id is not None:
            zone = await timezone_of(self._session, tenant_id)
        last = asked.last or datetime.now(zone).date()
        if asked.last is None and tenant_id is None:  # where the sun rises first, it is tomorrow already
            last = max(last, await repository.last_day(self._session) or last)
        first = asked.first or last - timedelta(days=USUAL_DAYS - 1)
        if not 0 <= (last - first).days < MOST_DAYS:
            raise Invalid.field("from", f"must be before `to`, by at most {MOST_DAYS} days")
        return Where(tenant_id, first, last), zone


class Rebuild:
    """Counts days of a tenant anew, one a transaction, for whoever waits for it: the command line.

    Args:
        tenant: its slug or id. first, last: days of its site, both included.
    """

    def __init__(self, database: Database, actor: Actor, tenant: str, first: date, last: date) -> None:
        self._database = database
        self._actor = actor
        self._tenant = tenant
        self._asked = Asked(first=first, last=last)
        self._id: UUID | None = None
        self.slug = tenant

    async def days(self) -> list[date]:
        """The days to count: those of which there are events still. What was counted of earlier ones stays.

        Raises:
            NotFound: there is no such tenant. Invalid (`from`): as for reports.
        """
        async with self._database.transaction(self._actor.scope) as session:
            tenant = await TenantService(session, self._actor).find(self._tenant)
            self._id, self.slug = tenant.id, tenant.slug
            where, _ = await Reports(session, self._actor).where(replace(self._asked, tenant_id=tenant.id))
            kept = await repository.first_event(session, tenant.id)
            first = where.last + timedelta(days=1) if kept is None else max(where.first, kept)
            span = {"from": str(where.first), "to": str(where.last)}
            resource = ("tenant", tenant.id, tenant.name)
            await record(session, self._actor, "analytics.rebuild", resource=resource, after=span)
        return [first + timedelta(days=n) for n in range((where.last - first).days + 1)]

    async def count(self, day: date) -> None:
        """One of those days: its hours, then itself."""
        assert self._id is not None
        async with self._database.transaction(self._actor.scope) as session:
            zone = await timezone_of(session, self._id)
            whole = bucket_of(day, zone)
            await repository.lock(session, self._id)
            for bucket in (*_hours(whole.start, whole.end, zone), whole):
                await repository.take_marks(session, self._id, bucket)
                await repository.recount(session, self._id, bucket)
            await emit(session, DaysCounted(self._id, [day]))
            signal(session, TOPIC, self._id, self._id)


def _hours(start: datetime, end: datetime, zone: ZoneInfo) -> list[Bucket]:
    """Those that have any of this time in them."""
    first = hour_of(start)
    return [hour_at(first + n * HOUR, zone) for n in range(-(-(end - first) // HOUR))]


def _at_most(limit: int) -> int:
    if not 1 <= limit <= MAX_LIMIT:
        raise Invalid.field("limit", f"must be from 1 to {MAX_LIMIT}")
    return limit


async def mark_hours(session: AsyncSession, event: EventsTaken) -> None:
    await repository.mark(session, event.tenant_id, Grain.HOUR, event.hours)


async def days_begin_elsewhere(session: AsyncSession, event: TimezoneChanged) -> None:
    await repository.mark_days(session, event.tenant_id)


def hour_of(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def hour_at(moment: datetime, zone: ZoneInfo) -> Bucket:
    start = hour_of(moment)
    return Bucket(Grain.HOUR, start, start + HOUR, start.astimezone(zone).date())


def day_at(moment: datetime, zone: ZoneInfo) -> Bucket:
    return bucket_of(moment.astimezone(zone).date(), zone)


def bucket_of(day: date, zone: ZoneInfo) -> Bucket:
    """A day of 23, 24 or 25 hours: where clocks skip midnight, it begins when they have jumped."""
    start, end = (datetime.combine(day + timedelta(days=n), time(), zone).astimezone(UTC) for n in (0, 1))
    return Bucket(Grain.DAY, start, end, day)
