"""What is announced of deliveries."""

from uuid import UUID

from app.core.events import Event


class DeliveryEnded(Event, frozen=True):
    """It was delivered, failed for good or was skipped: its `status`. Somebody may have it begin again."""

    delivery_id: UUID
    status: str
