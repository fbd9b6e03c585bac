"""The dashboard's first page. It knows no other module: they contribute their cards."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Plane
from app.core.templating import NavigationItem
from app.module import Card, Module
from app.modules.dashboard.pages import ComponentPages, HomeController, OverviewPages
from app.modules.dashboard.permissions import READ
from app.modules.dashboard.repository import first_steps


async def load_first_steps(session: AsyncSession) -> dict[str, Any]:
    return {"steps": await first_steps(session)}


dashboard = Module(
    name="dashboard",
    pages=[OverviewPages, ComponentPages],
    member_pages=[OverviewPages],
    public=[HomeController],
    permissions=[READ],
    navigation=[NavigationItem("", "Overview", "/", "dashboard", READ, 0)],
    cards=[Card("dashboard/_first_steps.html", load_first_steps, READ, "tenants articles ai.tasks", 0, Plane.PLATFORM)],
)
