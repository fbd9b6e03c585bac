"""Funnels on the wire."""

from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from msgspec import UNSET, Meta, Raw, UnsetType, convert, field

from app.core.errors import Invalid
from app.core.wire import Incoming, Outgoing
from app.modules.funnels.models import Funnel, Order
from app.redis.cached import Cached

MAX_NAME, LEAST_STEPS, MOST_STEPS = 120, 2, 8
LEAST_WINDOW_S, MOST_WINDOW_S = 60, 7 * 86_400
FUNNEL_ANSWERS = Cached("owner", "funnels", "answers", Raw, 30, ("funnels",), "Funnels, over the API.")


class Step(Incoming):
    """Events of a name, of any page or of one: `/join`, or `/blog/*` for all that begin so."""

    name: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9_.:-]{0,63}$", examples=["page_view"])]
    path: Annotated[str, Meta(pattern=r"^/[^\x00]*$", max_length=1_000, examples=["/join"])] | None = None


Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME, description="One line", examples=["Reader to member"])]
Steps = Annotated[list[Step], Meta(min_length=LEAST_STEPS, max_length=MOST_STEPS)]
Window = Annotated[
    int,
    Meta(ge=LEAST_WINDOW_S, le=MOST_WINDOW_S, description="Seconds from the first step to the last", examples=[3600]),
]


class FunnelCreate(Incoming):
    """A new funnel. Without a `userId`, a reader is known within one day only."""

    name: Name
    steps: Steps
    window_s: Window = 86_400
    order: Order = Order.SEQUENTIAL


class FunnelOwnedCreate(FunnelCreate, kw_only=True):
    """A new funnel of a tenant."""

    tenant_id: UUID


class FunnelChange(Incoming):
    """What to change; fields that are left out stay as they are. Its days are told anew as far as events reach."""

    name: Name | UnsetType = UNSET
    steps: Steps | UnsetType = UNSET
    window_s: Window | UnsetType = UNSET
    order: Order | UnsetType = UNSET


class FunnelForm(Incoming):
    """The dashboard's form: a step a line, the name of its events and maybe a page: `page_view /join`."""

    name: str = ""
    steps: str = ""
    window: str = "24"
    """Hours."""
    order: Order = Order.SEQUENTIAL
    tenant_id: str = ""
    """Whose it is to be, where the platform makes it."""
    version: int | None = None
    csrf_token: str = field(name="_csrf_token", default="")

    def read(self) -> FunnelCreate:
        """
        Raises:
            Invalid: naming the field.
        """
        lines = [line.split() for line in self.steps.splitlines() if line.strip()]
        if any(len(line) > 2 for line in lines):
            raise Invalid.field("steps", "must have a step a line: the name of its events and maybe a page")
        steps = [{"name": line[0], "path": line[1] if len(line) > 1 else None} for line in lines]
        try:
            window_s = round(float(self.window) * 3600)
        except (ValueError, OverflowError):
            raise Invalid.field("window", "must be a number of hours") from None
        if not LEAST_WINDOW_S <= window_s <= MOST_WINDOW_S:
            raise Invalid.field("window", f"must be from a minute to {MOST_WINDOW_S // 3600} hours")
        if not 1 <= len(self.name) <= MAX_NAME:
            raise Invalid.field("name", f"must have 1 to {MAX_NAME} characters in one line")
        try:
            wanted = convert(steps, Steps)
        except ValueError as error:
            raise Invalid.field("steps", f"must be {LEAST_STEPS} to {MOST_STEPS} steps, a line each: {error}") from None
        return FunnelCreate(name=self.name, steps=wanted, window_s=window_s, order=self.order)

    def change(self) -> FunnelChange:
        new = self.read()
        return FunnelChange(name=new.name, steps=new.steps, window_s=new.window_s, order=new.order)


class StepRead(Outgoing):
    name: str
    path: str | None


class FunnelRead(Outgoing):
    """One funnel. `version` is also its ETag."""

    id: UUID
    tenant_id: UUID
    name: str
    steps: list[StepRead]
    window_s: int
    order: Order
    created_at: datetime
    updated_at: datetime
    version: int


class FunnelPage(Outgoing):
    """A page of funnels, newest first."""

    items: list[FunnelRead]
    next_cursor: str | None
    prev_cursor: str | None


class Reached(Outgoing):
    """How many came to a step. `medianS`, seconds since they entered, is the median of the days' medians."""

    step: int
    name: str
    path: str | None
    people: int
    median_s: float | None


class FunnelDayRead(Outgoing):
    """Of those who entered on a day, how many came to each step, and how soon: the median in seconds."""

    day: date
    people: list[int]
    median_s: list[float | None]


class FunnelResults(Outgoing):
    """How far readers came, of all the days together and of each on which anybody entered."""

    funnel_id: UUID
    timezone: str
    steps: list[Reached]
    days: list[FunnelDayRead]
    up_to_date: bool


def read(row: Funnel) -> FunnelRead:
    return convert(row, FunnelRead, from_attributes=True)


def plain(steps: list[Step]) -> list[dict[str, Any]]:
    """As the table keeps them."""
    return [{"name": step.name, "path": step.path} for step in steps]
