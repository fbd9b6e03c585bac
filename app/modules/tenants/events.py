"""What is announced of tenants."""

from uuid import UUID

from app.core.events import Event


class TenantCreated(Event, frozen=True):
    """A tenant was made, and its first workspace."""

    tenant_id: UUID


class TimezoneChanged(Event, frozen=True):
    """A tenant's days begin at another moment from now on. In the platform's transaction."""

    tenant_id: UUID
