"""What the tests of tasks and runs share: an article, a worker with a provider of one's choice, rows to look at."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

from httpx2 import AsyncClient
from sqlalchemy import select

from app import registry
from app.core.database import Database, Plane, Scope
from app.core.egress import Egress
from app.core.ids import new_id
from app.core.settings import Settings
from app.modules.ai.client import Completion, Order, Provider, provider_for
from app.modules.ai.models import AiTask
from app.modules.prompts.service import Prompts
from app.queues.core import AI_CONTENT
from app.queues.runner import Runner
from tests.modules.ai.openai_server import OpenAIServer, Received

R = TypeVar("R")
PLATFORM = Scope(Plane.PLATFORM)
TITLE = "How the ladder was built"
BODY = (
    "The weir stands in the lower town and held back the river for two hundred years. "
    "Trout could not pass it, and above the weir they had almost died out. "
    "In the spring the town built a fish ladder of nine pools beside the weir. "
    "Each pool is thirty centimetres higher than the one below, which a trout can jump. "
    "Volunteers counted the trout that climbed the ladder on forty evenings. "
    "They counted eleven in May and more than two hundred in September. "
    "The ladder cost less than the repair of the weir would have cost. "
    "Next year the town will plant willows, because the pools get too warm in the sun."
)


async def article(client: AsyncClient, title: str = TITLE, body: str = BODY) -> str:
    """The id of a new article."""
    answer = await client.post("/api/v1/articles", json={"title": title, "body": body})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def ask(client: AsyncClient, article_id: str) -> dict[str, Any]:
    """The task of a summary that was asked for."""
    answer = await client.post(f"/api/v1/articles/{article_id}/summaries")
    assert answer.status_code == 202, answer.text
    task: dict[str, Any] = answer.json()
    return task


async def start(client: AsyncClient, kind: str, article_id: str, **wanted: Any) -> dict[str, Any]:
    """The task of any kind that was asked for."""
    answer = await client.post("/api/v1/ai/tasks", json={"kind": kind, "articleId": article_id, **wanted})
    assert answer.status_code == 202, answer.text
    task: dict[str, Any] = answer.json()
    return task


async def summarize(provider: Provider, text: str, *, title: str, run_id: str | None = None) -> Completion:
    return await provider.write(Order(kind="summarize_article", title=title, text=text), run_id=run_id)


async def task_of(client: AsyncClient, task_id: str) -> dict[str, Any]:
    answer = await client.get(f"/api/v1/ai/tasks/{task_id}")
    assert answer.status_code == 200, answer.text
    task: dict[str, Any] = answer.json()
    return task


async def rows(database: Database, model: type[R], *order: Any) -> Sequence[R]:
    async with database.transaction(PLATFORM) as session:
        return (await session.scalars(select(model).order_by(*order))).all()


def later() -> datetime:
    """Past every back-off."""
    return datetime.now(UTC) + timedelta(days=1)


async def job_id_of(database: Database, task_id: str) -> UUID:
    async with database.transaction(PLATFORM) as session:
        return (await session.get_one(AiTask, UUID(task_id))).job_id


def worker(database: Database, url: str, *, timeout_s: float = 120, prompts: Prompts | None = None) -> Runner:
    """A worker whose provider is the OpenAI-compatible server at `url`; `timeout_s` is the limit of a summary."""
    settings = Settings(
        ai_provider="openrouter",
        ai_model="acme/writer-2",
        openrouter_api_key="sk-or-v1-0123456789-not-a-real-key",
        openrouter_base_url=url,
        ai_timeout_s=30.0,
    )
    provider = provider_for(settings, Egress(), prompts)
    specs = registry.specs()
    specs |= {AI_CONTENT.name: replace(AI_CONTENT, timeout_s=timeout_s)}
    return Runner(database, registry.kinds(), specs, new_id(), {Provider: provider})


@dataclass
class GatedServer(OpenAIServer):
    """Answers only once its gate is open; `arrived` is set by the first request."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def _answer(self, request: Received, writer: asyncio.StreamWriter) -> bool:
        self.arrived.set()
        await self.gate.wait()
        return await super()._answer(request, writer)
