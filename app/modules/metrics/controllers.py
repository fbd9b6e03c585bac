"""`/metrics`, for Prometheus: with a platform token, wherever the scraper stands."""

from typing import Any

from litestar import Controller, Request, Response, get
from litestar.di import NamedDependency
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Plane
from app.core.metrics import MEDIA_TYPE, Requests, exposition
from app.modules.metrics.permissions import READ


class MetricsController(Controller):
    path = "/metrics"

    @get("/", permission=READ, plane=Plane.PLATFORM)
    async def scrape(self, request: Request[Any, Any, Any], session: NamedDependency[AsyncSession]) -> Response[str]:
        """What each module tells of itself: queues for all processes, cache and requests for the one that answers."""
        found = [metric for source in request.app.state.metrics for metric in await source(session)]
        requests: Requests = request.app.state.requests
        found += requests.metrics()
        return Response(exposition(found), media_type=MEDIA_TYPE)
