"""Releases on the wire."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import Meta, convert, field

from app.core.errors import Invalid
from app.core.wire import Incoming, Outgoing
from app.modules.releases.models import Action, Release, ReleaseStatus

At = Annotated[datetime, Meta(tz=True, description="When, with its time zone", examples=["2027-01-31T08:00:00Z"])]
Number = Annotated[int, Meta(ge=1, le=2**31 - 1, description="The version to publish; the newest where none is named")]


class ReleaseCreate(Incoming):
    """A wish. To publish pins a version: what is written on the draft until then does not go out with it."""

    action: Action
    at: At
    version: Number | None = None


class ReleaseRead(Outgoing):
    """A release, and what became of it."""

    id: UUID
    article_id: UUID
    action: Action
    number: int | None = field(name="version")
    run_at: datetime = field(name="at")
    status: ReleaseStatus
    error: str | None
    job_id: UUID
    requested_by: str
    created_at: datetime
    finished_at: datetime | None


class ReleasePage(Outgoing):
    """A page of releases, what was asked for last first."""

    items: Sequence[ReleaseRead]
    next_cursor: str | None
    prev_cursor: str | None


class ReleaseForm(Incoming):
    """The dashboard's form: a day and a time of UTC."""

    action: Action = Action.PUBLISH
    at: str = ""
    version: str = ""
    csrf_token: str = field(name="_csrf_token", default="")

    def wish(self) -> ReleaseCreate:
        """
        Raises:
            Invalid: naming the field.
        """
        number = int(self.version) if self.version.isdecimal() and len(self.version) < 10 else None
        if self.version and not number:
            raise Invalid.field("version", "must be the number of a version, or empty")
        try:
            at = datetime.fromisoformat(f"{self.at}+00:00")
        except ValueError:
            raise Invalid.field("at", "must be a day and a time: 2027-01-31T08:00") from None
        return ReleaseCreate(action=self.action, at=at, version=number)


def read(row: Release) -> ReleaseRead:
    return convert(row, ReleaseRead, from_attributes=True)
