"""The end of a tenant: all that is its is erased, table by table."""

from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any, cast
from uuid import UUID

from sqlalchemy import CursorResult, Table, delete, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.models import Base
from app.core.policy import SYSTEM_ACTOR
from app.modules.audit.service import record
from app.modules.tenants import repository
from app.modules.tenants.jobs import EraseTenant
from app.modules.tenants.models import Tenant
from app.queues.cancel import cancel
from app.queues.clock import clock
from app.queues.control import FINISHED, WAITING, remove_all
from app.queues.job import processor
from app.queues.models import JobRow, State
from app.queues.work import Work

AT_ONCE, JOBS_AT_ONCE = 5_000, 500


class JobsRun(Exception):
    """A job of the tenant is still running; it was told to stop."""


def erased_tables() -> list[Table]:
    """Every table with tenants' rows, those that point at others first.

    What was done with the tenant, and who saw what of it, stays for as long as those logs are kept: tables say that
    they outlive it.
    """
    tables = reversed(Base.metadata.sorted_tables)
    return [table for table in tables if "tenant_id" in table.c and "outlives_tenant" not in table.info]


@processor(EraseTenant, timeout_s=3600)
async def erase_tenant(work: Work, job: EraseTenant) -> None:
    """
    Raises:
        JobsRun: try again in a moment.
    """
    async with work.transaction("look") as session:
        if session is not None and not await _is_due(session, job):
            await work.complete(session, {"erased": False})
            return
    await _stop_jobs(work, job.tenant_id)
    tables = erased_tables()
    counts: dict[str, int] = {}
    for n, table in enumerate(tables):
        await work.progress(100 * n / len(tables), table.name)
        counts[table.name] = await _empty(work, table, job.tenant_id)
    async with work.transaction("tenant") as session:
        if session is None:
            return
        name = await session.scalar(delete(Tenant).where(Tenant.id == job.tenant_id).returning(Tenant.name))
        rows = {table: count for table, count in counts.items() if count}
        resource = ("tenant", job.tenant_id, name)
        after = {"rows": rows}
        await record(
            session, SYSTEM_ACTOR, "owner.tenant.erase", resource=resource, after=after, tenant_id=job.tenant_id
        )
        await work.complete(session, {"erased": True, "rows": rows})


async def _is_due(session: AsyncSession, job: EraseTenant) -> bool:
    tenant = await session.get(Tenant, job.tenant_id)
    return tenant is not None and tenant.erase_at == job.erase_at <= clock.moment()


async def _stop_jobs(work: Work, tenant_id: UUID) -> None:
    """Take the tenant's jobs and dead letters out of Redis."""
    theirs = select(JobRow).where(JobRow.tenant_id == tenant_id)
    kept = theirs.where(or_(JobRow.state.in_(WAITING), JobRow.state == State.DEAD)).limit(JOBS_AT_ONCE)

    async def remove(session: AsyncSession) -> int:
        rows = (await session.scalars(kept)).all()
        return len(await remove_all(session, [row.id for row in rows], (*WAITING, *FINISHED)))

    async def stop(session: AsyncSession) -> int:
        running = (await session.scalars(theirs.where(JobRow.state == State.ACTIVE))).all()
        for row in running:
            await cancel(session, row, by="erasure of the tenant")
        return len(running)

    await _until_none(work, "jobs", remove)
    async with work.transaction(f"running:{work.this_try}") as session:
        assert session is not None
        running = await stop(session)
    if running:
        raise JobsRun(f"{running} jobs of the tenant are still running and were told to stop")


async def _empty(work: Work, table: Table, tenant_id: UUID) -> int:
    # Where nobody may delete, the table names the function that erases a tenant.
    erase = table.info.get("erase")

    async def rows(session: AsyncSession) -> int:
        if erase is not None:
            return await session.scalar(select(getattr(func, erase)(tenant_id, AT_ONCE))) or 0
        done = await session.execute(repository.rows_of(table, tenant_id, AT_ONCE))
        return cast(CursorResult[Any], done).rowcount

    return await _until_none(work, table.name, rows)


async def _until_none(work: Work, step: str, once: Callable[[AsyncSession], Awaitable[int]]) -> int:
    """Repeat `once`, each time in a transaction of its own, until it has done nothing; answers how much it did.

    What an earlier attempt has done is passed over.
    """
    total = 0
    for n in count():
        async with work.transaction(f"{step}:{n}") as session:
            done = await once(session) if session is not None else None
        if done == 0:
            break
        total += done or 0
    return total
