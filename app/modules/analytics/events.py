"""What is announced of analytics."""

from datetime import date
from uuid import UUID

from app.core.events import Event


class DaysCounted(Event, frozen=True):
    """Days of a tenant's site were counted anew, in the platform's transaction. `days` are in order."""

    tenant_id: UUID
    days: list[date]
