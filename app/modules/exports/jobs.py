"""What exports do in the background."""

from uuid import UUID

from app.queues.job import Job


class ExportList(Job, kind="export_list", queue="platform:tasks"):
    """Write the file of an export."""

    export_id: UUID


class PurgeExports(Job, kind="purge_exports", queue="platform:tasks"):
    """Delete exports whose time is over, with their files."""
