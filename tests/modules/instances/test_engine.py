"""What the engine does with an instance: each step once, through waits, failures, people and killed workers."""

import io
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import asyncpg
import msgspec
import pytest
from httpx2 import AsyncClient
from sqlalchemy import event, select

from app.core.database import Database, Plane, Scope
from app.core.ids import new_id
from app.core.policy import Actor
from app.modules.email_templates.schemas import EmailTemplateCreate
from app.modules.email_templates.service import EmailTemplates
from app.modules.instances import processor
from app.modules.instances.jobs import ExecuteWorkflowStep
from app.modules.workflows.schemas import Step
from app.queues import control, trash
from app.queues.batch import Batch
from app.queues.models import JobRow, State
from app.queues.work import Work
from tests.conftest import Made
from tests.modules.instances import flows

TenantClient = Callable[..., Awaitable[AsyncClient]]
Drain = Callable[..., Awaitable[int]]
PUBLISH = {"type": "publish", "key": "publish"}
ASK = {"type": "approval", "key": "ask", "title": "Publish {input.articleId}?"}


@pytest.fixture
async def client(tenant_client: TenantClient) -> AsyncClient:
    return await tenant_client(*flows.SCOPES)


@pytest.fixture
def ring(drain: Drain, admin: asyncpg.Connection) -> Drain:
    """Runs what is due, with the time come for whatever waits for a time."""

    async def run() -> int:
        await admin.execute("UPDATE workflow_instance SET wake_at = now() WHERE wake_at IS NOT NULL")
        await admin.execute("UPDATE job SET run_at = now(), delayed = false WHERE run_at > now()")
        return await drain()

    return run


async def decide(client: AsyncClient, decision: str, comment: str = "") -> Any:
    (waiting,) = (await client.get("/api/v1/approvals?status=pending")).json()["items"]
    body = {"decision": decision, "comment": comment}
    return await client.post(f"/api/v1/approvals/{waiting['id']}/decisions", json=body)


def test_the_engine_knows_what_to_do_with_every_type_of_step() -> None:
    assert set(processor._STEPS) == {*get_args(Step)}


@pytest.mark.promise("S4-7", "S4-28", "S4-72")
async def test_steps_run_one_after_the_other_and_a_condition_chooses_the_way(
    client: AsyncClient, drain: Drain, ring: Drain, admin: asyncpg.Connection
) -> None:
    test = {"path": "input.score", "op": ">=", "value": 70}
    definition = await flows.workflow(
        client,
        {"type": "condition", "key": "good", "all": [test], "then": "publish", "otherwise": "pause"},
        {"type": "wait", "key": "pause", "seconds": 3600},
        PUBLISH,
    )
    good, poor = await flows.article(client), await flows.article(client, "Another")
    first = await flows.run(client, definition, articleId=good, score=81)
    second = await flows.run(client, definition, articleId=poor, score=12)
    await drain()

    found = await flows.instance(client, first)
    assert (found["status"], found["trigger"], found["error"]) == ("succeeded", "manual", None)
    assert flows.steps(found) == [("good", 1, 1, "succeeded"), ("publish", 1, 1, "succeeded")]
    assert found["steps"] == {"good": {"held": True}, "publish": {"articleId": good, "status": "published"}}
    assert (await client.get(f"/api/v1/articles/{good}")).json()["status"] == "published"

    found = await flows.instance(client, second)
    assert (found["status"], found["step"]) == ("waiting", "pause")
    assert flows.steps(found) == [("good", 1, 1, "succeeded"), ("pause", 1, 1, "waiting")]
    wakes = datetime.fromisoformat(found["wakeAt"])
    assert timedelta(minutes=59) < wakes - datetime.now(UTC) <= timedelta(hours=1)
    # The record alone holds the alarm: a job that is due then.
    due = await admin.fetchval("SELECT max(run_at) FROM job WHERE kind = 'execute_workflow_step'")
    assert abs(due - wakes) < timedelta(seconds=1)

    await ring()
    assert (await flows.instance(client, second))["status"] == "succeeded"
    actions = await admin.fetch(
        "SELECT action, resource_label FROM audit_log WHERE resource_type = 'workflow_instance' ORDER BY id"
    )
    assert [row["action"] for row in actions] == [*["instance.start"] * 2, *["instance.end"] * 2]
    name = (await client.get(f"/api/v1/workflows/{definition}")).json()["name"]
    assert {row["resource_label"] for row in actions} == {name}


async def test_people_decide_but_not_about_what_they_have_started(
    client: AsyncClient, tenant_client: TenantClient, drain: Drain, admin: asyncpg.Connection
) -> None:
    other = await tenant_client(*flows.SCOPES)
    definition = await flows.workflow(client, ASK, PUBLISH)
    draft = await flows.article(client)
    instance = await flows.run(client, definition, articleId=draft)
    await drain()
    found = await flows.instance(client, instance)
    assert (found["status"], found["executions"][0]["waitingFor"].partition(":")[0]) == ("waiting", "approval")

    refused = await decide(client, "approve")
    assert (refused.status_code, refused.json()["code"]) == (403, "self_approval")
    done = (await decide(other, "approve", "It reads well")).json()
    assert (done["status"], done["title"]) == ("approved", f"Publish {draft}?")
    assert [(one["decision"], one["comment"]) for one in done["decisions"]] == [("approve", "It reads well")]
    again = await other.post(f"/api/v1/approvals/{done['id']}/decisions", json={"decision": "reject"})
    assert (again.status_code, again.json()["code"]) == (409, "not_pending")
    await drain()
    found = await flows.instance(client, instance)
    assert found["status"] == "succeeded" and found["steps"]["ask"]["status"] == "approved"
    # One chain of cause and effect, whoever decided.
    chains = await admin.fetch("SELECT DISTINCT correlation_id FROM job WHERE kind = 'execute_workflow_step'")
    assert [str(row["correlation_id"]) for row in chains] == [found["correlationId"]]

    rejected = await flows.run(client, definition, articleId=await flows.article(client, "Second"))
    await drain()
    assert (await decide(other, "reject")).json()["status"] == "rejected"
    await drain()
    found = await flows.instance(client, rejected)
    assert (found["status"], found["error"]["code"]) == ("failed", "rejected")


@pytest.mark.parametrize(
    ("on_timeout", "status", "step"),
    [("fail", "failed", "ask"), ("cancel", "cancelled", "ask"), ("resume", "succeeded", "publish")],
)
async def test_an_approval_that_nobody_gives_in_time_does_what_the_step_says(
    client: AsyncClient, ring: Drain, admin: asyncpg.Connection, on_timeout: str, status: str, step: str
) -> None:
    definition = await flows.workflow(client, {**ASK, "onTimeout": on_timeout}, PUBLISH)
    instance = await flows.run(client, definition, articleId=await flows.article(client))
    await ring()
    await ring()
    found = await flows.instance(client, instance)
    assert (found["status"], found["step"]) == (status, step)
    assert await admin.fetchval("SELECT status FROM approval") == "expired"


async def test_a_step_that_fails_is_tried_again_and_then_does_what_the_workflow_says(
    client: AsyncClient, drain: Drain, ring: Drain
) -> None:
    failing = {**PUBLISH, "retry": {"tries": 3, "waitS": 600}}
    last = {"type": "condition", "key": "last", "all": [{"path": "steps.publish.error.code", "op": "==", "value": "x"}]}
    stops = await flows.run(client, await flows.workflow(client, failing), articleId=str(new_id()))
    goes_on = await flows.workflow(client, {**PUBLISH, "onError": "last", "next": "end"}, last, key="other")
    other = await flows.run(client, goes_on, articleId="no article at all")
    await drain()
    found = await flows.instance(client, stops)
    assert found["status"] == "waiting" and flows.steps(found) == [("publish", 1, 1, "failed")]
    wakes = datetime.fromisoformat(found["wakeAt"])
    assert found["executions"][0]["nextRetryAt"] == found["wakeAt"] and wakes > datetime.now(UTC)
    found = await flows.instance(client, other)
    assert (found["status"], found["steps"]["publish"]["error"]["code"]) == ("succeeded", "invalid")
    assert found["steps"]["last"] == {"held": False}

    assert (await flows.act(client, stops, "retry"), await flows.act(client, stops, "resume")) == (409, 409)
    await ring()
    await ring()
    found = await flows.instance(client, stops)
    assert (found["status"], found["error"]["code"]) == ("failed", "not_found")
    assert flows.steps(found) == [("publish", 1, n, "failed") for n in (1, 2, 3)]

    assert await flows.act(client, stops, "retry") == 200, "all tries again, counted on"
    await ring()
    await ring()
    await ring()
    assert flows.steps(await flows.instance(client, stops)) == [("publish", 1, n, "failed") for n in range(1, 7)]
    again = await client.post(f"/api/v1/workflows/instances/{stops}/restart")
    assert (again.status_code, again.json()["restartedFrom"]) == (202, stops)


async def test_an_instance_starts_again_from_a_step_and_keeps_what_came_before(
    client: AsyncClient, drain: Drain
) -> None:
    always = [{"path": "input.no", "op": "==", "value": None}]
    first = {"type": "condition", "key": "first", "all": always, "then": "publish"}
    flow = await flows.workflow(client, first, PUBLISH)
    old = await flows.run(client, flow, articleId=str(new_id()))
    place = f"/api/v1/workflows/instances/{old}/restart"
    early = await client.post(place, json={"step": "first"})
    assert (early.status_code, early.json()["code"]) == (409, "unfinished")
    await drain()
    assert flows.steps(await flows.instance(client, old)) == [
        ("first", 1, 1, "succeeded"),
        ("publish", 1, 1, "failed"),
    ]
    unknown = await client.post(place, json={"step": "never"})
    assert (unknown.status_code, unknown.json()["errors"][0]["field"]) == (422, "step")
    again = await client.post(place, json={"step": "publish"})
    assert (again.status_code, again.json()["restartedFrom"]) == (202, old)
    await drain()
    found = await flows.instance(client, again.json()["id"])
    assert flows.steps(found) == [("publish", 1, 1, "failed")], "the first step was not run again"
    assert found["steps"]["first"] == {"held": True}


async def test_a_paused_instance_goes_no_further_and_a_cancelled_one_nowhere(
    client: AsyncClient, drain: Drain, ring: Drain, admin: asyncpg.Connection
) -> None:
    definition = await flows.workflow(client, {"type": "wait", "key": "rest", "seconds": 600}, ASK, PUBLISH)
    instance = await flows.run(client, definition, articleId=await flows.article(client))
    await drain()
    assert await flows.act(client, instance, "pause") == 200
    await ring()
    found = await flows.instance(client, instance)
    assert (found["status"], found["step"]) == ("paused", "rest"), "its alarm has rung, and nobody heard"
    assert await flows.act(client, instance, "resume") == 200
    await drain()
    assert (await flows.instance(client, instance))["step"] == "ask"
    assert await flows.act(client, instance, "cancel") == 200
    found = await flows.instance(client, instance)
    assert (found["status"], flows.steps(found)[-1]) == ("cancelled", ("ask", 1, 1, "cancelled"))
    assert await admin.fetchval("SELECT status FROM approval") == "cancelled", "nobody is asked any more"
    assert await flows.act(client, instance, "cancel") == 409
    await ring()
    assert (await flows.instance(client, instance))["status"] == "cancelled"


async def test_a_fact_starts_a_workflow_and_what_follows_from_it_does_not_start_it_again(
    client: AsyncClient, drain: Drain, admin: asyncpg.Connection, database: Database
) -> None:
    """Two workflows, each on what the other brings about, would go on for ever."""
    one = await flows.workflow(client, PUBLISH, key="one", on="article.created")
    two = await flows.workflow(client, PUBLISH, key="two", on="article.published")
    assert [row["id"] for row in await flows.instances(client)] == []
    first, second = await flows.article(client, "First"), await flows.article(client, "Second")
    await drain()
    ran = await flows.instances(client)
    assert {(row["definitionId"], row["trigger"], row["subject"]) for row in ran} == {
        (definition, topic, draft)
        for definition, topic in ((one, "article.created"), (two, "article.published"))
        for draft in (first, second)
    }
    assert {row["status"] for row in ran} == {"succeeded"} and len(ran) == 4
    assert (await flows.instances(client, trigger="article.created", definitionId=two)) == []
    # The same thing in another chain is another matter.
    await client.delete(f"/api/v1/articles/{first}/publication")
    await client.post(f"/api/v1/articles/{first}/publication")
    await drain()
    assert len(await flows.instances(client, trigger="article.published")) == 3
    # Who has caused the fact has started it.
    assert {row["label"] for row in ran} != {"system"}


async def test_a_mail_is_sent_once_and_its_end_resumes_the_workflow(
    client: AsyncClient, drain: Drain, database: Database, operator: Actor, tenant: Made, admin: asyncpg.Connection
) -> None:
    async with database.transaction(Scope(Plane.TENANT, tenant.id)) as session:
        new = {"name": "told", "subject": "Read {{ article }}", "body": "It waits.", "variables": [{"name": "article"}]}
        await EmailTemplates(session, operator).create(msgspec.convert(new, EmailTemplateCreate))
    mail = {"type": "email", "key": "tell", "template": "told", "to": "{input.to}", "values": {"article": "{input.id}"}}
    definition = await flows.workflow(client, mail, {"type": "wait", "key": "rest", "seconds": 600})
    instance = await flows.run(client, definition, to="reader@example.org", id="7")
    nobody = await flows.run(client, definition, to="nobody")
    await drain()
    found = await flows.instance(client, instance)
    assert (found["step"], found["steps"]["tell"]["status"]) == ("rest", "sent")
    (row,) = await admin.fetch("SELECT id, recipient, props, correlation_id FROM email_log")
    assert (row["recipient"], msgspec.json.decode(row["props"])) == ("reader@example.org", {"article": "7"})
    assert found["steps"]["tell"]["emailId"] == str(row["id"])
    assert str(row["correlation_id"]) == found["correlationId"], "one trace"
    found = await flows.instance(client, nobody)
    assert (found["status"], found["error"]["code"]) == ("failed", "invalid")


@pytest.mark.promise("S4-72")
async def test_a_task_of_ai_is_asked_for_once_and_its_end_resumes_the_workflow(
    client: AsyncClient, drain: Drain, admin: asyncpg.Connection
) -> None:
    """It is on what it brings about itself: the article changes, and a task of AI ends."""
    ai = {"type": "ai_task", "key": "sum", "kind": "summarize_article"}
    for topic in ("article.updated", "ai.task.ended"):
        await flows.workflow(client, {**ai, "onError": "continue"}, key=topic.replace(".", "_"), on=topic)
    definition = await flows.workflow(client, ai, {"type": "wait", "key": "rest", "seconds": 600})
    instance = await flows.run(client, definition, articleId=await flows.article(client))
    unknown = await flows.workflow(client, {**ai, "kind": "sing"}, key="sings")
    sings = await flows.run(client, unknown, articleId=await flows.article(client, "Song"))
    await drain()
    found = await flows.instance(client, instance)
    assert (found["step"], found["steps"]["sum"]["result"]["provider"]) == ("rest", "local")
    ran = await flows.instances(client)
    assert sorted((row["trigger"], row["status"]) for row in ran) == [
        ("ai.task.ended", "succeeded"), ("article.updated", "succeeded"), ("manual", "failed"), ("manual", "waiting"),
    ]  # fmt: skip
    assert {row["correlationId"] for row in ran if row["id"] != sings} == {found["correlationId"]}
    assert (await flows.instance(client, sings))["error"]["code"] == "invalid"
    keys = await admin.fetch("SELECT idempotency_key FROM ai_task")
    assert len({row["idempotency_key"] for row in keys}) == 3


async def test_steps_that_go_back_to_each_other_come_to_an_end(
    client: AsyncClient, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processor, "MOST_TRIES", 7)
    always = [{"path": "input.no", "op": "==", "value": None}]
    loop = [{"type": "condition", "key": key, "all": always, "then": then} for key, then in (("a", "b"), ("b", "a"))]
    instance = await flows.run(client, await flows.workflow(client, *loop))
    await drain()
    found = await flows.instance(client, instance)
    assert (found["status"], found["error"]["code"], len(found["executions"])) == ("failed", "too_many_steps", 7)
    assert flows.steps(found)[-1] == ("a", 4, 1, "succeeded")


async def test_instances_about_one_thing_wait_for_each_other(client: AsyncClient, drain: Drain) -> None:
    rest = {"type": "wait", "key": "rest", "seconds": 600}
    definition = await flows.workflow(client, rest, onePer="input.articleId")
    ours = [await flows.run(client, definition, articleId="ours") for _ in range(3)]
    other = await flows.run(client, definition, articleId="other")
    await drain()

    async def statuses() -> list[str]:
        return [(await flows.instance(client, one))["status"] for one in (*ours, other)]

    assert await statuses() == ["waiting", "pending", "pending", "waiting"]
    await flows.act(client, ours[1], "cancel")
    await flows.act(client, ours[0], "cancel")
    await drain()
    assert await statuses() == ["cancelled", "cancelled", "waiting", "waiting"]


async def test_what_is_retried_or_resumed_waits_for_the_one_that_has_begun(client: AsyncClient, drain: Drain) -> None:
    rest = {"type": "wait", "key": "rest", "seconds": 600}
    definition = await flows.workflow(client, PUBLISH, rest, onePer="input.about")
    failed = await flows.run(client, definition, about="one", articleId="none")
    await drain()
    begun, resumed = [
        await flows.run(client, definition, about="one", articleId=await flows.article(client)) for _ in range(2)
    ]
    await drain()
    for instance, what in ((failed, "retry"), (resumed, "pause"), (resumed, "resume")):
        assert await flows.act(client, instance, what) == 200
    await drain()

    async def statuses() -> list[str]:
        return [(await flows.instance(client, one))["status"] for one in (failed, begun, resumed)]

    assert await statuses() == ["pending", "waiting", "pending"]
    await flows.act(client, begun, "cancel")
    await drain()
    assert await statuses() == ["failed", "cancelled", "waiting"]


async def test_a_dead_job_fails_its_instance_and_its_replay_goes_on(
    client: AsyncClient, drain: Drain, monkeypatch: pytest.MonkeyPatch, database: Database, operator: Any
) -> None:
    instance = await flows.run(client, await flows.workflow(client, PUBLISH), articleId=await flows.article(client))
    with monkeypatch.context() as broken:
        broken.setattr(processor, "_STEPS", {})
        await drain(retries=True)
    found = await flows.instance(client, instance)
    assert (found["status"], found["error"]["code"]) == ("failed", "crashed")
    async with database.transaction(operator.scope) as session:
        dead = (await session.scalars(select(JobRow).where(JobRow.state == State.DEAD))).one()
        await control.replay(session, dead)
    assert (await flows.instance(client, instance))["status"] == "running"
    await drain()
    assert (await flows.instance(client, instance))["status"] == "succeeded"


@pytest.mark.parametrize("undone", [True, False])
async def test_a_step_whose_alarm_was_removed_or_died_is_tried_again_when_that_comes_back(
    client: AsyncClient,
    drain: Drain,
    ring: Drain,
    monkeypatch: pytest.MonkeyPatch,
    database: Database,
    operator: Any,
    admin: asyncpg.Connection,
    undone: bool,
) -> None:
    rest = {"type": "wait", "key": "rest", "seconds": 600}
    instance = await flows.run(client, await flows.workflow(client, rest))
    await drain()
    assert flows.steps(await flows.instance(client, instance)) == [("rest", 1, 1, "waiting")]
    if not undone:
        with monkeypatch.context() as broken:
            broken.setattr(processor, "_STEPS", {})
            await ring()
            await drain(retries=True)
    async with database.transaction(operator.scope) as session:
        query = select(JobRow).where(JobRow.state.in_([State.PENDING, State.QUEUED] if undone else [State.DEAD]))
        alarm = (await session.scalars(query)).one()
        await (control.remove(session, alarm) if undone else control.replay(session, alarm))
    if undone:
        found = await flows.instance(client, instance)
        assert (found["status"], found["error"]["code"]) == ("failed", "crashed")
        async with database.transaction(operator.scope) as session:
            await trash.restore(session, await session.get_one(JobRow, alarm.id))
    assert (await flows.instance(client, instance))["status"] == "running"
    await drain()
    found = await flows.instance(client, instance)
    assert flows.steps(found) == [("rest", 1, 1, "cancelled"), ("rest", 1, 2, "waiting")]
    await ring()
    assert (await flows.instance(client, instance))["status"] == "succeeded"
    assert await admin.fetchval("SELECT count(*) FROM job WHERE state <> 'completed'") == 0


# What PostgreSQL does when the other end of a connection is gone.
HANG_UP = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND state LIKE 'idle in transaction%' AND pid <> pg_backend_pid()
"""


class Killed(BaseException):
    """The worker is gone at once: nothing it would have done afterwards happens."""


@pytest.mark.promise("S4-28", "S4-72")
async def test_a_worker_killed_between_any_two_statements_does_no_step_twice_and_loses_none(
    client: AsyncClient, database: Database, admin: asyncpg.Connection
) -> None:
    """Each job is delivered again and again; each time the worker dies one statement later, until it gets through."""
    test = [{"path": "input.articleId", "op": "!=", "value": None}]
    definition = await flows.workflow(client, {"type": "condition", "key": "some", "all": test}, PUBLISH, ASK)
    draft = await flows.article(client)
    instance = await flows.run(client, definition, articleId=draft)
    deaths = [await die_on_the_way(database, admin, job) async for job in due(admin)]
    assert len(deaths) == 3 and min(deaths) > 5 and sum(deaths) > 25, "at each statement and each commit of each job"
    found = await flows.instance(client, instance)
    assert found["status"] == "waiting"
    assert flows.steps(found) == [("some", 1, 1, "succeeded"), ("publish", 1, 1, "succeeded"), ("ask", 1, 1, "waiting")]
    published = "SELECT count(*) FROM audit_log WHERE action = 'article.publish' AND resource_id = $1"
    assert await admin.fetchval(published, draft) == 1
    assert await admin.fetchval("SELECT count(*) FROM approval") == 1
    assert (await client.get(f"/api/v1/articles/{draft}")).json()["version"] == 2


async def due(admin: asyncpg.Connection) -> AsyncIterator[asyncpg.Record]:
    query = "SELECT id, run FROM job WHERE finished_at IS NULL AND run_at <= now() ORDER BY id LIMIT 1"
    while (job := await admin.fetchrow(query)) is not None:
        yield job


async def die_on_the_way(database: Database, admin: asyncpg.Connection, job: asyncpg.Record) -> int:
    """Deliver a job until a worker lives to its end; returns how many have died before."""
    engine, sent, deaths = database.engine(Plane.TENANT).sync_engine, 0, 0

    def watch(*_: Any) -> None:
        nonlocal sent
        sent += 1
        if sent > deaths:
            raise Killed

    while True:
        claim = await Batch(database, new_id()).open(job["id"], job["run"], first=False)
        assert claim is not None
        payload, sent = msgspec.convert(claim.row.payload, ExecuteWorkflowStep), 0
        for what in ("before_cursor_execute", "commit"):
            event.listen(engine, what, watch)
        try:
            await processor.execute_step.handle(Work(database, claim, {}), payload)
            return deaths
        except Killed:
            deaths += 1
        finally:
            for what in ("before_cursor_execute", "commit"):
                event.remove(engine, what, watch)
        await admin.execute(HANG_UP)
        await database.engine(Plane.TENANT).dispose()


async def test_what_was_approved_is_published_and_nothing_that_was_written_since(
    client: AsyncClient, tenant_client: TenantClient, drain: Drain
) -> None:
    other = await tenant_client(*flows.SCOPES)
    definition = await flows.workflow(client, ASK, PUBLISH)
    draft = await flows.article(client)
    path = f"/api/v1/articles/{draft}"
    instance = await flows.run(client, definition, articleId=draft)
    await drain()
    (waiting,) = (await other.get("/api/v1/approvals?status=pending")).json()["items"]
    assert waiting["note"] == "It is about version 1 of “How the ladder was built”."
    assert (await client.patch(path, json={"body": "Changed after the question."})).status_code == 200
    assert (await decide(other, "approve")).status_code == 200
    await drain()
    shown = (await client.get(f"{path}/publication")).json()
    assert (shown["version"], "weir" in shown["html"]) == (1, True)

    # Beginning behind the approval asks nobody again, so it shows nothing newer either, and takes nothing newer away.
    assert (await client.patch(path, json={"body": "Changed after the publication."})).status_code == 200
    restarts = f"/api/v1/workflows/instances/{instance}/restart"
    assert (await client.post(restarts, json={"step": "publish"})).status_code == 202
    await drain()
    assert (await client.get(f"{path}/publication")).json()["version"] == 1
    assert (await client.post(f"{path}/publication", json={})).status_code == 200
    assert (await client.post(restarts, json={"step": "publish"})).status_code == 202
    await drain()
    newest, before = await flows.instances(client), (await client.get(f"{path}/publication")).json()["version"]
    assert ([one["status"] for one in newest], before) == (["succeeded"] * 3, 3)


async def test_who_imports_an_article_has_started_what_follows_from_it(
    client: AsyncClient, tenant_client: TenantClient, drain: Drain
) -> None:
    importer = await tenant_client(*flows.SCOPES, "imports:write")
    await flows.workflow(client, ASK, PUBLISH, on="article.created")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("weir.md", "# The weir\n\nIt stands in the town.")
    headers = {"Content-Type": "application/zip"}
    sent = await importer.post("/api/v1/imports", content=archive.getvalue(), headers=headers)
    assert sent.status_code == 202, sent.text
    await drain()
    refused = await decide(importer, "approve")
    assert (refused.status_code, refused.json()["code"]) == (403, "self_approval")
    assert (await decide(client, "approve")).status_code == 200
