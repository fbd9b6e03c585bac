"""What was mailed to whom. Bodies are not kept: they can hold codes, and are made anew from these columns."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, ForeignKeyConstraint, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.core.models import Json, TenantRow


class EmailLog(TenantRow):
    """One mail. `status` goes from `queued` to `sent`, `failed`, `expired` (it was too late to be of use) or
    `suppressed` (the address is not to get it; `error` says why).

    `template` is the name of a module's mail, or that of the tenant's own template, which `template_id` tells.
    The platform's own mails stand under the platform's tenant.
    """

    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenant.id"), sort_order=-9)
    template: Mapped[str]
    template_version: Mapped[int]
    template_id: Mapped[UUID | None]
    category: Mapped[str] = mapped_column(default="transactional", server_default="transactional")
    recipient: Mapped[str]
    props: Mapped[Json]
    """What the template is filled with, secrets hidden."""
    ticket: Mapped[Json | None]
    """Which code and link it carries; they themselves are made where the mail is made, and stored nowhere."""
    good_until: Mapped[datetime | None]
    status: Mapped[str] = mapped_column(default="queued", server_default="queued")
    deduplication_key: Mapped[str | None]
    message_id: Mapped[str | None]
    error: Mapped[str | None]
    sent_at: Mapped[datetime | None]
    correlation_id: Mapped[UUID | None]

    __table_args__ = (
        UniqueConstraint("tenant_id", "deduplication_key"),
        ForeignKeyConstraint(
            ["tenant_id", "template_id", "template_version"],
            [
                "email_template_version.tenant_id",
                "email_template_version.template_id",
                "email_template_version.number",
            ],
        ),
        Index("ix_email_log_recipient", "recipient", "id"),
        Index("ix_email_log_tenant", "tenant_id", text("id DESC")),
        Index("ix_email_log_correlation", "correlation_id"),
        Index("ix_email_log_template", "tenant_id", "template_id"),
    )
