"""Telling how far readers came."""

from app.queues.job import Job


class MaterializeFunnels(Job, kind="materialize_funnels", queue="analytics:process"):
    """Tell the marked days of all tenants' funnels anew."""
