"""`/api/owner/overview`."""

from litestar import Controller, get
from litestar.di import NamedDependency

from app.modules.dashboard.permissions import STANDING
from app.modules.dashboard.schemas import OverviewRead, read
from app.modules.dashboard.service import Signs


class OverviewController(Controller):
    path = "/overview"

    @get("/", permission=STANDING)
    async def show(self, signs: NamedDependency[Signs]) -> OverviewRead:
        """Read how the platform fares, part by part; what asks most for a person comes first."""
        return read(await signs.all())
