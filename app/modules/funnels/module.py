"""Funnels: steps that readers may take, and how far they come."""

from litestar.di import NamedDependency
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.live import Topic
from app.core.policy import Actor
from app.core.templating import NavigationItem
from app.module import Module
from app.modules.analytics.events import DaysCounted
from app.modules.funnels import permissions
from app.modules.funnels.controllers import FunnelController, OwnerFunnelController
from app.modules.funnels.jobs import MaterializeFunnels
from app.modules.funnels.pages import FunnelPages
from app.modules.funnels.processor import materialize_funnels
from app.modules.funnels.schemas import FUNNEL_ANSWERS
from app.modules.funnels.service import TOPIC, FunnelService, mark_days
from app.queues.schedules import Schedule
from app.queues.timing import Timing


def provide_funnels(session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]) -> FunnelService:
    return FunnelService(session, actor)


funnels = Module(
    name="funnels",
    api=[FunnelController],
    owner_api=[OwnerFunnelController],
    pages=[FunnelPages],
    member_pages=[FunnelPages],
    providers={"funnels": provide_funnels},
    processors=[materialize_funnels],
    subscribers=[(DaysCounted, mark_days)],
    schedules=[Schedule("materialize-funnels", Timing(every_s=300), MaterializeFunnels())],
    permissions=permissions.ALL,
    caches=[FUNNEL_ANSWERS],
    topics=[Topic(TOPIC, permissions.READ)],
    navigation=[NavigationItem("Content", "Funnels", "/funnels", "filter", permissions.READ, 38)],
    links={"funnel": ("/funnels/{id}", permissions.READ)},
)
