"""Seals on the audit log. Out of a tenant's reach."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, Uuid
from sqlalchemy.orm import Mapped, mapped_column

from app.core.models import Base


class AuditUnsealed(Base):
    """A row of the audit log that no block holds yet; a trigger writes it beside each. `xid` is its transaction."""

    id: Mapped[UUID] = mapped_column(primary_key=True)
    xid: Mapped[int] = mapped_column(BigInteger)


class AuditBlock(Base):
    """A closed block of rows: their ids in order, the digest of each, and a signature over it and the block before it.

    Append-only.
    """

    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    version: Mapped[int]
    row_ids: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid))
    digests: Mapped[bytes]
    """32 bytes for each row."""
    prev_hash: Mapped[bytes]
    hash: Mapped[bytes] = mapped_column(unique=True)
    public_key: Mapped[bytes]
    signature: Mapped[bytes]
    closed_at: Mapped[datetime]


class AuditCheck(Base):
    """What the last verification of the whole log found; one row."""

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    checked_at: Mapped[datetime]
    blocks: Mapped[int] = mapped_column(BigInteger)
    rows: Mapped[int] = mapped_column(BigInteger)
    took_s: Mapped[float]
    broken: Mapped[str | None]
