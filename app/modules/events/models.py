"""What readers do, as their tenant's app tells it."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.ids import new_id
from app.core.models import Base, Json


class AnalyticsEvent(Base):
    """One thing that a reader did. `day` is that of `ts` in UTC: the partition, and part of what makes it unique.

    `visitor` and `visit` are digests under a salt of the site's day, which is thrown away: who it was cannot be
    found out again, and one person is another visitor each day. Addresses and user agents are not kept.
    """

    __tablename__ = "analytics_event"
    tenant_id: Mapped[UUID] = mapped_column(primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    event_id: Mapped[UUID] = mapped_column(primary_key=True)
    id: Mapped[UUID] = mapped_column(default=new_id)
    ts: Mapped[datetime]
    received_at: Mapped[datetime]
    name: Mapped[str]
    path: Mapped[str | None]
    article_id: Mapped[UUID | None]
    referrer: Mapped[str | None]
    """The host alone."""
    utm_source: Mapped[str | None]
    utm_medium: Mapped[str | None]
    utm_campaign: Mapped[str | None]
    country: Mapped[str | None]
    device: Mapped[str | None]
    user_id: Mapped[str | None]
    """The tenant's own name for a signed-in reader."""
    visitor: Mapped[bytes | None]
    visit: Mapped[bytes | None]
    is_bot: Mapped[bool]
    duration_ms: Mapped[int | None]
    props: Mapped[Json] = mapped_column(server_default=text("'{}'::jsonb"))

    __table_args__ = (
        CheckConstraint("day = (ts AT TIME ZONE 'UTC')::date", name="day"),
        Index("ix_analytics_event_tenant", "tenant_id", text("ts DESC"), text("id DESC")),
        Index("ix_analytics_event_ts", text("ts DESC"), text("id DESC")),
        {"postgresql_partition_by": "RANGE (day)"},
    )


class AnalyticsSalt(Base):
    """What makes the digests of one day of a site. Deleted two days later."""

    __tablename__ = "analytics_salt"
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenant.id"), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    salt: Mapped[bytes]
