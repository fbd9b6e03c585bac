"""What is announced of tenants."""

from uuid import UUID

from app.core.events import Event


class TenantCreated(Event, frozen=True):
    """A tenant was made, and its first workspace."""

    tenant_id: UUID
