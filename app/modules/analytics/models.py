"""What is counted of readers' events.

Counts are never incremented: an event marks its hour, and whoever finds the mark counts the hour anew.
"""

from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, func
from sqlalchemy.orm import Mapped, mapped_column

from app.core.ids import new_id
from app.core.models import Base, Json


class Metric(StrEnum):
    """What is counted. Bots count as `bots` and as nothing else."""

    VIEWS = "views"
    VISITORS = "visitors"
    VISITS = "visits"
    EVENTS = "events"
    BOTS = "bots"


class Grain(StrEnum):
    """How long a bucket is: an hour of UTC, or a day in the tenant's time zone."""

    HOUR = "hour"
    DAY = "day"


class Dimension(StrEnum):
    """What a count can be divided by."""

    NAME = "name"
    PATH = "path"
    ARTICLE = "articleId"
    REFERRER = "referrer"
    SOURCE = "utmSource"
    COUNTRY = "country"
    DEVICE = "device"


class AnalyticsMark(Base):
    """A bucket that has to be counted anew: the one with `moment` in it. Each batch of events makes its own marks,
    so that senders do not wait for each other; a mark that a count has not seen is there for the next one.
    """

    __tablename__ = "analytics_mark"
    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenant.id"))
    grain: Mapped[str]
    moment: Mapped[datetime]

    __table_args__ = (
        CheckConstraint("grain IN ('hour', 'day')", name="grain"),
        Index("ix_analytics_mark_next", "grain", "id"),
        Index("ix_analytics_mark_bucket", "tenant_id", "grain", "moment"),
    )


class AnalyticsAggregate(Base):
    """A count of one bucket, whole (`dims` is empty) or of what has one value of a dimension.

    `site_day` is the day in the tenant's time zone in which the bucket begins. What is zero has no row.
    """

    __tablename__ = "analytics_aggregate"
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenant.id"), primary_key=True)
    metric: Mapped[str] = mapped_column(primary_key=True)
    grain: Mapped[str] = mapped_column(primary_key=True)
    bucket_utc: Mapped[datetime] = mapped_column(primary_key=True)
    dims_hash: Mapped[bytes] = mapped_column(primary_key=True)
    """SHA-256 of `dims`."""
    dims: Mapped[Json]
    value: Mapped[int]
    site_day: Mapped[date]
    counted_at: Mapped[datetime] = mapped_column(server_default=func.now())

    __table_args__ = (
        CheckConstraint("grain IN ('hour', 'day')", name="grain"),
        Index("ix_analytics_aggregate_day", "metric", "grain", "site_day"),
    )


class ArticleStatsDaily(Base):
    """How an article was read on one day of its site."""

    __tablename__ = "article_stats_daily"
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenant.id"), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    article_id: Mapped[UUID] = mapped_column(primary_key=True)
    views: Mapped[int]
    visitors: Mapped[int]
    engaged_s: Mapped[int]


class UserEngagementDaily(Base):
    """What a signed-in reader did on one day of the site."""

    __tablename__ = "user_engagement_daily"
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenant.id"), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    user_id: Mapped[str] = mapped_column(primary_key=True)
    events: Mapped[int]
    views: Mapped[int]
    visits: Mapped[int]
    articles: Mapped[int]
    engaged_s: Mapped[int]
    first_at: Mapped[datetime]
    last_at: Mapped[datetime]
