"""Audit: who did what, kept for ever and changed by nobody."""

from typing import Annotated, Any

from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.live import Topic
from app.core.templating import NavigationItem
from app.core.trace import TraceSource
from app.module import Card, Module
from app.modules.audit.controllers import AuditController
from app.modules.audit.pages import AuditPages
from app.modules.audit.permissions import ALL, READ
from app.modules.audit.repository import steps
from app.modules.audit.schemas import AUDIT_ANSWERS, AuditQuery
from app.modules.audit.service import TOPIC, AuditTrail

ON_CARD = 6


def provide_trail(session: NamedDependency[AsyncSession]) -> AuditTrail:
    return AuditTrail(session)


def provide_query(
    action: FromQuery[str | None] = None,
    resource: FromQuery[str | None] = None,
    who: Annotated[str | None, QueryParameter(name="actor")] = None,
    actor_id: Annotated[str | None, QueryParameter(name="actorId")] = None,
    tenant_id: Annotated[str | None, QueryParameter(name="tenantId")] = None,
    outcome: FromQuery[str | None] = None,
    request_id: Annotated[str | None, QueryParameter(name="requestId")] = None,
    correlation_id: Annotated[str | None, QueryParameter(name="correlationId")] = None,
    q: FromQuery[str | None] = None,
    since: Annotated[str | None, QueryParameter(name="from")] = None,
    until: Annotated[str | None, QueryParameter(name="to")] = None,
) -> AuditQuery:
    # As text: a provider that raises would leave the request's session to the garbage collector.
    return AuditQuery(
        action=action,
        resource=resource,
        actor=who,
        actor_id=actor_id,
        tenant_id=tenant_id,
        outcome=outcome,
        request_id=request_id,
        correlation_id=correlation_id,
        q=q,
        since=since,
        until=until,
    )


async def load_card(session: AsyncSession) -> dict[str, Any]:
    return {"changes": await AuditTrail(session).latest(ON_CARD)}


audit = Module(
    name="audit",
    owner_api=(AuditController,),
    pages=(AuditPages,),
    member_pages=(AuditPages,),
    providers={"trail": provide_trail, "asked": provide_query},
    permissions=ALL,
    caches=(AUDIT_ANSWERS,),
    topics=(Topic(TOPIC, READ),),
    traces=(TraceSource(steps, READ, TOPIC),),
    cards=(Card("audit/_card.html", load_card, READ, TOPIC, order=60),),
    navigation=(NavigationItem("Platform", "Audit log", "/logs/audit", "shield-check", READ, order=80),),
    months={"audit_log": "audit_retention_months"},
)
