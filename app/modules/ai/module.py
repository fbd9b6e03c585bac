"""AI: what is asked of it for articles, and the record of every task, run, message and event."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Plane
from app.core.live import Topic
from app.core.quota import AI_CENTS_PER_MONTH, Quota
from app.core.templating import NavigationItem
from app.core.trace import TraceSource
from app.module import About, Card, Module
from app.modules.ai import permissions
from app.modules.ai.controllers import (
    AiTaskController,
    OwnerAiController,
    SummaryController,
    UsageController,
    provide_ai,
    provide_entry_filter,
    provide_run_filter,
    provide_task_filter,
)
from app.modules.ai.pages import EventPages, RunPages, TaskPages, UsagePages
from app.modules.ai.processor import PROCESSORS
from app.modules.ai.repository import about_jobs, cents_this_month, count_runs, failed_runs, names, steps
from app.modules.ai.schemas import AI_ANSWERS
from app.modules.ai.service import KINDS, RUNS, TASKS

CARD_SPAN = timedelta(hours=24)
CARD_FAILURES = 3


async def load_card(session: AsyncSession) -> dict[str, Any]:
    """Runs of the last day by status, and the newest failures with what they were about."""
    since = datetime.now(UTC) - CARD_SPAN
    failed = await failed_runs(session, since, CARD_FAILURES)
    return {
        "counts": await count_runs(session, since),
        "failed": failed,
        "names": await names(session, runs=failed),
    }


ai = Module(
    name="ai",
    api=[SummaryController, AiTaskController, UsageController],
    owner_api=[OwnerAiController],
    pages=[RunPages, TaskPages, EventPages, UsagePages],
    member_pages=[TaskPages, UsagePages],
    providers={
        "ai": provide_ai,
        "wanted_tasks": provide_task_filter,
        "wanted_runs": provide_run_filter,
        "wanted_entries": provide_entry_filter,
    },
    processors=PROCESSORS,
    permissions=permissions.ALL,
    caches=[AI_ANSWERS],
    actions=["ai.task.complete", "ai.task.fail", "ai.task.cancel", "ai.task.retry"],
    topics=[Topic(TASKS, permissions.READ), Topic(RUNS, permissions.READ)],
    navigation=[
        NavigationItem("AI", "Runs", "/ai/runs", "sparkles", permissions.READ, 40, Plane.PLATFORM),
        NavigationItem("AI", "Tasks", "/ai/tasks", "list-check", permissions.READ, 41),
        NavigationItem("AI", "Event log", "/ai/event-logs", "activity", permissions.READ, 44, Plane.PLATFORM),
        NavigationItem("AI", "Usage", "/ai/usage", "database", permissions.READ, 46),
    ],
    about=[About(kind.kind, about_jobs, permissions.READ) for kind in KINDS],
    traces=[TraceSource(steps, permissions.READ, RUNS)],
    quotas=[Quota(AI_CENTS_PER_MONTH, "AI spend per month", cents_this_month)],
    cards=[Card("ai/_card.html", load_card, permissions.READ, RUNS, 30, Plane.PLATFORM)],
)
