"""What is counted equals a plain recount, whatever the order in which events come."""

import random
from collections import defaultdict
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from app.core.database import Database, Plane, Scope
from app.core.ids import new_id
from app.core.policy import Actor
from app.modules.analytics.service import recount_days, recount_hours
from app.modules.events.schemas import EventIn
from app.modules.events.service import Intake
from app.modules.tenants.schemas import TenantChange
from app.modules.tenants.service import TenantService
from tests.modules.analytics.stage import PLATFORM, count, months

Counts = dict[tuple[str, str, datetime, str, str], int]
DAYS_OF_CHANGE = [
    ("Europe/Berlin", date(2026, 3, 29)),  # 23 hours
    ("Europe/Berlin", date(2026, 10, 25)),  # 25 hours
    ("America/St_Johns", date(2026, 11, 1)),  # half an hour off, and 25 hours
    ("Africa/Cairo", date(2026, 4, 24)),  # has no midnight
]
DIMENSIONS = {"name": "name", "path": "path", "articleId": "article_id", "country": "country", "device": "device"}
ARTICLES = [new_id() for _ in range(3)]


def some_events(chance: random.Random, around: date, zone: ZoneInfo) -> list[EventIn]:
    """Events of four days, many of them close to midnight."""
    middle = datetime(around.year, around.month, around.day, tzinfo=zone).astimezone(UTC)
    found = []
    for _ in range(300):
        near = chance.choice([timedelta(0), timedelta(days=1)]) + timedelta(seconds=chance.uniform(-4000, 4000))
        far = timedelta(seconds=chance.uniform(-1.5 * 86_400, 2.5 * 86_400))
        found.append(
            EventIn(
                event_id=new_id(),
                ts=middle + chance.choice([near, far]),
                name=chance.choice(["page_view", "page_view", "signup", "share"]),
                path=chance.choice(["/", "/a", "/b?x='1'", None]),
                article_id=chance.choice([*ARTICLES, None]),
                country=chance.choice(["DE", "CA", "EG", None]),
                device=chance.choice(["mobile", "desktop", None]),
                visitor_id=chance.choice(["ann", "ben", "cleo", "dan", None]),
                visit_id=chance.choice(["v1", "v2", None]),
                user_id=chance.choice(["u-1", "u-2", None, None]),
                duration_ms=chance.choice([None, 700, 3600]),
                is_bot=chance.random() < 0.15,
            )
        )
    return found


def recount(events: list[EventIn], zone: ZoneInfo) -> Counts:
    """The same counts, one event after the other."""
    people: dict[Any, set[str]] = defaultdict(set)
    found: dict[Any, int] = defaultdict(int)
    for event in events:
        assert event.ts is not None
        day = event.ts.astimezone(zone).date()
        hour = event.ts.replace(minute=0, second=0, microsecond=0)
        start = _begin(day, zone)
        for grain, bucket in (("hour", hour), ("day", start)):
            if event.is_bot:
                found["bots", grain, bucket, "", ""] += 1
                for there, name in DIMENSIONS.items():
                    if (value := getattr(event, name)) is not None:
                        found["bots", grain, bucket, there, str(value)] += 1
                continue
            parts = [("", "")] + [
                (there, str(value)) for there, name in DIMENSIONS.items() if (value := getattr(event, name)) is not None
            ]
            for there, value in parts:
                found["events", grain, bucket, there, value] += 1
                if event.name == "page_view":
                    found["views", grain, bucket, there, value] += 1
                if person := event.visitor_id or event.user_id:
                    people["visitors", grain, bucket, there, value].add(f"{day} {person}")
                if event.visit_id:
                    people["visits", grain, bucket, there, value].add(f"{day} {event.visit_id}")
    return dict(found) | {key: len(who) for key, who in people.items()}


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _begin(day: date, zone: ZoneInfo) -> datetime:
    """The first quarter of an hour whose date in the zone is this one."""
    moment = _midnight(day) - timedelta(days=1)
    while moment.astimezone(zone).date() != day:
        moment += timedelta(minutes=15)
    return moment


async def counted(admin: asyncpg.Connection, tenant_id: UUID) -> Counts:
    rows = await admin.fetch(
        "SELECT metric, grain, bucket_utc, k, v, value FROM analytics_aggregate "
        "LEFT JOIN LATERAL jsonb_each_text(dims) AS d (k, v) ON true WHERE tenant_id = $1",
        tenant_id,
    )
    return {(r["metric"], r["grain"], r["bucket_utc"], r["k"] or "", r["v"] or ""): r["value"] for r in rows}


@pytest.mark.promise("S4-13")
@pytest.mark.promise("S4-28")
@pytest.mark.parametrize(("name", "around"), DAYS_OF_CHANGE)
async def test_counts_equal_a_plain_recount(
    name: str,
    around: date,
    admin: asyncpg.Connection,
    database: Database,
    operator: Actor,
    tenant: Any,
    drain: Callable[[], Awaitable[int]],
) -> None:
    chance, zone = random.Random(f"{name} {around}"), ZoneInfo(name)
    events = some_events(chance, around, zone)
    received = datetime(around.year, around.month, around.day, tzinfo=UTC) + timedelta(days=20)
    async with database.transaction(operator.scope) as session:
        await TenantService(session, operator).update(tenant.id, TenantChange(timezone=name))
    # In any order, a fifth twice or more, and counted again and again on the way, so that many come late.
    sent = events + chance.choices(events, k=60)
    chance.shuffle(sent)
    async with months(admin, [around - timedelta(days=2), around, around + timedelta(days=3)]):
        accepted = 0
        for first in range(0, len(sent), 40):
            async with database.transaction(Scope(Plane.TENANT, tenant.id)) as session:
                taken = await Intake(session).take(sent[first : first + 40], received)
                accepted += taken.accepted
                assert taken.accepted + taken.duplicates == len(sent[first : first + 40])
            if chance.random() < 0.3:  # not by the jobs, which would also forget the salts of days so long ago
                for recount_some in (recount_hours, recount_days):
                    async with database.transaction(PLATFORM) as session:
                        await recount_some(session)
        await count(database, drain)
        assert accepted == len(events)
        assert await counted(admin, tenant.id) == recount(events, zone)
        assert await admin.fetchval("SELECT count(*) FROM analytics_mark") == 0
        await _daily_stats(admin, tenant.id, events, zone)

        # The days begin elsewhere now: all are counted anew, and none of the old ones is left.
        moved = ZoneInfo("Asia/Kathmandu")
        async with database.transaction(operator.scope) as session:
            await TenantService(session, operator).update(tenant.id, TenantChange(timezone=moved.key))
        await count(database, drain)
        days = {key: n for key, n in (await counted(admin, tenant.id)).items() if key[1] == "day" and key[0] == "views"}
        wanted = {key: n for key, n in recount(events, moved).items() if key[1] == "day" and key[0] == "views"}
        assert days == wanted


async def _daily_stats(admin: asyncpg.Connection, tenant_id: UUID, events: list[EventIn], zone: ZoneInfo) -> None:
    articles: dict[Any, list[EventIn]] = defaultdict(list)
    readers: dict[Any, list[EventIn]] = defaultdict(list)
    for event in events:
        assert event.ts is not None
        if not event.is_bot:
            day = event.ts.astimezone(zone).date()
            if event.article_id:
                articles[day, event.article_id].append(event)
            if event.user_id:
                readers[day, event.user_id].append(event)

    def views(found: list[EventIn]) -> int:
        return sum(event.name == "page_view" for event in found)

    def engaged(found: list[EventIn]) -> int:
        return sum(event.duration_ms or 0 for event in found) // 1000

    rows = await admin.fetch("SELECT * FROM article_stats_daily WHERE tenant_id = $1", tenant_id)
    assert {(r["day"], r["article_id"]): (r["views"], r["visitors"], r["engaged_s"]) for r in rows} == {
        key: (views(found), len({e.visitor_id or e.user_id for e in found} - {None}), engaged(found))
        for key, found in articles.items()
    }
    rows = await admin.fetch("SELECT * FROM user_engagement_daily WHERE tenant_id = $1", tenant_id)
    assert {(r["day"], r["user_id"]): (r["events"], r["views"], r["engaged_s"], r["first_at"]) for r in rows} == {
        key: (len(found), views(found), engaged(found), min(e.ts for e in found if e.ts))
        for key, found in readers.items()
    }
