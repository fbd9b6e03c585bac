"""Events of readers on the wire."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from msgspec import Meta, Raw, Struct, field

from app.core.errors import Invalid
from app.core.moments import moment
from app.core.queries import text_of, uuid_of, wire_name
from app.core.wire import Incoming, Outgoing
from app.modules.events.models import AnalyticsEvent
from app.redis.cached import Cached

MOST_EVENTS, MOST_BYTES = 1_000, 1024 * 1024
MOST_PROPS, LONGEST_PROP, LONGEST_PATH = 30, 500, 1_000
YES_NO = {"true": True, "false": False}
EVENT_ANSWERS = Cached("owner", "events", "answers", Raw, 15, ("events",), "Readers' events, over the API.")

Address = Annotated[str, Meta(min_length=1, max_length=1000)]
# PostgreSQL holds no U+0000.
Word = Annotated[str, Meta(min_length=1, max_length=120, pattern=r"^[^\x00]*$")]
Key = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]
PropName = Annotated[str, Meta(min_length=1, max_length=60, pattern=r"^[^\x00]*$")]
PropValue = Annotated[str, Meta(max_length=LONGEST_PROP, pattern=r"^[^\x00]*$")] | int | float | bool | None


class EventIn(Incoming):
    """One thing that a reader did. `name` is enough; `page_view` is what counts as a view.

    With an `eventId` it is counted once, however often it is sent; then `ts` is wanted, which is otherwise the moment
    at which it arrives. `visitorId`, or else `userId`, or else `ip` and `userAgent`, tell visitors apart: they go
    into a digest that is made anew each day, and are not kept, but for `userId`.
    """

    name: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_.:-]{0,63}$", examples=["page_view"])]
    event_id: UUID | None = None
    ts: Annotated[datetime, Meta(tz=True)] | None = None
    path: (
        Annotated[str, Meta(pattern=r"^/[^\x00]*$", max_length=LONGEST_PATH, examples=["/trout-come-back"])] | None
    ) = None
    article_id: UUID | None = None
    referrer: Annotated[Address, Meta(description="An address, of which the host is kept")] | None = None
    utm_source: Word | None = None
    utm_medium: Word | None = None
    utm_campaign: Word | None = None
    country: Annotated[str, Meta(pattern=r"^[A-Z]{2}$", examples=["DE"])] | None = None
    device: Annotated[str, Meta(pattern="^(desktop|mobile|tablet|other)$")] | None = None
    visitor_id: Key | None = None
    visit_id: Key | None = None
    user_id: Key | None = None
    ip: Annotated[str, Meta(max_length=45)] | None = None
    user_agent: Annotated[str, Meta(max_length=1000)] | None = None
    is_bot: bool | None = None
    duration_ms: Annotated[int, Meta(ge=0, le=86_400_000, description="How long it held the reader")] | None = None
    props: Annotated[dict[PropName, PropValue], Meta(max_length=MOST_PROPS)] = field(default_factory=dict)


class EventBatch(Incoming):
    """Up to 1,000 events, in 1 MB. All of them are taken, or none."""

    events: Annotated[list[EventIn], Meta(min_length=1, max_length=MOST_EVENTS)]


class EventReceipt(Outgoing):
    """How many events are new, and how many were there already."""

    accepted: int
    duplicates: int


class EventRead(Outgoing):
    """One event, as it is kept. `visitor` and `visit` are digests that mean something within one day."""

    event_id: UUID
    tenant_id: UUID
    ts: datetime
    received_at: datetime
    name: str
    path: str | None
    article_id: UUID | None
    referrer: str | None
    utm_source: str | None
    utm_medium: str | None
    utm_campaign: str | None
    country: str | None
    device: str | None
    user_id: str | None
    visitor: str | None
    visit: str | None
    is_bot: bool
    duration_ms: int | None
    props: dict[str, Any]


class EventPage(Outgoing):
    """A page of events, newest first."""

    items: list[EventRead]
    next_cursor: str | None
    prev_cursor: str | None


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events; None means any. `since` is included, `until` is not."""

    tenant_id: UUID | None = None
    since: datetime | None = None
    until: datetime | None = None
    name: str | None = None
    path: str | None = None
    article_id: UUID | None = None
    referrer: str | None = None
    utm_source: str | None = None
    country: str | None = None
    device: str | None = None
    user_id: str | None = None
    is_bot: bool | None = None


class EventQuery(Struct, rename=wire_name, kw_only=True):
    """The parameters of an address, as text."""

    tenant_id: str | None = None
    name: str | None = None
    path: str | None = None
    article_id: str | None = None
    referrer: str | None = None
    utm_source: str | None = None
    country: str | None = None
    device: str | None = None
    user_id: str | None = None
    is_bot: str | None = None
    since: str | None = None
    until: str | None = None

    def filter(self) -> EventFilter:
        """
        Raises:
            Invalid: naming the parameter.
        """
        if self.is_bot and self.is_bot not in YES_NO:
            raise Invalid.field("isBot", "must be true or false")
        texts = ("name", "referrer", "utm_source", "country", "device", "user_id")
        if self.path and len(self.path) > LONGEST_PATH:
            raise Invalid.field("path", f"must have at most {LONGEST_PATH} characters")
        return EventFilter(
            tenant_id=uuid_of("tenantId", self.tenant_id),
            article_id=uuid_of("articleId", self.article_id),
            path=self.path.replace("\0", "") if self.path else None,
            is_bot=YES_NO[self.is_bot] if self.is_bot else None,
            since=moment("from", self.since),
            until=moment("to", self.until, end=True),
            **{name: text_of(wire_name(name), getattr(self, name)) for name in texts},
        )


def read(row: AnalyticsEvent) -> EventRead:
    names = EventRead.__struct_fields__
    values = {name: getattr(row, name) for name in names if name not in ("visitor", "visit")}
    digests = {name: value.hex() if (value := getattr(row, name)) else None for name in ("visitor", "visit")}
    return EventRead(**values | digests)
