"""Finding audit rows."""

from collections.abc import Collection, Iterable
from uuid import UUID

from msgspec import to_builtins
from sqlalchemy import ARRAY, ColumnElement, Select, Text, bindparam, cast, column, func, or_, select, table, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Plane, scope_of
from app.core.digests import Marks
from app.core.trace import MOST_STEPS, Step
from app.core.trails import beginning, rows_of
from app.modules.audit.models import AuditLog
from app.modules.audit.schemas import AuditFilter

_ERASE = text("SELECT teknav_erase_audit(:id, :names, :marks)").bindparams(
    bindparam("names", type_=ARRAY(Text)), bindparam("marks", type_=JSONB)
)
# Of the module above, by name: its model is its own.
_TENANT = table("tenant", column("id"), column("name"))


def fitting(wanted: AuditFilter) -> Select[tuple[AuditLog]]:
    query = rows_of(AuditLog, wanted)
    return query.where(AuditLog.outcome == wanted.outcome) if wanted.outcome else query


async def steps(session: AsyncSession, correlation_id: UUID) -> list[Step]:
    """The changes that were made under a correlation id, and those that were tried."""
    query = select(AuditLog).where(AuditLog.correlation_id == correlation_id).order_by(AuditLog.id).limit(MOST_STEPS)
    return [
        Step(
            "change",
            row.action,
            row.outcome,
            row.created_at,
            note=f"{row.actor_label}, {row.resource_label or row.resource_type}",
            path=f"/logs/audit/{row.id}",
            tenant_id=row.tenant_id,
        )
        for row in await session.scalars(query)
    ]


def places(text: str | None) -> list[ColumnElement[bool]]:
    """Where a searched text may stand: conditions of which one is wanted, each with an index of its own."""
    if text is None:
        return []
    found = [
        beginning(func.lower(AuditLog.resource_label), text.lower()),
        AuditLog.resource_id == text,
        AuditLog.request_id == text,
    ]
    try:
        return [*found, AuditLog.correlation_id == UUID(text), AuditLog.actor_id == UUID(text)]
    except ValueError:
        return found


def naming(person: UUID, texts: Collection[str]) -> Select[tuple[AuditLog]]:
    """The rows that a person made, those about that person, and those that hold one of the texts."""
    row = AuditLog
    whole = func.concat_ws(
        " ",
        *(row.actor_label, row.resource_label, row.reason, row.path, cast(row.before, Text), cast(row.after, Text)),
    )
    held = [func.strpos(func.lower(whole), text.lower()) > 0 for text in texts]
    about = (row.resource_type == "user") & (row.resource_id == str(person))
    # What an erasure left says how much went, and names nobody.
    return select(row).where(or_(row.actor_id == person, about, *held), row.action != "person.erase")


async def erase(session: AsyncSession, id_: UUID, names: Collection[str], marks: Marks) -> None:
    """Put marks in the place of values, and keep what is left of the digests."""
    given = {"id": id_, "names": sorted(names), "marks": to_builtins(marks)}
    assert (await session.execute(_ERASE, given)).scalar_one()


async def tenant_names(session: AsyncSession, ids: Iterable[UUID]) -> dict[UUID, str]:
    """For the platform: a tenant's own transaction may not read tenants, and finds none."""
    if scope_of(session).plane is Plane.TENANT:
        return {}
    rows = await session.execute(select(_TENANT.c.id, _TENANT.c.name).where(_TENANT.c.id.in_(set(ids))))
    return {row.id: row.name for row in rows}
