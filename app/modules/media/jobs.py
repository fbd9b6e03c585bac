"""What is done with files in the background."""

from uuid import UUID

from app.queues.job import Job


class MakeImages(Job, kind="make_images", queue="platform:tasks"):
    """Make the smaller pictures of an image."""

    file_id: UUID


class SweepFiles(Job, kind="sweep_files", queue="platform:tasks"):
    """Remove what lies in the folder of files and is no file's: of erased tenants, of uploads that were cut off."""
