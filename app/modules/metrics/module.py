"""Metrics: what modules measure, for whoever watches from outside."""

from app.module import Module
from app.modules.metrics import permissions
from app.modules.metrics.controllers import MetricsController

metrics = Module(name="metrics", public=[MetricsController], permissions=permissions.ALL)
