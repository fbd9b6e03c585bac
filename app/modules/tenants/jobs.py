"""What tenants leave to do in the background."""

from datetime import datetime
from uuid import UUID

from app.queues.job import Job


class EraseTenant(Job, kind="erase_tenant", queue="platform:tasks"):
    """Erase a tenant's rows for good, unless its deletion was taken back since, or began anew.

    `erase_at` is which deletion is meant.
    """

    tenant_id: UUID
    erase_at: datetime
