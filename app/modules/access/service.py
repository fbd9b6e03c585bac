"""The access log: `note` writes what a route showed, `record_read` what something else did, `AccessTrail` reads."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from uuid import UUID

import structlog
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.access import Access, Read
from app.core.database import SYSTEM, Database, plan_anew, scope_of
from app.core.errors import NotFound
from app.core.ids import new_id
from app.core.live import signal
from app.core.months import months_over
from app.core.paging import Page, Pager, Sorts
from app.core.policy import SYSTEM_ACTOR, Actor
from app.core.request import correlation_id
from app.modules.access.models import DataAccessLog
from app.modules.access.repository import fitting, write
from app.modules.access.schemas import ACCESS_ANSWERS, AccessFilter
from app.modules.audit.service import erase, record, stored, tenant_names, who
from app.redis.cache import drop

TOPIC = "access"
SORTS = Sorts("-createdAt", {"createdAt": DataAccessLog.id})
LEAST_TEXT = 3
_ERASE = text("SELECT teknav_erase_access(:person)")
_DROP = text("SELECT teknav_drop_log_month(:table, :month)")


async def note(session: AsyncSession, read: Read, *, quick: bool) -> None:
    """The port that the edge wants, see `app.core.access`."""
    context = structlog.contextvars.get_contextvars()
    tenant_id = read.tenant_id or scope_of(session).tenant_id
    values = {
        "id": new_id(),
        "tenant_id": tenant_id,
        **who(read.actor),
        "request_id": context.get("request_id"),
        "correlation_id": correlation_id(),
        "action": read.access.action,
        "resource_type": read.access.resource,
        "resource_id": read.resource_id,
        "query": read.query,
        "row_count": read.rows,
        "fields": list(read.access.fields),
        "purpose": stored(read.purpose),
        "cached": read.cached,
        "exported": read.access.exported,
        "ip": context.get("client_ip"),
        "user_agent": context.get("user_agent"),
        "path": stored(read.path),
    }
    await write(session, values, quick=quick)
    signal(session, TOPIC, f"{read.access.resource}:{read.resource_id or ''}", tenant_id)


async def record_read(
    session: AsyncSession,
    actor: Actor,
    access: Access,
    *,
    resource_id: object = None,
    rows: int = 1,
    tenant_id: UUID | None = None,
    purpose: str | None = None,
) -> None:
    """Write a read that came through no route: a command's, a job's. In the caller's transaction.

    It is filed under the transaction's tenant; the platform may name another, whose thing it read.
    """
    id_ = str(resource_id) if resource_id is not None else None
    read = Read(access, actor, resource_id=id_, rows=rows, tenant_id=tenant_id, purpose=purpose)
    await note(session, read, quick=False)


async def erase_person(session: AsyncSession, actor: Actor, person: UUID, texts: Collection[str]) -> dict[str, int]:
    """Blank what names a person in both logs, for good; the platform's transaction may. The audit log stays sealed.

    Args:
        texts: what else names that person: the e-mail address, the full name. Each of 3 characters or more, because
            every value that holds one of them goes.

    Returns:
        how many rows were changed in each.
    """
    found = [text for text in texts if len(text) >= LEAST_TEXT]
    gone = {"auditRows": await erase(session, person, found)}
    gone["accessRows"] = await session.scalar(_ERASE, {"person": person}) or 0
    drop(session, *ACCESS_ANSWERS.tags)
    await record(session, actor, "person.erase", resource=("user", person, None), after=gone)
    return gone


async def drop_old_months(database: Database, months: Mapping[str, int]) -> None:
    """Drop the months of logs whose time is over, each with a row in the audit log.

    Args:
        months: by table, how many whole months before the present one are kept; 0 keeps all.

    Raises:
        DBAPIError: somebody reads the table for long; the next round tries again.
    """
    for table, kept in months.items():
        async with database.transaction(SYSTEM) as session:
            over = await months_over(session, table, kept=kept)
        for month in over:
            async with database.transaction(SYSTEM) as session:
                if await session.scalar(_DROP, {"table": table, "month": month}):
                    resource = ("log", table, f"{table} of {month:%Y-%m}")
                    await record(session, SYSTEM_ACTOR, "log.month.drop", resource=resource)


class AccessTrail:
    """What the session's transaction may see of the log."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def search(
        self,
        pager: Pager,
        wanted: AccessFilter,
        *,
        limit: int = 25,
        cursor: str | None = None,
    ) -> Page[DataAccessLog]:
        of = f"access {scope_of(self._session).tenant_id} {wanted}"
        if wanted != AccessFilter():
            await plan_anew(self._session)
        return await pager.page(
            self._session,
            fitting(wanted),
            key=DataAccessLog.id,
            of=of,
            limit=limit,
            cursor=cursor,
            sorts=SORTS,
        )

    async def latest(self, count: int, *, of: tuple[str, str] | None = None) -> Sequence[DataAccessLog]:
        """The newest reads, of all or of one thing: its type and its id."""
        query = fitting(AccessFilter(resource=":".join(of) if of else None))
        return (await self._session.scalars(query.order_by(DataAccessLog.id.desc()).limit(count))).all()

    async def tenants(self, rows: Iterable[DataAccessLog]) -> dict[UUID, str]:
        """The names of the tenants under which these rows are filed. For the platform."""
        return await tenant_names(self._session, (row.tenant_id for row in rows))

    async def get(self, entry_id: UUID) -> DataAccessLog:
        """
        Raises:
            NotFound: there is none, or it is another tenant's.
        """
        row = await self._session.scalar(select(DataAccessLog).where(DataAccessLog.id == entry_id))
        if row is None:
            raise NotFound("There is no such entry in the access log")
        return row
