"""What is announced of mails."""

from typing import Literal
from uuid import UUID

from app.core.events import Event

Ended = Literal["sent", "failed", "expired", "suppressed"]


class EmailEnded(Event, frozen=True):
    """A mail was handed over, or will not be: told once for each end, so again where a failed one is replayed.

    `tenant_id` is whose mail it is. The transaction is that tenant's where a worker tells, and the platform's where an
    owner cancels or removes the job.
    """

    email_id: UUID
    status: Ended
    tenant_id: UUID
