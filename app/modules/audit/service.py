"""Writing the audit log. `record` is for changes; failed attempts come through `attempts_to`."""

from typing import Any
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Database, scope_of
from app.core.live import signal
from app.core.logging import redact
from app.core.policy import Actor, Attempt, Audit
from app.core.request import correlation_id
from app.modules.audit.models import AuditLog

TOPIC = "audit"
Resource = tuple[str, object, str | None]
"""What was acted on: its type, its id, and a label for people."""


async def record(
    session: AsyncSession,
    actor: Actor,
    action: str,
    *,
    resource: Resource,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    reason: str | None = None,
) -> None:
    """Write one row into the transaction of the change it tells of.

    Of `before` and `after` only the fields that differ are kept, with secrets hidden. The request, the
    correlation id and the caller's address come from the log's context.
    """
    kind, id_, label = resource
    changed = sorted(name for name in {**(before or {}), **(after or {})} if _differs(name, before, after))
    context = structlog.contextvars.get_contextvars()
    row = AuditLog(
        **_who(actor),
        tenant_id=scope_of(session).tenant_id,
        request_id=context.get("request_id"),
        correlation_id=correlation_id(),
        ip=context.get("client_ip"),
        user_agent=context.get("user_agent"),
        action=action,
        resource_type=kind,
        resource_id=str(id_),
        resource_label=label,
        before=_fields(before, changed),
        after=_fields(after, changed),
        changed_fields=changed,
        reason=reason,
        outcome="success",
    )
    session.add(row)
    signal(session, TOPIC, row.id, row.tenant_id)


def attempts_to(database: Database) -> Audit:
    """The port that the guard wants: an unsafe request that failed leaves a row, in a transaction of its own."""

    async def write(attempt: Attempt) -> None:
        async with database.transaction(attempt.actor.scope) as session:
            row = AuditLog(
                **_who(attempt.actor),
                **attempt.request,
                tenant_id=attempt.actor.tenant_id,
                correlation_id=correlation_id(),
                action=attempt.action,
                outcome=attempt.outcome,
                status=attempt.status,
                changed_fields=[],
            )
            session.add(row)
            signal(session, TOPIC, row.id, row.tenant_id)

    return write


def _who(actor: Actor) -> dict[str, Any]:
    token: UUID | None = actor.id if actor.kind == "token" else None
    return {"actor_kind": actor.kind, "actor_id": actor.id, "actor_label": actor.label, "token_id": token}


def _differs(name: str, before: dict[str, Any] | None, after: dict[str, Any] | None) -> bool:
    return (before or {}).get(name) != (after or {}).get(name)


def _fields(values: dict[str, Any] | None, changed: list[str]) -> dict[str, Any] | None:
    if values is None:
        return None
    hidden: dict[str, Any] = redact({name: values[name] for name in changed if name in values})
    return hidden
