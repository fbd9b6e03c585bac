"""The queue console: what the queues do, and the buttons that act on them."""

from collections.abc import Callable
from typing import Any

from litestar import Request
from litestar.di import NamedDependency
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.live import Topic
from app.core.metrics import Metric, Sample
from app.core.paging import Pager
from app.core.policy import Actor
from app.core.signs import SignSource
from app.core.templating import NavigationItem
from app.core.trace import TraceSource
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
from app.modules.queues.repository import signs, steps
from app.modules.queues.schemas import QUEUE_ANSWERS
from app.modules.queues.service import QueueService
from app.modules.workers.service import WorkerService
from app.queues.counts import QueueOverview, overview
from app.queues.ended import ended
from app.queues.models import Outcome
from app.queues.record import TOPIC

ENDS = [outcome for outcome in Outcome if outcome is not Outcome.FAILED]


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


async def measured(session: AsyncSession) -> list[Metric]:
    """How full the queues are, as the queues page shows it, and how many jobs have ended."""
    found = await overview(session)
    counts = await ended(session)

    def gauge(name: str, text: str, value: Callable[[QueueOverview], float]) -> Metric:
        return Metric(name, "gauge", text, [Sample(value(one), {"queue": one.name}) for one in found])

    def counted(*outcomes: Outcome) -> list[tuple[str, Outcome, int]]:
        return [(one.name, outcome, counts.get((one.name, outcome), 0)) for one in found for outcome in outcomes]

    ends = [Sample(n, {"queue": queue, "outcome": outcome}) for queue, outcome, n in counted(*ENDS)]
    tries = [Sample(n, {"queue": queue}) for queue, _, n in counted(Outcome.FAILED)]
    return [
        Metric("jobs_ended_total", "counter", "Jobs that ended, in all processes; dead are the dead letters", ends),
        Metric("job_retries_total", "counter", "Attempts that failed, and that another one follows", tries),
        gauge("queue_waiting", "Jobs that a worker could start now", lambda one: one.waiting),
        gauge("queue_delayed", "Jobs that wait for their time", lambda one: one.delayed),
        gauge("queue_active", "Jobs that run", lambda one: one.active),
        gauge("queue_dead", "Dead letters, counted up to 100000", lambda one: one.failed),
        gauge("queue_completed_day", "Jobs completed in 24 hours, counted up to 100000", lambda one: one.completed),
        gauge("queue_paused", "1 while the queue is paused", lambda one: one.paused_at is not None),
    ]


queues = Module(
    name="queues",
    owner_api=[QueueController, JobController, DeadLetterController, LoopController],
    pages=[QueuePages],
    providers={"queues": provide_queues, "views": provide_views, "wanted": provide_filter},
    permissions=permissions.ALL,
    caches=[QUEUE_ANSWERS],
    metrics=[measured],
    signs=[SignSource(signs, permissions.READ, TOPIC)],
    traces=[TraceSource(steps, permissions.READ, TOPIC)],
    topics=[Topic(TOPIC, permissions.READ)],
    cards=[Card("queues/_card.html", load_card, permissions.READ, TOPIC, 10, tag=QUEUE_ANSWERS.tags[0])],
    navigation=[NavigationItem("Operations", "Queues", "/queues", "stack-2", permissions.READ, 40)],
    links={"queue": ("/queues/{id}/jobs", permissions.READ)},
)
