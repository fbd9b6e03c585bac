"""The rules of events: which are taken, and what is kept of them."""

import re
import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from hashlib import blake2b
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import scope_of
from app.core.errors import FieldError, Invalid, NotFound
from app.core.events import emit
from app.core.ids import new_id
from app.core.moments import day_of
from app.core.paging import Page, Pager, Sorts
from app.core.policy import Actor
from app.modules.events import repository
from app.modules.events.events import EventsTaken
from app.modules.events.models import AnalyticsEvent
from app.modules.events.schemas import EventFilter, EventIn
from app.modules.tenants.service import timezone_of

OLDEST, AHEAD = timedelta(days=28), timedelta(minutes=5)
SALT_LASTS = timedelta(days=2)
MOST_TOLD = 20
SORTS = Sorts("-ts", {"ts": AnalyticsEvent.ts})
_BOT = re.compile(r"(?<!cu)bot\b|crawl|spider|slurp|headless|curl/|wget/|python-|httpx|scrapy|preview|monitor", re.I)
_TABLET, _MOBILE = re.compile("ipad|tablet", re.I), re.compile("mobi|iphone|android", re.I)


@dataclass(frozen=True, slots=True)
class Taken:
    accepted: int
    duplicates: int


class Intake:
    """Takes events of the tenant whose transaction this is."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def take(self, events: Sequence[EventIn], received: datetime | None = None) -> Taken:
        """Keep all of them, but those that are there already, and announce their hours.

        Args:
            received: when they came; None is now.

        Raises:
            Invalid: naming each field that is wrong by its event, `events[3].ts`; the first 20. Nothing is kept.
        """
        now = received or datetime.now(UTC)
        _check(events, now)
        tenant_id = scope_of(self._session).tenant_id
        zone = await timezone_of(self._session, tenant_id)
        days = {(event.ts or now).astimezone(zone).date() for event in events if _person(event) or event.visit_id}
        fresh = {day: secrets.token_bytes(32) for day in days}
        salts = await repository.salts(self._session, tenant_id, fresh) if fresh else {}
        rows = [_row(event, tenant_id, now, zone, salts) for event in events]
        new = await repository.take(self._session, rows)
        if new:
            hours = {ts.astimezone(UTC).replace(minute=0, second=0, microsecond=0) for ts in new}
            await emit(self._session, EventsTaken(tenant_id, sorted(hours)))
        return Taken(len(new), len(events) - len(new))


class EventLog:
    """The events that the session's transaction may see; like what is counted of them, they are the whole tenant's."""

    def __init__(self, session: AsyncSession, actor: Actor) -> None:
        self._session = session
        self._actor = actor

    async def search(
        self, pager: Pager, wanted: EventFilter, *, limit: int = 25, cursor: str | None = None
    ) -> Page[AnalyticsEvent]:
        """Newest first, by when they happened.

        Raises:
            Forbidden (`workspace_token`).
        """
        self._actor.for_whole_tenant("Events")
        return await pager.page(
            self._session,
            repository.events(wanted),
            key=AnalyticsEvent.id,
            of=f"events {scope_of(self._session).tenant_id} {wanted}",
            limit=limit,
            cursor=cursor,
            sorts=SORTS,
        )

    async def get(self, tenant_id: UUID, day: str, event_id: UUID) -> AnalyticsEvent:
        """
        Raises:
            NotFound: there is none, or it is another tenant's. Invalid (`day`). Forbidden (`workspace_token`).
        """
        self._actor.for_whole_tenant("Events")
        on = day_of("day", day)
        if on is None:
            raise Invalid.field("day", "is wanted: the day of the event's ts in UTC, 2026-01-31")
        key = {"tenant_id": tenant_id, "day": on, "event_id": event_id}
        row = (await self._session.scalars(select(AnalyticsEvent).filter_by(**key))).one_or_none()
        if row is None:
            raise NotFound("There is no such event")
        return row


@dataclass(frozen=True, slots=True)
class Told:
    """An event as one step of a person: who is a `userId`, or a visitor of a day."""

    person: str
    ts: datetime
    name: str
    path: str | None


async def told(
    session: AsyncSession, tenant_id: UUID, names: Sequence[str], since: datetime, until: datetime
) -> AsyncIterator[Told]:
    """A tenant's events of these names, person by person, each one's in order; without bots and unknown people."""
    rows = await session.stream(repository.of_people(tenant_id, names, since, until))
    async for row in rows:
        yield Told(*row)


async def forget_salts(session: AsyncSession) -> None:
    """Whose digests they made can be told by nobody from then on."""
    await repository.forget_salts(session, (datetime.now(UTC) - SALT_LASTS).date())


def _check(events: Sequence[EventIn], now: datetime) -> None:
    wrong: list[FieldError] = []
    for n, event in enumerate(events):
        if event.event_id is not None and event.ts is None:
            told = "is wanted with an eventId, so that a second delivery meets the first"
            wrong.append(FieldError(f"events[{n}].ts", told))
        if event.ts is not None and not now - OLDEST <= event.ts <= now + AHEAD:
            told = f"must lie in the last {OLDEST.days} days, and at most 5 minutes ahead"
            wrong.append(FieldError(f"events[{n}].ts", told))
        if event.ip is not None and not _is_address(event.ip):
            wrong.append(FieldError(f"events[{n}].ip", "is no IP address"))
        if event.referrer is not None and _host(event.referrer) is None:
            wrong.append(FieldError(f"events[{n}].referrer", "is no address, such as https://example.org/"))
        if len(wrong) >= MOST_TOLD:
            break
    if wrong:
        raise Invalid("; ".join(f"{error.field}: {error.message}" for error in wrong), errors=wrong)


def _row(event: EventIn, tenant_id: UUID, now: datetime, zone: ZoneInfo, salts: dict[date, bytes]) -> dict[str, Any]:
    ts, agent, id_ = (event.ts or now).astimezone(UTC), event.user_agent or "", str(new_id())
    salt = salts.get(ts.astimezone(zone).date(), b"")
    return {
        "tenant_id": str(tenant_id),
        "day": ts.date().isoformat(),
        "event_id": str(event.event_id) if event.event_id else id_,
        "id": id_,
        "ts": ts.isoformat(),
        "received_at": now.isoformat(),
        "name": event.name,
        "path": event.path,
        "article_id": str(event.article_id) if event.article_id else None,
        "referrer": _host(event.referrer) if event.referrer else None,
        "utm_source": event.utm_source,
        "utm_medium": event.utm_medium,
        "utm_campaign": event.utm_campaign,
        "country": event.country,
        "device": event.device or (_device(agent) if agent else None),
        "user_id": event.user_id,
        "visitor": _digest(salt, _person(event)),
        "visit": _digest(salt, event.visit_id),
        "is_bot": event.is_bot if event.is_bot is not None else bool(_BOT.search(agent)),
        "duration_ms": event.duration_ms,
        "props": event.props,
    }


def _person(event: EventIn) -> str | None:
    """What tells one visitor from another; None where nothing does."""
    if event.visitor_id or event.user_id:
        return event.visitor_id or event.user_id
    return f"{event.ip} {event.user_agent or ''}" if event.ip else None


def _digest(salt: bytes, what: str | None) -> str | None:
    """As PostgreSQL reads bytes out of JSON."""
    return "\\x" + blake2b(what.encode(), key=salt, digest_size=16).hexdigest() if what else None


def _device(agent: str) -> str:
    if _TABLET.search(agent):
        return "tablet"
    return "mobile" if _MOBILE.search(agent) else "desktop"


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _host(address: str) -> str | None:
    """Of a referrer; None where it is no address."""
    try:
        parts = urlsplit(address)
        found = parts.hostname if parts.scheme in ("http", "https") else None
    except ValueError:
        return None
    return found.removeprefix("www.")[:253] if found else None
