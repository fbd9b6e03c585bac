"""The dashboard's first page. It knows no other module: they contribute their cards."""

from typing import Any

from litestar import Request
from litestar.di import NamedDependency
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Plane
from app.core.policy import Actor
from app.core.signs import SignSource
from app.core.templating import NavigationItem
from app.module import Card, Module
from app.modules.dashboard.controllers import OverviewController
from app.modules.dashboard.pages import ComponentPages, HomeController, OverviewPages, SignPages
from app.modules.dashboard.permissions import READ, STANDING
from app.modules.dashboard.repository import first_steps
from app.modules.dashboard.service import Signs, signs


async def load_first_steps(session: AsyncSession) -> dict[str, Any]:
    return {"steps": await first_steps(session)}


def provide_signs(
    request: Request[Any, Any, Any], session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]
) -> Signs:
    return Signs(session, actor, request.app.state.signs)


dashboard = Module(
    name="dashboard",
    owner_api=[OverviewController],
    pages=[OverviewPages, SignPages, ComponentPages],
    member_pages=[OverviewPages, SignPages],
    public=[HomeController],
    providers={"signs": provide_signs},
    permissions=[READ, STANDING],
    signs=[SignSource(signs, STANDING, "queues")],
    navigation=[NavigationItem("", "Overview", "/", "dashboard", READ, 0)],
    cards=[Card("dashboard/_first_steps.html", load_first_steps, READ, "tenants articles ai.tasks", 0, Plane.PLATFORM)],
)
