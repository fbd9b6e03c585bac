"""What is announced of events."""

from datetime import datetime
from uuid import UUID

from app.core.events import Event


class EventsTaken(Event, frozen=True):
    """New events of a tenant were kept; `hours` are the beginnings of the hours of UTC in which they happened."""

    tenant_id: UUID
    hours: list[datetime]
