"""Runs: each try at a task of AI, what was said in it, what happened, and what it used."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Plane
from app.core.live import Topic
from app.core.quota import AI_CENTS_PER_MONTH, Quota
from app.core.signs import SignSource
from app.core.templating import NavigationItem
from app.core.trace import TraceSource
from app.module import Card, Module
from app.modules.runs import permissions
from app.modules.runs.controllers import (
    OwnerRunController,
    UsageController,
    provide_entry_filter,
    provide_run_filter,
    provide_runs,
)
from app.modules.runs.pages import EventPages, RunPages, UsagePages
from app.modules.runs.repository import cents_this_month, count_runs, failed_runs, measured, names, signs, steps
from app.modules.runs.schemas import RUN_ANSWERS
from app.modules.runs.service import TOPIC

CARD_SPAN = timedelta(hours=24)
CARD_FAILURES = 3


async def load_card(session: AsyncSession) -> dict[str, Any]:
    """Runs of the last day by status, and the newest failures with what they were about."""
    since = datetime.now(UTC) - CARD_SPAN
    failed = await failed_runs(session, since, CARD_FAILURES)
    return {
        "counts": await count_runs(session, since),
        "failed": failed,
        "names": await names(session, failed),
    }


runs = Module(
    name="runs",
    api=[UsageController],
    owner_api=[OwnerRunController],
    pages=[RunPages, EventPages, UsagePages],
    member_pages=[UsagePages],
    providers={"runs": provide_runs, "wanted_runs": provide_run_filter, "wanted_entries": provide_entry_filter},
    permissions=permissions.ALL,
    caches=[RUN_ANSWERS],
    metrics=[measured],
    topics=[Topic(TOPIC, permissions.READ)],
    navigation=[
        NavigationItem("AI", "Runs", "/ai/runs", "sparkles", permissions.READ, 40, Plane.PLATFORM),
        NavigationItem("AI", "Event log", "/ai/event-logs", "activity", permissions.READ, 44, Plane.PLATFORM),
        NavigationItem("AI", "Usage", "/ai/usage", "database", permissions.USE, 46),
    ],
    signs=[SignSource(signs, permissions.READ, TOPIC)],
    traces=[TraceSource(steps, permissions.READ, TOPIC)],
    months={"ai_event_log": "job_retention_months"},
    quotas=[Quota(AI_CENTS_PER_MONTH, "AI spend per month", cents_this_month)],
    cards=[Card("runs/_card.html", load_card, permissions.READ, TOPIC, 30, Plane.PLATFORM)],
)
