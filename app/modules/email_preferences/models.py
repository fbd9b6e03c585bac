"""What people do not want to get by mail, and addresses to which nothing is sent any more."""

from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.core.models import TenantRow


class Reason(StrEnum):
    """Why nothing is sent to an address. To one that only unsubscribed, transactional mails are."""

    BOUNCED = "bounced"
    COMPLAINED = "complained"
    UNSUBSCRIBED = "unsubscribed"
    MANUAL = "manual"


class EmailPreference(TenantRow):
    """Whether an address gets a tenant's mails of a category. Without a row it does."""

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenant.id"), sort_order=-9)
    recipient: Mapped[str]
    category: Mapped[str]
    subscribed: Mapped[bool]

    __table_args__ = (
        UniqueConstraint("tenant_id", "recipient", "category"),
        CheckConstraint("category <> 'transactional'", name="category"),
    )


class EmailSuppression(TenantRow):
    """An address to which a tenant sends nothing. `email_id` is the mail that showed it, which may be gone."""

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenant.id"), sort_order=-9)
    recipient: Mapped[str]
    reason: Mapped[str]
    email_id: Mapped[UUID | None]

    __table_args__ = (
        UniqueConstraint("tenant_id", "recipient"),
        CheckConstraint("reason IN ('bounced', 'complained', 'unsubscribed', 'manual')", name="reason"),
    )
