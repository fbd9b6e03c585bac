"""AI: what is asked of it for articles, and what came of that."""

from app.core.live import Topic
from app.core.signs import SignSource
from app.core.templating import NavigationItem
from app.module import About, Module
from app.modules.ai import permissions
from app.modules.ai.client import Provider, provider_for
from app.modules.ai.controllers import (
    AiTaskController,
    OwnerAiController,
    SummaryController,
    provide_ai,
    provide_task_filter,
)
from app.modules.ai.jobs import ProbeProvider
from app.modules.ai.pages import TaskPages
from app.modules.ai.processor import PROCESSORS
from app.modules.ai.repository import about_jobs, signs
from app.modules.ai.schemas import AI_ANSWERS
from app.modules.ai.service import KINDS, TASKS
from app.modules.prompts.service import Prompts
from app.queues.record import TOPIC
from app.queues.schedules import Schedule
from app.queues.timing import Timing

ai = Module(
    name="ai",
    api=[SummaryController, AiTaskController],
    owner_api=[OwnerAiController],
    pages=[TaskPages],
    member_pages=[TaskPages],
    providers={"ai": provide_ai, "wanted_tasks": provide_task_filter},
    processors=PROCESSORS,
    schedules=[Schedule("probe-provider", Timing(every_s=60), ProbeProvider())],
    signs=[SignSource(signs, permissions.READ, TOPIC)],
    permissions=permissions.ALL,
    caches=[AI_ANSWERS],
    actions=["ai.task.complete", "ai.task.fail", "ai.task.cancel", "ai.task.retry"],
    topics=[Topic(TASKS, permissions.READ)],
    navigation=[NavigationItem("AI", "Tasks", "/ai/tasks", "list-check", permissions.READ, 41)],
    about=[About(kind.kind, about_jobs, permissions.READ) for kind in KINDS],
    resources={Provider: lambda parts: provider_for(parts.settings, parts.egress, Prompts(parts.database))},
)
