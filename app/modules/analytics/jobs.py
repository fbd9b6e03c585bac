"""Counting what readers did."""

from app.queues.job import Job


class AggregateHourly(Job, kind="aggregate_hourly", queue="analytics:process"):
    """Count the marked hours of all tenants anew; forget old salts."""


class AggregateDaily(Job, kind="aggregate_daily", queue="analytics:process"):
    """Count the marked days of all tenants anew, and what was done with articles and by users on them."""
