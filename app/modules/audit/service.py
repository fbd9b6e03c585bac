"""The audit log: `record` writes changes, `record_attempt` failed attempts, `AuditTrail` reads."""

from collections.abc import Iterable
from typing import Any, Literal
from uuid import UUID

import msgspec
import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Database, scope_of
from app.core.errors import NotFound
from app.core.ids import new_id
from app.core.live import signal
from app.core.logging import redact
from app.core.paging import Page, Pager
from app.core.policy import Actor, Attempt, Audit
from app.core.request import correlation_id
from app.modules.audit.models import AuditLog
from app.modules.audit.repository import fitting, places
from app.modules.audit.repository import tenant_names as tenant_names
from app.modules.audit.schemas import AuditFilter

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
    tenant_id: UUID | None = None,
    outcome: Literal["success", "denied", "failed"] = "success",
) -> None:
    """Write one row into the transaction of the change it tells of.

    It is filed under the transaction's tenant; the platform may name another, whose thing it changes.

    Of `before` and `after` only the fields that differ are kept, with secrets hidden. The request, the
    correlation id and the caller's address come from the log's context.
    """
    kind, id_, label = resource
    changed = sorted(name for name in {**(before or {}), **(after or {})} if _differs(name, before, after))
    context = structlog.contextvars.get_contextvars()
    row = AuditLog(
        id=new_id(),
        **who(actor),
        tenant_id=tenant_id or scope_of(session).tenant_id,
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
        outcome=outcome,
    )
    session.add(row)
    signal(session, TOPIC, row.id, row.tenant_id)


def record_attempt(database: Database) -> Audit:
    """The port that the guard wants: an unsafe request that failed leaves a row, in a transaction of its own."""

    async def write(attempt: Attempt) -> None:
        async with database.transaction(attempt.actor.scope) as session:
            row = AuditLog(
                id=new_id(),
                **who(attempt.actor),
                **{name: _text(value) for name, value in attempt.request.items()},
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


class AuditTrail:
    """What the session's transaction may see of the log."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def search(
        self, pager: Pager, wanted: AuditFilter, *, limit: int = 25, cursor: str | None = None
    ) -> Page[AuditLog]:
        """Newest first. A cursor is good for the same filter only."""
        of = f"audit {scope_of(self._session).tenant_id} {wanted}"
        return await pager.page(
            self._session,
            fitting(wanted),
            key=AuditLog.id,
            of=of,
            limit=limit,
            cursor=cursor,
            branches=places(wanted.text),
        )

    async def tenants(self, rows: Iterable[AuditLog]) -> dict[UUID, str]:
        """The names of the tenants under which these rows are filed. For the platform."""
        return await tenant_names(self._session, (row.tenant_id for row in rows))

    async def latest(self, count: int) -> list[AuditLog]:
        return list(await self._session.scalars(select(AuditLog).order_by(AuditLog.id.desc()).limit(count)))

    async def get(self, entry_id: UUID) -> AuditLog:
        """
        Raises:
            NotFound: there is none, or it is another tenant's.
        """
        row = await self._session.scalar(select(AuditLog).where(AuditLog.id == entry_id))
        if row is None:
            raise NotFound("There is no such entry in the audit log")
        return row


def who(actor: Actor) -> dict[str, Any]:
    """The columns that say who acted, in this log and in the access log."""
    token: UUID | None = actor.id if actor.kind == "token" else None
    return {"actor_kind": actor.kind, "actor_id": actor.id, "actor_label": actor.label, "token_id": token}


def _text(value: str | None) -> str | None:
    # What the caller wrote into its path: PostgreSQL refuses NUL in text.
    shown: str | None = redact(value)
    return shown.replace("\0", "") if shown else shown


def _differs(name: str, before: dict[str, Any] | None, after: dict[str, Any] | None) -> bool:
    return (before or {}).get(name) != (after or {}).get(name)


def _fields(values: dict[str, Any] | None, changed: list[str]) -> dict[str, Any] | None:
    if values is None:
        return None
    # Redacted first: what makes JSON of it would lose the types.
    shown = redact({name: values[name] for name in changed if name in values})
    plain: dict[str, Any] = msgspec.to_builtins(shown, str_keys=True)
    return plain
