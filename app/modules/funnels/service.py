"""The rules of funnels: what they are, and how far readers came."""

from collections.abc import AsyncIterator, Sequence
from datetime import date, datetime, timedelta
from statistics import median
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from msgspec import UNSET
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Plane
from app.core.errors import Conflict, Invalid, NotFound
from app.core.etag import Expected, require
from app.core.ids import new_id
from app.core.live import signal
from app.core.paging import Page, Pager, Sorts
from app.core.policy import Actor
from app.core.wire import one_line
from app.modules.analytics.events import DaysCounted
from app.modules.analytics.service import bucket_of
from app.modules.audit.service import record
from app.modules.events.service import Told, told
from app.modules.funnels import repository
from app.modules.funnels.models import Funnel, Order
from app.modules.funnels.schemas import (
    FUNNEL_ANSWERS,
    MAX_NAME,
    FunnelChange,
    FunnelCreate,
    FunnelDayRead,
    FunnelResults,
    Reached,
    plain,
)
from app.modules.tenants.service import TenantService, timezone_of
from app.redis.cache import drop

TOPIC = "funnels"
MOST_FUNNELS = 20
TOLD_BACK = timedelta(days=28)
SORTS = Sorts("-createdAt", {"createdAt": Funnel.id, "name": Funnel.name, "updatedAt": Funnel.updated_at})
"""So many days of a funnel that is new or changed are told of events that were there before."""
USUAL_DAYS, MOST_DAYS = 28, 400
MARKS_AT_ONCE = 14
Steps = Sequence[dict[str, Any]]


class FunnelService:
    """A caller tied to a workspace has no funnels: they are of a whole tenant."""

    def __init__(self, session: AsyncSession, actor: Actor) -> None:
        self._session = session
        self._actor = actor

    async def search(
        self, pager: Pager, tenant_id: UUID | None = None, *, limit: int = 25, cursor: str | None = None
    ) -> Page[Funnel]:
        """Newest first; of the tenants that the transaction sees, or of one of them."""
        self._actor.for_whole_tenant("Funnels")
        of = f"funnels {self._actor.tenant_id} {tenant_id}"
        query = repository.funnels(tenant_id)
        return await pager.page(self._session, query, key=Funnel.id, of=of, limit=limit, cursor=cursor, sorts=SORTS)

    async def get(self, funnel_id: UUID) -> Funnel:
        """
        Raises:
            NotFound: there is none, or it is another tenant's.
        """
        self._actor.for_whole_tenant("Funnels")
        row = await self._session.get(Funnel, funnel_id)
        if row is None:
            raise NotFound("There is no such funnel")
        return row

    async def create(self, wanted: FunnelCreate, tenant_id: UUID | None = None) -> Funnel:
        """Args:
            tenant_id: whose it is to be, where the platform makes it.

        Raises:
            Invalid, NotFound. Conflict (`name_taken`, `too_many`).
        """
        self._actor.for_whole_tenant("Funnels")
        if tenant_id is None or self._actor.plane is Plane.TENANT:
            tenant_id = self._actor.tenant_id
        else:
            await TenantService(self._session, self._actor).get(tenant_id)
        if len(await repository.of_tenant(self._session, tenant_id)) >= MOST_FUNNELS:
            raise Conflict(f"A tenant has at most {MOST_FUNNELS} funnels: delete one first", code="too_many")
        funnel = Funnel(
            id=new_id(),
            tenant_id=tenant_id,
            name=await self._free_name(tenant_id, wanted.name),
            steps=plain(wanted.steps),
            window_s=wanted.window_s,
            order=wanted.order,
        )
        self._session.add(funnel)
        await self._session.flush()
        await self._session.refresh(funnel)
        await self._changed("funnel.create", funnel, None, _settable(funnel))
        return funnel

    async def update(self, funnel_id: UUID, change: FunnelChange, *, expected: Expected = None) -> Funnel:
        """
        Raises:
            NotFound, Stale, Invalid. Conflict (`name_taken`).
        """
        funnel = await self.get(funnel_id)
        require(funnel.version, expected, "funnel")
        before = _settable(funnel)
        if change.name is not UNSET:
            funnel.name = await self._free_name(funnel.tenant_id, change.name, funnel.id)
        if change.steps is not UNSET:
            funnel.steps = plain(change.steps)
        if change.window_s is not UNSET:
            funnel.window_s = change.window_s
        if change.order is not UNSET:
            funnel.order = change.order
        if _settable(funnel) != before:
            await self._session.flush()
            await self._session.refresh(funnel)
            await self._changed("funnel.update", funnel, before, _settable(funnel))
        return funnel

    async def delete(self, funnel_id: UUID, *, expected: Expected = None) -> Funnel:
        """With what was told of it.

        Raises:
            NotFound, Stale.
        """
        funnel = await self.get(funnel_id)
        require(funnel.version, expected, "funnel")
        await self._session.delete(funnel)
        await self._session.flush()
        await self._trace("funnel.delete", funnel, _settable(funnel), None)
        return funnel

    async def results(self, funnel: Funnel, first: date | None = None, last: date | None = None) -> FunnelResults:
        """Of days of the site, both included; without them the last four weeks.

        Raises:
            Invalid (`from`): the days are too many, or in the wrong order.
        """
        zone = await timezone_of(self._session, funnel.tenant_id)
        last = last or datetime.now(zone).date()
        first = first or last - timedelta(days=USUAL_DAYS - 1)
        if not 0 <= (last - first).days < MOST_DAYS:
            raise Invalid.field("from", f"must be before `to`, by at most {MOST_DAYS} days")
        rows = await repository.days(self._session, funnel.id, first, last)
        by_day: dict[date, list[tuple[int, float | None]]] = {}
        for row in rows:
            by_day.setdefault(row.day, []).append((row.people, row.median_s))
        steps = []
        for n, step in enumerate(funnel.steps):
            of_step = [found[n] for found in by_day.values() if n < len(found)]
            medians = [seconds for _, seconds in of_step if seconds is not None]
            steps.append(
                Reached(
                    step=n + 1,
                    name=step["name"],
                    path=step["path"],
                    people=sum(people for people, _ in of_step),
                    median_s=median(medians) if medians else None,
                )
            )
        days = [
            FunnelDayRead(day=day, people=[people for people, _ in found], median_s=[seconds for _, seconds in found])
            for day, found in by_day.items()
        ]
        up_to_date = not await repository.is_marked(self._session, funnel)
        return FunnelResults(funnel_id=funnel.id, timezone=zone.key, steps=steps, days=days, up_to_date=up_to_date)

    async def _free_name(self, tenant_id: UUID, name: str, of: UUID | None = None) -> str:
        label = one_line("name", name, MAX_NAME)
        if await repository.name_taken(self._session, tenant_id, label, of):
            raise Conflict(f"There is a funnel called {label} already", code="name_taken")
        return label

    async def _changed(self, action: str, funnel: Funnel, before: dict[str, Any] | None, after: dict[str, Any]) -> None:
        zone = await timezone_of(self._session, funnel.tenant_id)
        first = datetime.now(zone).date() - TOLD_BACK
        days = await repository.counted_days(self._session, funnel.tenant_id, first)
        await repository.mark(self._session, funnel.tenant_id, days, funnel.id)
        await self._trace(action, funnel, before, after)

    async def _trace(
        self, action: str, funnel: Funnel, before: dict[str, Any] | None, after: dict[str, Any] | None
    ) -> None:
        resource = ("funnel", funnel.id, funnel.name)
        await record(
            self._session,
            self._actor,
            action,
            resource=resource,
            before=before,
            after=after,
            tenant_id=funnel.tenant_id,
        )
        signal(self._session, TOPIC, funnel.id, funnel.tenant_id)
        drop(self._session, *FUNNEL_ANSWERS.tags)


async def mark_days(session: AsyncSession, event: DaysCounted) -> None:
    """Whoever entered up to a window earlier may have come further on these days."""
    funnels = await repository.of_tenant(session, event.tenant_id)
    if funnels:
        back = max(_days_back(funnel) for funnel in funnels)
        days = {day - timedelta(days=n) for day in event.days for n in range(back + 1)}
        await repository.mark(session, event.tenant_id, days)


async def tell_marked(session: AsyncSession) -> int:
    """Tell some marked days of one tenant anew, for the platform; returns how many, 0 when none is left."""
    tenant_id = await repository.next_marked(session)
    if tenant_id is None:
        return 0
    marks = await repository.take_marks(session, tenant_id, MARKS_AT_ONCE)
    zone = await timezone_of(session, tenant_id)
    for funnel in await repository.of_tenant(session, tenant_id):
        for day in sorted({day for of, day in marks if of in (None, funnel.id)}):
            await repository.replace(session, funnel, day, await tell(session, funnel, day, zone))
        signal(session, TOPIC, funnel.id, tenant_id)
    return max(1, len(marks))


async def tell(session: AsyncSession, funnel: Funnel, day: date, zone: ZoneInfo) -> list[tuple[int, float | None]]:
    """How many of those who entered on that day came to each step, and the median of the seconds it took them."""
    bucket, window = bucket_of(day, zone), timedelta(seconds=funnel.window_s)
    names = sorted({str(step["name"]) for step in funnel.steps})
    took: list[list[float]] = [[] for _ in funnel.steps]
    events = told(session, funnel.tenant_id, names, bucket.start, bucket.end + window)
    async for person in _by_person(events):
        for step, seconds in enumerate(walk(funnel.steps, Order(funnel.order), person, bucket.end, window)):
            took[step].append(seconds)
    return [(len(seconds), median(seconds) if seconds else None) for seconds in took]


def walk(steps: Steps, order: Order, events: Sequence[Told], until: datetime, window: timedelta) -> list[float]:
    """The seconds after entering at which one person came to each step; as long as the way that was made.

    A person enters by the first event of the first step, of any step where their order does not matter, that comes
    before `until`. An event is one step at most.

    Args:
        events: of one person, in order.
    """
    left, times = [*steps], list[datetime]()
    for event in events:
        if times and event.ts > times[0] + window:
            break
        if not times and event.ts >= until:
            break
        candidates = left[:1] if order is Order.SEQUENTIAL else left
        found = next((step for step in candidates if _is_step(step, event)), None)
        if found is not None:
            left.remove(found)
            times.append(event.ts)
            if not left:
                break
    return [(moment - times[0]).total_seconds() for moment in times]


def _is_step(step: dict[str, Any], event: Told) -> bool:
    path: str | None = step["path"]
    if step["name"] != event.name or path is None:
        return bool(step["name"] == event.name)
    here = event.path or ""
    return here.startswith(path[:-1]) if path.endswith("*") else here == path


async def _by_person(events: AsyncIterator[Told]) -> AsyncIterator[list[Told]]:
    person: list[Told] = []
    async for event in events:
        if person and person[0].person != event.person:
            yield person
            person = []
        person.append(event)
    if person:
        yield person


def _days_back(funnel: Funnel) -> int:
    return -(-funnel.window_s // 86_400)


def _settable(funnel: Funnel) -> dict[str, Any]:
    return {name: getattr(funnel, name) for name in ("name", "steps", "window_s", "order")}
