"""Funnels: steps that readers may take one after the other, and how far they came day by day."""

from datetime import date
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.ids import new_id
from app.core.models import Base, Json, TenantRow


class Order(StrEnum):
    """Whether the steps have to be taken one after the other, or in any order."""

    SEQUENTIAL = "sequential"
    ANY = "any"


class Funnel(TenantRow):
    """Steps, and how long after the first one the others count.

    Each step has the `name` of its events, and a `path` or null; one that ends with `*` means all that begin so.
    """

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenant.id"), sort_order=-9)
    name: Mapped[str]
    steps: Mapped[list[Json]]
    window_s: Mapped[int]
    order: Mapped[str] = mapped_column("step_order")

    __table_args__ = (
        UniqueConstraint("tenant_id", "id", name="uq_funnel_id"),
        CheckConstraint("step_order IN ('sequential', 'any')", name="step_order"),
        Index("ix_funnel_tenant", "tenant_id", text("id DESC")),
        Index("uq_funnel_name", "tenant_id", text("lower(name)"), unique=True),
    )


class FunnelDay(Base):
    """How many of the people who entered on a day of the site came to a step, and in how many seconds: the median.

    `step` counts from 1, with a row for each step of a day on which anybody entered.
    """

    __tablename__ = "funnel_day"
    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    funnel_id: Mapped[UUID] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    people: Mapped[int]
    median_s: Mapped[float | None]

    __table_args__ = (
        ForeignKeyConstraint(["tenant_id", "funnel_id"], ["funnel.tenant_id", "funnel.id"], ondelete="CASCADE"),
    )


class FunnelMark(Base):
    """A day of a site that has to be told anew, of one funnel or of all."""

    __tablename__ = "funnel_mark"
    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenant.id"))
    funnel_id: Mapped[UUID | None]
    day: Mapped[date]

    __table_args__ = (Index("ix_funnel_mark_tenant", "tenant_id", "day"),)
