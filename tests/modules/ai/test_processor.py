"""What a worker does with a task: each try is a run, and everything it does is written down once."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import UUID

import pytest
from httpx2 import AsyncClient
from sqlalchemy import text

from app.core.database import Database
from app.core.errors import Conflict
from app.modules.audit.models import AuditLog
from app.modules.runs.models import AiEventLog, AiMessage, AiRun
from app.queues import control
from app.queues.failure import Failure
from app.queues.inline import drain as drain_with
from app.queues.models import JobRow, State
from tests.modules.ai import stage
from tests.modules.ai.openai_server import OpenAIServer

TenantClient = Callable[..., Awaitable[AsyncClient]]
Drain = Callable[..., Awaitable[int]]
NOBODY = "http://127.0.0.1:9/v1"
UNIT_S = 10


def later() -> datetime:
    """Past every back-off."""
    return datetime.now(UTC) + timedelta(days=1)


async def open_transactions(database: Database) -> int:
    """How many other connections to this database are in a transaction."""
    query = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
        "AND backend_type = 'client backend' AND xact_start IS NOT NULL"
    )
    async with database.transaction(stage.PLATFORM) as session:
        return int((await session.execute(text(query))).scalar_one())


@pytest.mark.promise("S4-65", "S4-6", "S4-28")
async def test_the_local_provider_writes_the_summary_and_every_step_is_recorded(
    tenant_client: TenantClient, database: Database, drain: Drain
) -> None:
    client = await tenant_client()
    article_id = await stage.article(client)
    asked = await stage.ask(client, article_id)
    assert asked["status"] == "queued"
    assert await drain() == 1

    task = await stage.task_of(client, asked["id"])
    assert (task["status"], task["error"], task["result"]["provider"]) == ("completed", None, "local")
    assert task["finishedAt"] is not None
    assert task["tries"] == {"failed": 0, "most": 3, "nextAt": None}
    assert task["result"]["summary"] in stage.BODY
    shown = (await client.get(f"/api/v1/articles/{article_id}")).json()
    assert (shown["summary"], shown["summaryProvider"]) == (task["result"]["summary"], "local")

    (run,) = await stage.rows(database, AiRun)
    assert (run.status, run.attempt, run.provider, run.model) == ("completed", 1, "local", "extractive-1")
    assert run.cost_usd == "0"
    assert run.duration_ms is not None
    messages = await stage.rows(database, AiMessage, AiMessage.seq)
    assert [(message.seq, message.role) for message in messages] == [(1, "user"), (2, "assistant")]
    assert messages[0].parts[0]["text"] == f"{stage.TITLE}\n\n{stage.BODY}"
    assert messages[1].parts[0]["text"] == task["result"]["summary"]
    events = await stage.rows(database, AiEventLog, AiEventLog.seq)
    assert [event.type for event in events] == ["run.started", "provider.answered", "run.completed"]
    assert [event.seq for event in events] == [1, 2, 3]
    trail = [row.action for row in await stage.rows(database, AuditLog, AuditLog.id) if row.action.startswith("ai.")]
    assert trail == ["ai.task.start", "ai.task.complete"]
    (job,) = await stage.rows(database, JobRow)
    assert job.state == State.COMPLETED


async def test_tokens_and_cost_of_a_model_are_kept(tenant_client: TenantClient, database: Database) -> None:
    client = await tenant_client()
    async with OpenAIServer() as server:
        task_id = (await stage.ask(client, await stage.article(client)))["id"]
        await drain_with(database, stage.worker(database, server.url))
    (run,) = await stage.rows(database, AiRun)
    assert (run.provider, run.model, run.cost_usd) == ("openrouter", "acme/writer-2", "0.000123")
    assert run.usage is not None
    assert (run.usage["cacheRead"], run.usage["cacheWrite"], run.usage["reasoning"]) == (20, 10, 7)
    assert run.usage["input"] > 0
    assert server.received[0].headers["idempotency-key"] == str(run.id)
    roles = [message.role for message in await stage.rows(database, AiMessage, AiMessage.seq)]
    assert roles == ["system", "user", "assistant"]
    assert (await stage.task_of(client, task_id))["result"]["provider"] == "openrouter"


@pytest.mark.promise("S2-2", "S4-31")
async def test_a_provider_that_cannot_be_reached_is_tried_three_times_and_a_replay_completes_the_task(
    tenant_client: TenantClient, database: Database, drain: Drain
) -> None:
    client = await tenant_client()
    article_id = await stage.article(client)
    task_id = (await stage.ask(client, article_id))["id"]
    broken = stage.worker(database, NOBODY)

    assert await drain_with(database, broken) == 1
    waiting = await stage.task_of(client, task_id)
    assert waiting["status"] == "queued", "it waits for its next run"
    assert (waiting["error"]["code"], waiting["tries"]["failed"]) == ("unreachable", 1)
    assert datetime.fromisoformat(waiting["tries"]["nextAt"]) > datetime.now(UTC)
    assert await drain_with(database, broken, until=later()) == 2
    task = await stage.task_of(client, task_id)
    assert (task["status"], task["error"]["code"]) == ("failed", "unreachable")
    assert task["error"]["message"] == "the AI provider cannot be reached", "whose address is the operator's"
    assert task["tries"] == {"failed": 3, "most": 3, "nextAt": None}
    failed = await stage.rows(database, AiRun, AiRun.attempt)
    assert [(run.attempt, run.status, run.error_code) for run in failed] == [
        (n, "failed", "unreachable") for n in (1, 2, 3)
    ]
    (job,) = await stage.rows(database, JobRow)
    assert (job.state, job.attempts_made) == (State.DEAD, 3)
    assert "127.0.0.1" in job.error_message and "127.0.0.1" in failed[-1].error_message

    async with database.transaction(stage.PLATFORM) as session:
        await control.replay(session, await session.get_one(JobRow, job.id))
    assert await drain() == 1
    task = await stage.task_of(client, task_id)
    assert (task["status"], task["error"]) == ("completed", None)
    runs = await stage.rows(database, AiRun, AiRun.attempt)
    assert [(run.attempt, run.status) for run in runs][-1] == (4, "completed"), "attempts count on through a replay"
    actions = [row.action for row in await stage.rows(database, AuditLog, AuditLog.id)]
    assert [a for a in actions if a.startswith("ai.")] == [
        "ai.task.start",
        "ai.task.fail",
        "ai.task.complete",
    ]


async def test_an_error_that_a_retry_cannot_help_ends_the_task_at_once(
    tenant_client: TenantClient, database: Database
) -> None:
    client = await tenant_client()
    task_id = (await stage.ask(client, await stage.article(client)))["id"]
    async with OpenAIServer(behaviour="401") as server:
        assert await drain_with(database, stage.worker(database, server.url), until=later()) == 1
    task = await stage.task_of(client, task_id)
    assert (task["status"], task["error"]["code"]) == ("failed", "unauthorized")
    (event,) = [row for row in await stage.rows(database, AiEventLog) if row.level == "error"]
    assert event.type == "run.failed"
    assert event.payload["retryable"] is False


@pytest.mark.parametrize(("said", "waits_s"), [("900", 900), ("1", 2), ("999999999", 3600)])
async def test_a_busy_provider_says_how_long_the_next_try_waits_at_least(
    tenant_client: TenantClient, database: Database, said: str, waits_s: int
) -> None:
    client = await tenant_client()
    await stage.ask(client, await stage.article(client))
    async with OpenAIServer(behaviour="429", retry_after=said) as server:
        assert await drain_with(database, stage.worker(database, server.url)) == 1
    (job,) = await stage.rows(database, JobRow)
    assert job.state == State.RETRYING
    assert (job.run_at - job.updated_at).total_seconds() == waits_s, "no less than the queue's own two seconds"


async def test_a_deleted_article_fails_the_task_without_asking_the_provider(
    tenant_client: TenantClient, database: Database
) -> None:
    client = await tenant_client()
    article_id = await stage.article(client)
    task_id = (await stage.ask(client, article_id))["id"]
    assert (await client.delete(f"/api/v1/articles/{article_id}")).status_code == 204
    async with OpenAIServer() as server:
        assert await drain_with(database, stage.worker(database, server.url), until=later()) == 1
        assert server.received == []
    task = await stage.task_of(client, task_id)
    assert (task["status"], task["error"]["code"]) == ("failed", "article_gone")


async def test_an_article_without_a_sentence_fails_the_task(
    tenant_client: TenantClient, database: Database, drain: Drain
) -> None:
    client = await tenant_client()
    task_id = (await stage.ask(client, await stage.article(client, body="")))["id"]
    await drain(retries=True)
    task = await stage.task_of(client, task_id)
    assert (task["status"], task["error"]["code"]) == ("failed", "nothing_to_read")
    assert [run.status for run in await stage.rows(database, AiRun)] == ["failed"]


async def test_no_transaction_is_held_while_the_provider_thinks(
    tenant_client: TenantClient, database: Database
) -> None:
    client = await tenant_client()
    task_id = (await stage.ask(client, await stage.article(client)))["id"]
    job_id = await stage.job_id_of(database, task_id)
    async with stage.GatedServer() as server, asyncio.timeout(UNIT_S):
        attempt = asyncio.create_task(stage.worker(database, server.url).attempt(job_id, 0))
        await server.arrived.wait()
        while await open_transactions(database):  # the request's own end; ours would stay until the timeout
            await asyncio.sleep(0.01)
        assert (await stage.task_of(client, task_id))["status"] == "running"
        server.gate.set()
        assert (await attempt).failure is None
    assert (await stage.task_of(client, task_id))["status"] == "completed"


async def test_a_worker_that_stops_closes_its_run_and_the_next_one_begins_another(
    tenant_client: TenantClient, database: Database
) -> None:
    client = await tenant_client()
    task_id = (await stage.ask(client, await stage.article(client)))["id"]
    job_id = await stage.job_id_of(database, task_id)
    async with stage.GatedServer() as server, asyncio.timeout(UNIT_S):
        attempt = asyncio.create_task(stage.worker(database, server.url).attempt(job_id, 0))
        await server.arrived.wait()
        attempt.cancel()
        await asyncio.gather(attempt, return_exceptions=True)
        assert (await stage.task_of(client, task_id))["status"] == "queued"
        server.gate.set()
        outcome = await stage.worker(database, server.url).attempt(job_id, 0)
    assert outcome.failure is None
    first, second = await stage.rows(database, AiRun, AiRun.attempt)
    assert (first.status, first.error_code) == ("failed", "interrupted")
    assert (second.status, second.attempt) == ("completed", 2)


@pytest.mark.promise("S2-2")
async def test_a_run_over_the_time_limit_ends_with_its_attempt(tenant_client: TenantClient, database: Database) -> None:
    client = await tenant_client()
    task_id = (await stage.ask(client, await stage.article(client)))["id"]
    job_id = await stage.job_id_of(database, task_id)
    async with stage.GatedServer() as server, asyncio.timeout(UNIT_S):
        outcome = await stage.worker(database, server.url, timeout_s=0.5).attempt(job_id, 0)
    assert outcome.failure is not None
    assert "longer than 0.5 s" in outcome.failure.message
    (run,) = await stage.rows(database, AiRun)
    assert (run.status, run.error_code) == ("failed", "interrupted")
    assert (await stage.task_of(client, task_id))["status"] == "queued"


async def test_an_article_deleted_while_the_provider_thinks_ends_the_task_and_its_run(
    tenant_client: TenantClient, database: Database
) -> None:
    client = await tenant_client()
    article_id = await stage.article(client)
    task_id = (await stage.ask(client, article_id))["id"]
    async with stage.GatedServer() as server, asyncio.timeout(UNIT_S):
        worker = stage.worker(database, server.url)
        draining = asyncio.create_task(drain_with(database, worker, until=later()))
        await server.arrived.wait()
        assert (await client.delete(f"/api/v1/articles/{article_id}")).status_code == 204
        server.gate.set()
        assert await draining == 1
    task = await stage.task_of(client, task_id)
    assert (task["status"], task["error"]["code"]) == ("failed", "article_gone")
    (run,) = await stage.rows(database, AiRun)
    assert (run.status, run.error_code) == ("failed", "article_gone")


async def test_a_replayed_task_is_unfinished_at_once_and_asking_again_gives_the_same_one(
    tenant_client: TenantClient, database: Database, drain: Drain
) -> None:
    client = await tenant_client()
    article_id = await stage.article(client)
    task_id = (await stage.ask(client, article_id))["id"]
    job_id = await stage.job_id_of(database, task_id)
    await drain_with(database, stage.worker(database, NOBODY), until=later())
    async with database.transaction(stage.PLATFORM) as session:
        await control.replay(session, await session.get_one(JobRow, job_id))
    task = await stage.task_of(client, task_id)
    assert (task["status"], task["error"], task["finishedAt"]) == ("queued", None, None)
    assert (await stage.ask(client, article_id))["id"] == task_id
    assert await drain() == 1
    assert (await stage.task_of(client, task_id))["status"] == "completed"


async def test_a_dead_letter_whose_work_was_asked_for_again_waits_for_that_one(
    tenant_client: TenantClient, database: Database, drain: Drain
) -> None:
    client = await tenant_client()
    article_id = await stage.article(client)
    first = (await stage.ask(client, article_id))["id"]
    job_id = await stage.job_id_of(database, first)
    await drain_with(database, stage.worker(database, NOBODY), until=later())
    second = (await stage.ask(client, article_id))["id"]
    assert second != first
    with pytest.raises(Conflict) as caught:
        async with database.transaction(stage.PLATFORM) as session:
            await control.replay(session, await session.get_one(JobRow, job_id))
    assert caught.value.code == "key_taken"
    assert (await stage.task_of(client, first))["status"] == "failed"
    await drain()
    async with database.transaction(stage.PLATFORM) as session:
        await control.replay(session, await session.get_one(JobRow, job_id))
    assert (await stage.task_of(client, first))["status"] == "queued"


async def test_of_two_workers_on_one_task_only_the_later_one_writes(
    tenant_client: TenantClient, database: Database
) -> None:
    client = await tenant_client()
    task_id = (await stage.ask(client, await stage.article(client)))["id"]
    job_id = await stage.job_id_of(database, task_id)
    async with stage.GatedServer() as slow, OpenAIServer() as quick, asyncio.timeout(UNIT_S):
        stalled = asyncio.create_task(stage.worker(database, slow.url).attempt(job_id, 0))
        await slow.arrived.wait()
        assert (await stage.worker(database, quick.url).attempt(job_id, 0)).row is not None
        slow.gate.set()
        assert (await stalled).row is None, "it was superseded"
    runs = await stage.rows(database, AiRun, AiRun.attempt)
    assert [run.status for run in runs] == ["failed", "completed"]
    completed = [row for row in await stage.rows(database, AuditLog) if row.action == "ai.task.complete"]
    assert len(completed) == 1
    assert {message.run_id for message in await stage.rows(database, AiMessage)} == {runs[1].id}


async def test_a_completed_task_that_is_delivered_again_opens_no_run(
    tenant_client: TenantClient, database: Database, drain: Drain
) -> None:
    client = await tenant_client()
    task_id = (await stage.ask(client, await stage.article(client)))["id"]
    await drain()
    job_id = await stage.job_id_of(database, task_id)
    async with database.transaction(stage.PLATFORM) as session:
        # As an emptied Redis and an undone state would have it: the same job once more.
        job = await session.get_one(JobRow, job_id)
        job.state, job.finished_at = State.PENDING, None
    assert await drain() == 1
    assert len(await stage.rows(database, AiRun)) == 1
    (job,) = await stage.rows(database, JobRow)
    assert job.state == State.COMPLETED


async def test_messages_are_hashed_as_sorted_json(
    tenant_client: TenantClient, database: Database, drain: Drain
) -> None:
    client = await tenant_client()
    await stage.ask(client, await stage.article(client))
    await drain()
    for message in await stage.rows(database, AiMessage):
        plain = json.dumps(message.parts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert message.sha256 == sha256(plain.encode()).hexdigest()


async def test_a_death_that_no_run_saw_still_fails_the_task(tenant_client: TenantClient, database: Database) -> None:
    """BullMQ gives up a job whose workers were lost too often; no processor is called then."""
    client = await tenant_client()
    task_id = (await stage.ask(client, await stage.article(client)))["id"]
    job_id: UUID = await stage.job_id_of(database, task_id)
    async with database.transaction(stage.PLATFORM) as session:
        job = await session.get_one(JobRow, job_id)
    runner = stage.worker(database, NOBODY)
    assert await runner.bury(job, Failure.told("StalledTooOften", "the job stalled more often than allowed"))
    task = await stage.task_of(client, task_id)
    assert (task["status"], task["error"]["code"]) == ("failed", "not_started")
    assert task["error"]["message"] == "the work was given up before it began"
