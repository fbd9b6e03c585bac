"""What is announced of approvals."""

from uuid import UUID

from app.core.events import Event


class ApprovalEnded(Event, frozen=True):
    """Nobody is asked any more. `status` is approved, rejected, expired or cancelled."""

    approval_id: UUID
    status: str
