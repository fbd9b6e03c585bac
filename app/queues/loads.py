"""Whose jobs fill a queue: its numbers by tenant, from the record alone."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Select, Subquery, func, literal, select, union_all
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.ids import floor_id
from app.queues.clock import clock
from app.queues.models import IN_LINE, JobRow, State

LOOKED_AT = 10_000
TIMED_OUT = TimeoutError.__name__


@dataclass(frozen=True, slots=True)
class TenantLoad:
    """One tenant's jobs in a queue. `completed` counts the last 24 hours; `failed` is the number of dead letters.

    `errors` are dead letters and unfinished jobs whose last try failed; `timed_out` those that took too long.
    """

    tenant_id: UUID
    waiting: int
    delayed: int
    active: int
    failed: int
    errors: int
    timed_out: int
    completed: int


@dataclass(frozen=True, slots=True)
class Loads:
    """The busiest tenants first: by what waits and runs, then by what failed. `partial`: of the newest jobs only."""

    tenants: Sequence[TenantLoad]
    partial: bool


async def loads(session: AsyncSession, queue: str, most: int) -> Loads:
    """The `most` busiest tenants of a queue, among the newest LOOKED_AT jobs of each state: however many jobs there
    are, no more are read."""
    branches = [_newest(queue, "waiting", state, later=False) for state in IN_LINE]
    branches += [_newest(queue, "delayed", state, later=True) for state in IN_LINE]
    branches += [_newest(queue, "active", State.ACTIVE), _newest(queue, "failed", State.DEAD)]
    since = floor_id(clock.moment() - timedelta(hours=24))
    branches.append(_newest(queue, "completed", State.COMPLETED).where(JobRow.id >= since))
    parts = [branch.subquery() for branch in branches]
    query = union_all(*(_counted(n, part) for n, part in enumerate(parts)))
    found: dict[UUID, Counter[str]] = defaultdict(Counter)
    read: Counter[int] = Counter()
    for branch, what, tenant, count, errors, timed_out in await session.execute(query):
        found[tenant].update({what: count, "errors": errors, "timed_out": timed_out})
        read[branch] += count
    names = ("waiting", "delayed", "active", "failed", "errors", "timed_out", "completed")
    tenants = [TenantLoad(tenant, *(counted[name] for name in names)) for tenant, counted in found.items()]
    tenants.sort(key=lambda one: (one.waiting + one.active, one.failed, one.delayed, one.completed), reverse=True)
    return Loads(tenants[:most], max(read.values(), default=0) >= LOOKED_AT)


def _counted(branch: int, part: Subquery) -> Select[Any]:
    errors, late = part.c.error_class.is_not(None), part.c.error_class == TIMED_OUT
    counts = (func.count(), func.count().filter(errors), func.count().filter(late))
    return select(literal(branch), part.c.what, part.c.tenant_id, *counts).group_by(part.c.what, part.c.tenant_id)


def _newest(queue: str, what: str, state: State, *, later: bool = False) -> Select[Any]:
    """One stretch of the index by place."""
    place = (JobRow.queue == queue, JobRow.state == state, JobRow.delayed if later else ~JobRow.delayed)
    columns = select(literal(what).label("what"), JobRow.tenant_id, JobRow.error_class)
    return columns.where(*place).order_by(JobRow.id.desc()).limit(LOOKED_AT)
