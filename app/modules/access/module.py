"""Access: who read what sensitive thing, written before the answer left."""

from collections.abc import Mapping
from typing import Annotated

from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter
from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.live import Topic
from app.core.queries import columns, query_of
from app.core.templating import NavigationItem
from app.core.trace import TraceSource
from app.module import Exportable, Module, Parts
from app.modules.access.controllers import AccessController
from app.modules.access.models import DataAccessLog
from app.modules.access.pages import AccessPages, LogPages
from app.modules.access.permissions import ALL, READ
from app.modules.access.repository import fitting, steps
from app.modules.access.schemas import ACCESS_ANSWERS, AccessQuery, AccessRead, read
from app.modules.access.service import TOPIC, AccessTrail, drop_old_months
from app.queues.loops import Loop

DAY_S, RETENTION_LIMIT_S = 86_400.0, 600.0


def provide_reads(session: NamedDependency[AsyncSession]) -> AccessTrail:
    return AccessTrail(session)


def provide_query(
    action: FromQuery[str | None] = None,
    resource: FromQuery[str | None] = None,
    who: Annotated[str | None, QueryParameter(name="actor")] = None,
    actor_id: Annotated[str | None, QueryParameter(name="actorId")] = None,
    tenant_id: Annotated[str | None, QueryParameter(name="tenantId")] = None,
    request_id: Annotated[str | None, QueryParameter(name="requestId")] = None,
    correlation_id: Annotated[str | None, QueryParameter(name="correlationId")] = None,
    exported: FromQuery[str | None] = None,
    since: Annotated[str | None, QueryParameter(name="from")] = None,
    until: Annotated[str | None, QueryParameter(name="to")] = None,
) -> AccessQuery:
    # As text: a provider that raises would leave the request's session to the garbage collector.
    return AccessQuery(
        action=action,
        resource=resource,
        actor=who,
        actor_id=actor_id,
        tenant_id=tenant_id,
        request_id=request_id,
        correlation_id=correlation_id,
        exported=exported,
        since=since,
        until=until,
    )


def rows(given: Mapping[str, str]) -> Select[tuple[DataAccessLog]]:
    return fitting(query_of(given, AccessQuery).filter())


def retention(parts: Parts) -> Loop:
    """Whatever module a log is of, its months go here."""
    return Loop("log-retention", DAY_S, lambda: drop_old_months(parts.database, parts.months), RETENTION_LIMIT_S)


access = Module(
    name="access",
    owner_api=(AccessController,),
    pages=(LogPages, AccessPages),
    member_pages=(LogPages, AccessPages),
    providers={"reads": provide_reads, "asked_reads": provide_query},
    permissions=ALL,
    actions=("log.month.drop", "person.erase"),
    topics=(Topic(TOPIC, READ),),
    traces=(TraceSource(steps, READ, TOPIC),),
    navigation=(NavigationItem("Platform", "Access log", "/logs/access", "eye", READ, order=81),),
    caches=(ACCESS_ANSWERS,),
    exports=(Exportable("access", "Access log", READ, rows, DataAccessLog.id, read, columns(AccessRead)),),
    loops=(retention,),
    months={"data_access_log": "access_retention_months"},
)
