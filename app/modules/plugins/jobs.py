"""Deliveries on their way. A payload names the delivery's row and nothing of what it says."""

from uuid import UUID

from app.queues.job import Job


class ExecuteHook(Job, kind="plugin_execute_hook", queue="plugin:webhooks"):
    """Call the receiver of one delivery."""

    delivery_id: UUID


class PurgeDeliveries(Job, kind="purge_deliveries", queue="platform:tasks"):
    """Forget deliveries that ended long ago."""
