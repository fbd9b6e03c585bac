"""Mails on their way. A payload names the mail's row and nothing of what it says."""

from uuid import UUID

from app.queues.job import Job


class SendOtp(Job, kind="send_otp", queue="email:outbound"):
    """Send a mail with a one-time code or link."""

    email_id: UUID


class SendEmail(Job, kind="send_email", queue="email:outbound"):
    """Send any other mail."""

    email_id: UUID
