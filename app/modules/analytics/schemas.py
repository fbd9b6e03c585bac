"""Analytics on the wire."""

from datetime import date, datetime
from uuid import UUID

from msgspec import Raw, Struct

from app.core.errors import Invalid
from app.core.moments import day_of
from app.core.queries import one_of, uuid_of, wire_name
from app.core.wire import Outgoing
from app.modules.analytics.models import Dimension, Grain, Metric
from app.redis.cached import Cached

LONGEST_VALUE = 1_000
ANALYTICS_ANSWERS = Cached("owner", "analytics", "answers", Raw, 30, ("analytics",), "Analytics, over the API.")


class Point(Outgoing):
    """One bucket of a series: from `bucket` until before `end`, on the site's `day`."""

    bucket: datetime
    end: datetime
    day: date
    value: int


class Series(Outgoing):
    """A count over time. Empty buckets are zero. With `upToDate` false, some are about to be counted anew.

    `total` of visitors is the sum of the days': who comes on two days counts twice.
    """

    metric: Metric
    grain: Grain
    timezone: str
    points: list[Point]
    total: int
    up_to_date: bool


class Part(Outgoing):
    """How much of a count has this value of a dimension."""

    value: str
    count: int


class Breakdown(Outgoing):
    """A count divided by a dimension, the most first."""

    metric: Metric
    dimension: Dimension
    items: list[Part]


class ArticleStats(Outgoing):
    """How an article was read in a range of days. `title` is null where there is no such article any more."""

    tenant_id: UUID
    article_id: UUID
    title: str | None
    views: int
    visitors: int
    engaged_s: int


class ArticleStatsList(Outgoing):
    items: list[ArticleStats]


class ReaderStats(Outgoing):
    """What a signed-in reader did in a range of days."""

    tenant_id: UUID
    user_id: str
    days: int
    events: int
    views: int
    visits: int
    engaged_s: int
    first_at: datetime
    last_at: datetime


class ReaderStatsList(Outgoing):
    items: list[ReaderStats]


class Asked(Struct, frozen=True, kw_only=True):
    """What is asked of the counts: of which tenant (None: all that the transaction sees), of which days of its site
    (None: the last four weeks, or until today), and of which part.
    """

    tenant_id: UUID | None = None
    first: date | None = None
    last: date | None = None
    metric: Metric = Metric.VIEWS
    grain: Grain = Grain.DAY
    dimension: Dimension | None = None
    value: str | None = None


class AnalyticsQuery(Struct, rename=wire_name, kw_only=True):
    """The parameters of an address, as text."""

    tenant_id: str | None = None
    since: str | None = None
    until: str | None = None
    metric: str | None = None
    grain: str | None = None
    dimension: str | None = None
    value: str | None = None

    def asked(self) -> Asked:
        """
        Raises:
            Invalid: naming the parameter.
        """
        if self.value and len(self.value) > LONGEST_VALUE:
            raise Invalid.field("value", f"must have at most {LONGEST_VALUE} characters")
        if self.value and not self.dimension:
            raise Invalid.field("dimension", "is wanted with a value")
        return Asked(
            tenant_id=uuid_of("tenantId", self.tenant_id),
            first=day_of("from", self.since),
            last=day_of("to", self.until),
            metric=one_of("metric", self.metric, Metric) or Metric.VIEWS,
            grain=one_of("grain", self.grain, Grain) or Grain.DAY,
            dimension=one_of("dimension", self.dimension, Dimension),
            value=self.value.replace("\0", "") if self.value else None,
        )
