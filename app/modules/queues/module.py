"""The queue console: what the queues do, and the buttons that act on them."""

from typing import Any

from litestar import Request
from litestar.di import NamedDependency
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.live import Topic
from app.core.paging import Pager
from app.core.policy import Actor
from app.core.templating import NavigationItem
from app.module import Card, Module
from app.modules.queues import permissions
from app.modules.queues.controllers import (
    DeadLetterController,
    JobController,
    LoopController,
    QueueController,
    provide_filter,
)
from app.modules.queues.pages import QueuePages, Views
from app.modules.queues.service import QueueService
from app.modules.workers.service import WorkerService
from app.queues.counts import overview
from app.queues.record import TOPIC


def provide_queues(session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]) -> QueueService:
    return QueueService(session, actor)


def provide_views(
    request: Request[Any, Any, Any],
    session: NamedDependency[AsyncSession],
    queues: NamedDependency[QueueService],
    actor: NamedDependency[Actor],
    pager: NamedDependency[Pager],
) -> Views:
    return Views(request, session, queues, WorkerService(session, actor), pager)


async def load_card(session: AsyncSession) -> dict[str, Any]:
    return {"queues": await overview(session)}


queues = Module(
    name="queues",
    owner_api=[QueueController, JobController, DeadLetterController, LoopController],
    pages=[QueuePages],
    providers={"queues": provide_queues, "views": provide_views, "wanted": provide_filter},
    permissions=permissions.ALL,
    topics=[Topic(TOPIC, permissions.READ)],
    cards=[Card("queues/_card.html", load_card, permissions.READ, TOPIC, 10)],
    navigation=[NavigationItem("Operations", "Queues", "/queues", "stack-2", permissions.READ, 40)],
    links={"queue": ("/queues/{id}/jobs", permissions.READ)},
)
