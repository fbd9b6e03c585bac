"""What the worker runs: hand one mail over, with no transaction held meanwhile."""

from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.events import emit
from app.core.live import signal
from app.modules.email.client import NotDelivered, Post
from app.modules.email.events import EmailEnded, Ended
from app.modules.email.jobs import SendEmail, SendOtp
from app.modules.email.models import EmailLog
from app.modules.email.repository import one
from app.modules.email.service import TOPIC
from app.modules.email_preferences.service import Reason, suppress, unwanted
from app.modules.email_templates.service import version_of, write
from app.modules.tenants.service import may_send
from app.queues.failure import Unrecoverable
from app.queues.job import processor
from app.queues.work import Work


@processor(SendOtp)
async def send_otp(work: Work, job: SendOtp) -> None:
    await _send(work, job.email_id)


@processor(SendEmail)
async def send_email(work: Work, job: SendEmail) -> None:
    await _send(work, job.email_id)


async def _send(work: Work, email_id: UUID) -> None:
    """Raises what went wrong, so that the queue tries again; `Unrecoverable` where the server refused for good."""
    async with work.transaction(f"read:{work.this_try}") as session:
        assert session is not None
        row = await one(session, email_id)
        if row is None or row.status != "queued":
            await work.complete(session)
            return
        if row.good_until and row.good_until <= datetime.now(UTC):
            await _end(session, row, "expired")
            await work.complete(session)
            return
        of_tenant = row.template_id is not None
        # The platform's own mails hold what lets people in: they are always tried.
        if of_tenant and not await may_send(session):
            await _end(session, row, "suppressed", "the tenant is suspended")
            await work.complete(session)
            return
        if of_tenant and (why := await unwanted(session, row.tenant_id, row.recipient, row.category)):
            await _end(session, row, "suppressed", why)
            await work.complete(session)
            return
        version = await version_of(session, row.template_id, row.template_version) if row.template_id else None
    written = await write(version, row.props) if version else None
    try:
        message_id = await work.resource(Post).send(row, written)
    except NotDelivered as error:
        if error.no_such_recipient and of_tenant:
            async with work.transaction(f"bounced:{work.this_try}") as session:
                assert session is not None
                await suppress(session, row.tenant_id, row.recipient, Reason.BOUNCED, row.id)
        if error.retryable:
            raise
        raise Unrecoverable(str(error)) from error
    async with work.transaction("sent") as session:
        if session is not None and (row := await one(session, email_id)) is not None:
            row.message_id, row.sent_at = message_id, datetime.now(UTC)
            await _end(session, row, "sent")
            await work.complete(session)


@send_otp.dead
@send_email.dead
async def on_dead(session: AsyncSession, job: SendOtp | SendEmail, error: str) -> None:
    if (row := await one(session, job.email_id)) is not None and row.status == "queued":
        await _end(session, row, "failed", error)


@send_otp.replayed
@send_email.replayed
async def on_replay(session: AsyncSession, job: SendOtp | SendEmail) -> None:
    if (row := await one(session, job.email_id)) is not None and row.status == "failed":
        row.status, row.error = "queued", None
        _tell(session, row)


async def _end(session: AsyncSession, row: EmailLog, status: Ended, error: str | None = None) -> None:
    row.status, row.error = status, error
    _tell(session, row)
    await emit(session, EmailEnded(row.id, status, row.tenant_id))


def _tell(session: AsyncSession, row: EmailLog) -> None:
    signal(session, TOPIC, row.id, row.tenant_id)
