"""Schedules: what runs by the clock, as the code declares it and as people changed it."""

from typing import Any

from litestar import Request
from litestar.di import NamedDependency
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.live import Topic
from app.core.policy import Actor
from app.core.templating import NavigationItem
from app.module import Module
from app.modules.schedules.controllers import ScheduleController
from app.modules.schedules.pages import SchedulePages, Views
from app.modules.schedules.permissions import ALL, READ
from app.modules.schedules.service import ScheduleService
from app.queues.schedules import TOPIC


def provide_schedules(session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]) -> ScheduleService:
    return ScheduleService(session, actor)


def provide_views(request: Request[Any, Any, Any], schedules: NamedDependency[ScheduleService]) -> Views:
    return Views(request, schedules)


schedules = Module(
    name="schedules",
    owner_api=(ScheduleController,),
    pages=(SchedulePages,),
    providers={"schedules": provide_schedules, "views": provide_views},
    permissions=ALL,
    topics=(Topic(TOPIC, READ),),
    navigation=(NavigationItem("Operations", "Schedules", "/schedules", "calendar-time", READ, order=45),),
    links={"schedule": ("/schedules/{id}", READ)},
)
