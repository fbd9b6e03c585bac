"""Finding rows that can be sealed, and blocks."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Plane, scope_of
from app.core.locks import hold
from app.core.months import months_of
from app.core.signs import Sign, Weight, counted
from app.modules.audit.service import EXPORTABLE
from app.modules.seals.models import AuditBlock, AuditCheck, AuditUnsealed
from app.modules.seals.schemas import DIGEST, Block

# Only a transaction that still runs can add a row to what a block closes over. Rows of transactions older than all that
# run are safe; and so are visible ones of a transaction yet to come here: they came from another server's backup.
_TAKE = text("""
DELETE FROM audit_unsealed WHERE id IN (
    SELECT id FROM audit_unsealed
    WHERE xid < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
       OR xid >= pg_snapshot_xmax(pg_current_snapshot())::text::bigint
    ORDER BY id LIMIT :most
) RETURNING id
""")
# Materialized: with a LIMIT the planner would hope for an early stray, and look every row up in all blocks by itself.
_STRAY = text("""
WITH strays AS MATERIALIZED (
    SELECT a.id FROM audit_log a
    WHERE NOT EXISTS (SELECT FROM audit_unsealed u WHERE u.id = a.id)
      AND NOT EXISTS (SELECT FROM (SELECT unnest(row_ids) AS id FROM audit_block) b WHERE b.id = a.id)
)
SELECT id FROM strays ORDER BY id LIMIT 1
""")


async def take(session: AsyncSession, most: int) -> list[UUID]:
    """Rows that no running transaction can add to, in the order of their ids; they are sealed in this transaction."""
    await hold(session, "teknav audit seal")
    return sorted((await session.scalars(_TAKE, {"most": most})).all())


async def last(session: AsyncSession) -> AuditBlock | None:
    return (await session.scalars(select(AuditBlock).order_by(AuditBlock.number.desc()).limit(1))).one_or_none()


async def after(session: AsyncSession, number: int, count: int) -> Sequence[AuditBlock]:
    query = select(AuditBlock).where(AuditBlock.number > number).order_by(AuditBlock.number).limit(count)
    return (await session.scalars(query)).all()


async def holding(session: AsyncSession, rows: Select[Any]) -> AsyncIterator[Block]:
    """The blocks that hold any of these rows, in their order, as they stand in a file. Tenants get none."""
    if scope_of(session).plane is Plane.TENANT:
        return
    wanted = rows.with_only_columns(EXPORTABLE.key.label("id")).subquery()
    held = select(AuditBlock.number, func.unnest(AuditBlock.row_ids).label("row_id")).subquery()
    query = select(held.c.number).join(wanted, wanted.c.id == held.c.row_id).distinct().order_by(held.c.number)
    for number in (await session.scalars(query)).all():
        yield on_file(await session.get_one(AuditBlock, number))


def digests_of(block: AuditBlock) -> list[bytes]:
    """One for each row."""
    return [block.digests[n : n + DIGEST] for n in range(0, len(block.digests), DIGEST)]


def on_file(block: AuditBlock) -> Block:
    digests = (digest.hex() for digest in digests_of(block))
    return Block(
        number=block.number,
        version=block.version,
        closed_at=block.closed_at.astimezone(UTC).isoformat(),
        prev=block.prev_hash.hex(),
        rows=[*zip(map(str, block.row_ids), digests, strict=True)],
        hash=block.hash.hex(),
        public_key=block.public_key.hex(),
        signature=block.signature.hex(),
    )


async def waiting(session: AsyncSession) -> int:
    return await session.scalar(select(func.count()).select_from(AuditUnsealed)) or 0


async def sealed_rows(session: AsyncSession) -> int:
    return await session.scalar(select(func.coalesce(func.sum(func.cardinality(AuditBlock.row_ids)), 0))) or 0


async def stray(session: AsyncSession) -> UUID | None:
    """A row that is in no block and waits for none: it was not written by an INSERT of ours."""
    return (await session.scalars(_STRAY)).one_or_none()


async def oldest_month(session: AsyncSession) -> datetime:
    """Where the log begins: what is older went with its month."""
    month, *_ = await months_of(session, "audit_log")
    return datetime(month.year, month.month, 1, tzinfo=UTC)


async def check(session: AsyncSession) -> AuditCheck | None:
    return await session.get(AuditCheck, 1)


async def signs(session: AsyncSession) -> list[Sign]:
    """What the last look at the whole audit log has found; nothing before the first one."""
    found = await check(session)
    if found is None:
        return []
    if found.broken:
        text = f"The audit log is not as it was: {found.broken}"
        return [Sign("Audit log", "broken", text, Weight.BAD, "/logs/audit")]
    text = f"{counted(found.rows, 'row')} of the audit log are as they were sealed"
    return [Sign("Audit log", "sealed", text, Weight.OK, "/logs/audit")]
