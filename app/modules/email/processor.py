"""What the worker runs: hand one mail over, with no transaction held meanwhile."""

from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import scope_of
from app.core.live import signal
from app.modules.email.client import NotDelivered, Post
from app.modules.email.jobs import SendEmail, SendOtp
from app.modules.email.models import EmailLog
from app.modules.email.service import TOPIC
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
    async with work.transaction(f"read:{work.attempt}") as session:
        if session is None:
            return
        row = await _row(session, email_id)
        if row is None or row.status != "queued" or (row.good_until and row.good_until <= datetime.now(UTC)):
            if row is not None and row.status == "queued":
                row.status = "expired"
                _tell(session, row)
            await work.complete(session)
            return
    try:
        message_id = await work.resource(Post).send(row)
    except NotDelivered as error:
        if error.retryable:
            raise
        raise Unrecoverable(str(error)) from error
    async with work.transaction("sent") as session:
        if session is not None and (row := await _row(session, email_id)) is not None:
            row.status, row.message_id, row.sent_at = "sent", message_id, datetime.now(UTC)
            row.error = None
            _tell(session, row)
            await work.complete(session)


@send_otp.dead
@send_email.dead
async def on_dead(session: AsyncSession, job: SendOtp | SendEmail, error: str) -> None:
    if (row := await _row(session, job.email_id)) is not None and row.status == "queued":
        row.status, row.error = "failed", error
        _tell(session, row)


@send_otp.replayed
@send_email.replayed
async def on_replay(session: AsyncSession, job: SendOtp | SendEmail) -> None:
    if (row := await _row(session, job.email_id)) is not None and row.status == "failed":
        row.status, row.error = "queued", None
        _tell(session, row)


async def _row(session: AsyncSession, email_id: UUID) -> EmailLog | None:
    return (await session.scalars(select(EmailLog).where(EmailLog.id == email_id))).one_or_none()


def _tell(session: AsyncSession, row: EmailLog) -> None:
    signal(session, TOPIC, row.id, scope_of(session).tenant_id)
