"""The audit log: `record` writes changes, `record_attempt` failed attempts, `AuditTrail` reads."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Literal
from uuid import UUID

import msgspec
import structlog
from sqlalchemy import Select, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Database, plan_anew, scope_of
from app.core.digests import ERASED, Marks, record_digest
from app.core.errors import NotFound
from app.core.ids import new_id
from app.core.live import signal
from app.core.logging import redact
from app.core.paging import Page, Pager, Sorts
from app.core.policy import Actor, Attempt, Audit
from app.core.queries import columns, query_of
from app.core.request import correlation_id
from app.module import Exportable
from app.modules.audit.models import AuditLog
from app.modules.audit.permissions import READ
from app.modules.audit.repository import erase as erase_values
from app.modules.audit.repository import fitting, naming, places
from app.modules.audit.repository import tenant_names as tenant_names
from app.modules.audit.schemas import AUDIT_ANSWERS, AuditFilter, AuditQuery, AuditRead, marks, parts, read, sealed
from app.redis.cache import drop

TOPIC = "audit"
SORTS = Sorts("-createdAt", {"createdAt": AuditLog.id})
ERASED_AT_ONCE = 500
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
        user_agent=stored(context.get("user_agent")),
        action=action,
        resource_type=kind,
        resource_id=str(id_),
        resource_label=stored(label),
        before=_fields(before, changed),
        after=_fields(after, changed),
        changed_fields=changed,
        reason=stored(reason),
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
                **{name: stored(value) for name, value in attempt.request.items()},
                tenant_id=attempt.tenant_id,
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
        self,
        pager: Pager,
        wanted: AuditFilter,
        *,
        limit: int = 25,
        cursor: str | None = None,
    ) -> Page[AuditLog]:
        of = f"audit {scope_of(self._session).tenant_id} {wanted}"
        if wanted != AuditFilter():
            await plan_anew(self._session)
        return await pager.page(
            self._session,
            fitting(wanted),
            key=AuditLog.id,
            of=of,
            limit=limit,
            cursor=cursor,
            branches=places(wanted.text),
            sorts=SORTS,
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


def sealed_parts(row: AuditLog) -> tuple[dict[str, Any], dict[str, Any], Marks]:
    """What the digest of a row is made of: what stays, what can be erased, and the salts."""
    return *parts(msgspec.to_builtins(read(row))), marks(row)


def digest_of(line: dict[str, Any]) -> tuple[bytes, Marks]:
    """The digest of a row, from its line in a file.

    Raises:
        ValueError: the line lacks something, or its salts do not fit.
    """
    try:
        found = msgspec.convert(line["seal"], Marks)
        return record_digest(*parts(line), found), found
    except (KeyError, TypeError, AttributeError, msgspec.ValidationError) as error:
        raise ValueError(f"it is no line of an export: {error}") from None


async def rows_of(session: AsyncSession, ids: Sequence[UUID]) -> dict[UUID, AuditLog]:
    found = await session.scalars(select(AuditLog).where(AuditLog.id.in_(ids)))
    return {row.id: row for row in found}


def fitting_text(given: Mapping[str, str]) -> Select[tuple[AuditLog]]:
    """The rows for the parameters of the list's address.

    Raises:
        Invalid: naming the parameter.
    """
    wanted = query_of(given, AuditQuery).filter()
    return fitting(wanted).where(or_(*places(wanted.text))) if wanted.text else fitting(wanted)


EXPORTABLE = Exportable("audit", "Audit log", READ, fitting_text, AuditLog.id, sealed, columns(AuditRead))


async def erase(session: AsyncSession, person: UUID, texts: Collection[str]) -> int:
    """Blank what names a person: as who acted, as what was acted on, and in every value that holds one of the texts.

    For the platform. What was sealed stays so: of each value its digest is kept, and nothing to try values with.

    Returns:
        how many rows.
    """
    count, query = 0, naming(person, texts).order_by(AuditLog.id).limit(ERASED_AT_ONCE)
    last = UUID(int=0)
    while rows := (await session.scalars(query.where(AuditLog.id > last))).all():
        for row in rows:
            _, personal, kept = sealed_parts(row)
            names = _naming(row, personal, person, texts) - kept.digests.keys()
            if names:
                await erase_values(session, row.id, names, kept.without(personal, names))
                count += 1
        last = rows[-1].id
        session.expire_all()
    drop(session, *AUDIT_ANSWERS.tags)
    return count


def _naming(row: AuditLog, personal: Mapping[str, Any], person: UUID, texts: Collection[str]) -> set[str]:
    """The names of the values that have to go."""
    about = row.resource_type == "user" and row.resource_id == str(person)
    own = ("actorLabel", "ip", "userAgent") if row.actor_id == person else ()
    return {
        name
        for name, value in personal.items()
        if value not in (None, ERASED)
        and (
            name in own
            or (about and (name == "resourceLabel" or "." in name))
            or any(text.lower() in str(value).lower() for text in texts)
        )
    }


def who(actor: Actor) -> dict[str, Any]:
    """The columns that say who acted, in this log and in the access log."""
    token: UUID | None = actor.id if actor.kind == "token" else None
    through = actor.impersonator
    return {
        "actor_kind": actor.kind,
        "actor_id": actor.id,
        "actor_label": f"{actor.label} (seen by {through.label})" if through else actor.label,
        "impersonator_id": through.id if through else None,
        "token_id": token,
    }


def stored(value: str | None) -> str | None:
    """What a caller wrote into an address or a header, as a log keeps it: without secrets, and without NUL, which
    PostgreSQL refuses in text.
    """
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
