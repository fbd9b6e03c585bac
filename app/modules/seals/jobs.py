"""What is done about seals in the background."""

from app.queues.job import Job


class VerifyAudit(Job, kind="verify_audit", queue="platform:tasks"):
    """Compare the whole audit log with its seals."""
