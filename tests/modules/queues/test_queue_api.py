"""`/api/owner/queues` as the owner meets it."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from httpx2 import AsyncClient
from sqlalchemy import text

from app import registry
from app.core.database import Database, Plane, Scope
from app.core.ids import floor_id, new_id
from app.core.paging import Pager
from app.core.policy import Actor
from app.core.secrets import Signer
from app.core.settings import Settings
from app.modules.queues.service import JobFilter, QueueService
from app.queues.core import CORE_QUEUES
from app.queues.due import note_due
from app.queues.enqueue import enqueue
from app.queues.models import State
from tests.modules.queues.conftest import MakeJob, Stumble

DeadJob = Callable[..., Awaitable[UUID]]
HERE = "/api/owner/queues"
CORE = {"ai:content", "ai:seo", "workflow:runtime", "plugin:webhooks", "analytics:process", "email:outbound"}


async def ids(owner: AsyncClient, state: str, **params: Any) -> list[str]:
    answer = await owner.get(f"{HERE}/ai:content/jobs", params={"state": state, **params})
    assert answer.status_code == 200, answer.text
    return [job["id"] for job in answer.json()["items"]]


@pytest.mark.trap(22)
@pytest.mark.promise("S4-27", "S4-38", "S4-69")
async def test_every_queue_is_listed_with_its_numbers(owner: AsyncClient, database: Database, tenant: Any) -> None:
    async with database.transaction(Scope(Plane.TENANT, tenant.id)) as session:
        for _ in range(3):
            await enqueue(session, Stumble(message="x"))
    queues = {one["name"]: one for one in (await owner.get(HERE)).json()["items"]}
    assert {spec.name for spec in CORE_QUEUES} == CORE
    assert set(queues) == set(registry.specs()) >= CORE
    assert (queues["ai:content"]["waiting"], queues["ai:seo"]["waiting"]) == (3, 0)
    assert queues["ai:content"]["fromRedis"] is True
    assert queues["plugin:webhooks"]["maxAttempts"] == 10
    assert (queues["ai:content"]["timeoutS"], queues["ai:content"]["kindTimeouts"]) == (120, {})
    assert queues["platform:tasks"]["kindTimeouts"]["verify_audit"] == 3600
    for name in ("ai:content", "ai%3Acontent"):
        assert (await owner.get(f"{HERE}/{name}/stats")).json() == queues["ai:content"]


@pytest.mark.promise("S4-38")
async def test_jobs_stand_under_the_state_people_know(owner: AsyncClient, make_job: MakeJob) -> None:
    expected: dict[str, list[str]] = {}
    for name, state, later in (
        ("waiting", State.PENDING, False),
        ("waiting", State.QUEUED, False),
        ("waiting", State.RETRYING, False),
        ("delayed", State.PENDING, True),
        ("delayed", State.QUEUED, True),
        ("delayed", State.RETRYING, True),
        ("active", State.ACTIVE, False),
        ("completed", State.COMPLETED, False),
        ("failed", State.DEAD, False),
        ("waiting_children", State.WAITING_CHILDREN, False),
        ("cancelled", State.CANCELLED, False),
        ("removed", State.REMOVED, False),
    ):
        expected.setdefault(name, []).insert(0, str(await make_job(state, later=later)))
    await make_job(State.QUEUED, queue="ai:seo")
    for name, jobs in expected.items():
        assert await ids(owner, name) == jobs, name
        detail = (await owner.get(f"{HERE}/ai:content/jobs/{jobs[0]}")).json()
        assert detail["state"] == name
    assert (await owner.get(f"{HERE}/ai:content/jobs/{expected['delayed'][0]}")).json()["recordState"] == "retrying"


@pytest.mark.promise("S4-38")
async def test_pages_run_through_several_states_without_a_gap(owner: AsyncClient, make_job: MakeJob) -> None:
    made = [str(await make_job(State.PENDING if n % 2 else State.QUEUED)) for n in range(7)]
    found: list[str] = []
    cursor = None
    while True:
        params = {"limit": 3} | ({"cursor": cursor} if cursor else {})
        page = (await owner.get(f"{HERE}/ai:content/jobs", params=params)).json()
        assert all("payload" not in job for job in page["items"])
        found += [job["id"] for job in page["items"]]
        before, cursor = cursor, page["nextCursor"]
        if cursor is None:
            break
    assert found == made[::-1]
    back = (await owner.get(f"{HERE}/ai:content/jobs", params={"limit": 3, "cursor": page["prevCursor"]})).json()
    assert [job["id"] for job in back["items"]] == found[3:6]
    wrong = await owner.get(f"{HERE}/ai:content/jobs", params={"state": "active", "cursor": before})
    assert (wrong.status_code, wrong.json()["code"]) == (400, "bad_cursor")


async def test_jobs_are_filtered_by_kind_and_tenant(
    owner: AsyncClient, make_job: MakeJob, make_tenant: Callable[[str], Awaitable[Any]], tenant: Any
) -> None:
    other = await make_tenant("Casa Verde")
    mine = str(await make_job(State.QUEUED))
    kind = str(await make_job(State.PENDING, kind="other_kind"))
    foreign = str(await make_job(State.QUEUED, tenant_id=other.id))
    assert await ids(owner, "waiting") == [foreign, kind, mine]
    assert await ids(owner, "waiting", kind="other_kind") == [kind]
    assert await ids(owner, "waiting", tenantId=str(tenant.id)) == [kind, mine]
    for params in ({"state": "odd"}, {"tenantId": "odd"}, {"limit": 0}, {"kind": "\0"}):
        answer = await owner.get(f"{HERE}/ai:content/jobs", params=params)
        assert answer.status_code in (400, 422)
        assert next(iter(params)) in answer.json()["detail"]


@pytest.mark.promise("S4-38")
async def test_a_job_shows_its_payload_its_error_and_every_attempt(owner: AsyncClient, dead_job: DeadJob) -> None:
    job_id = await dead_job()
    job = (await owner.get(f"{HERE}/ai:content/jobs/{job_id}")).json()
    assert (job["state"], job["attemptsMade"], job["maxAttempts"]) == ("failed", 3, 3)
    assert job["timeoutS"] == 120
    assert (job["errorClass"], job["errorMessage"]) == ("ConnectionError", "the provider cannot be reached")
    assert job["payload"] == {"message": "the provider cannot be reached", "apiKey": "***"}
    assert [attempt["n"] for attempt in job["attempts"]] == [1, 2, 3]
    assert [attempt["log"] for attempt in job["attempts"]] == [["try 1"], ["try 2"], ["try 3"]]
    assert "raise ConnectionError" in job["attempts"][0]["stack"]


@pytest.mark.promise("S4-41")
async def test_dead_letters_say_where_they_come_from_and_why(
    owner: AsyncClient, dead_job: DeadJob, tenant: Any
) -> None:
    job_id = str(await dead_job())
    page = (await owner.get(f"{HERE}/ai:content/dlq")).json()
    (letter,) = page["items"]
    assert (letter["id"], letter["originalJobId"], letter["originalQueue"]) == (job_id, job_id, "ai:content")
    assert (letter["lastError"], letter["attempts"]) == ("the provider cannot be reached", 3)
    assert (letter["kind"], letter["tenantId"]) == ("stumble", str(tenant.id))
    assert letter["failedAt"] is not None
    assert letter["fingerprint"] is not None
    assert "correlationId" in letter
    assert (page["nextCursor"], page["prevCursor"]) == (None, None)
    assert (await owner.get(f"{HERE}/ai:content/stats")).json()["failed"] == 1
    assert (await owner.get(f"{HERE}/ai:seo/dlq")).json()["items"] == []


@pytest.mark.promise("S4-29")
async def test_each_queue_has_dead_letters_of_its_own(owner: AsyncClient, make_job: MakeJob) -> None:
    dead = {name: str(await make_job(State.DEAD, queue=name)) for name in registry.specs()}
    assert set(dead) >= CORE
    for name, job_id in dead.items():
        letters = (await owner.get(f"{HERE}/{name}/dlq")).json()["items"]
        assert [(letter["originalJobId"], letter["originalQueue"]) for letter in letters] == [(job_id, name)]
    places = [registry.specs()[name].dead_letters_engine_name for name in dead]
    assert places == [f"dlq-{registry.specs()[name].engine_name}" for name in dead], "and in Redis too"


@pytest.mark.promise("S4-41")
async def test_two_replays_at_once_are_one_run(
    owner: AsyncClient, dead_job: DeadJob, admin: asyncpg.Connection
) -> None:
    job_id = await dead_job()
    here = f"{HERE}/ai:content/dlq/{job_id}/replay"
    answers = await asyncio.gather(*(owner.post(here) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"not_dead"}
    job = (await owner.get(f"{HERE}/ai:content/jobs/{job_id}")).json()
    assert (job["run"], job["state"], job["attemptsMade"]) == (1, "waiting", 0)
    assert (await owner.get(f"{HERE}/ai:content/dlq")).json()["items"] == []
    row = await admin.fetchrow("SELECT * FROM audit_log WHERE action = 'owner.dlq.replay' AND outcome = 'success'")
    assert row["resource_id"] == str(job_id)
    assert await admin.fetchval("SELECT count(*) FROM audit_log WHERE action = 'owner.dlq.replay'") == 4


@pytest.mark.promise("S4-41", "S4-31")
async def test_a_removed_letter_is_gone_from_every_list(owner: AsyncClient, dead_job: DeadJob) -> None:
    job_id = str(await dead_job())
    here = f"{HERE}/ai:content/dlq/{job_id}"
    assert (await owner.delete(f"{here}/remove")).status_code == 204
    assert (await owner.get(f"{HERE}/ai:content/dlq")).json()["items"] == []
    assert await ids(owner, "failed") == []
    assert await ids(owner, "removed") == [job_id]
    for answer in (await owner.delete(f"{here}/remove"), await owner.post(f"{here}/replay")):
        assert (answer.status_code, answer.json()["code"]) == (409, "not_dead")
    for missing in (f"{HERE}/ai:content/dlq/{new_id()}", f"{HERE}/ai:seo/dlq/{job_id}"):
        assert (await owner.post(f"{missing}/replay")).status_code == 404
        assert (await owner.delete(f"{missing}/remove")).status_code == 404


@pytest.mark.promise("S4-39")
async def test_retry_takes_dead_and_delayed_jobs_and_no_others(owner: AsyncClient, make_job: MakeJob) -> None:
    for state, later in ((State.DEAD, False), (State.RETRYING, True), (State.QUEUED, True), (State.PENDING, True)):
        job_id = await make_job(state, later=later)
        answer = await owner.post(f"{HERE}/ai:content/jobs/{job_id}/retry")
        assert answer.status_code == 200, (state, answer.text)
        assert answer.json()["id"] == str(job_id)
        assert str(job_id) not in await ids(owner, "failed")
        assert answer.json()["run"] == (1 if state is State.DEAD else 0)
    for state in (State.PENDING, State.QUEUED, State.ACTIVE, State.COMPLETED, State.CANCELLED, State.REMOVED):
        job_id = await make_job(state)
        answer = await owner.post(f"{HERE}/ai:content/jobs/{job_id}/retry")
        assert (answer.status_code, answer.json()["code"]) == (409, "not_retryable"), state
    assert (await owner.post(f"{HERE}/ai:content/jobs/{new_id()}/retry")).status_code == 404


@pytest.mark.promise("S4-39")
async def test_any_job_but_an_active_one_can_be_removed(
    owner: AsyncClient, make_job: MakeJob, admin: asyncpg.Connection
) -> None:
    for state in (State.PENDING, State.QUEUED, State.RETRYING, State.COMPLETED, State.DEAD, State.CANCELLED):
        here = f"{HERE}/ai:content/jobs/{await make_job(state)}"
        assert (await owner.delete(here)).status_code == 204
        assert (await owner.get(here)).json()["state"] == "removed"
        assert (await owner.delete(here)).status_code == 409
    active = await make_job(State.ACTIVE)
    answer = await owner.delete(f"{HERE}/ai:content/jobs/{active}")
    assert (answer.status_code, answer.json()["code"]) == (409, "not_removable")
    assert await admin.fetchval("SELECT state FROM job WHERE id = $1", active) == "active"
    row = await admin.fetchrow("SELECT * FROM audit_log WHERE action = 'owner.job.remove' ORDER BY id LIMIT 1")
    assert '"waiting"' in row["before"]
    assert '"removed"' in row["after"]


async def test_a_removed_job_leaves_redis_too(owner: AsyncClient, database: Database, tenant: Any) -> None:
    async with database.transaction(Scope(Plane.TENANT, tenant.id)) as session:
        job_id = await enqueue(session, Stumble(message="x"))
    assert (await owner.get(f"{HERE}/ai:content/stats")).json()["waiting"] == 1
    await owner.delete(f"{HERE}/ai:content/jobs/{job_id}")
    assert (await owner.get(f"{HERE}/ai:content/stats")).json()["waiting"] == 0


@pytest.mark.promise("S4-40")
async def test_a_pause_says_who_why_and_when_until_the_queue_goes_on(
    owner: AsyncClient, admin: asyncpg.Connection
) -> None:
    here = f"{HERE}/ai:content"
    paused = await owner.post(f"{here}/pause", json={"reason": " The provider is down. "})
    assert paused.status_code == 200
    assert (paused.json()["paused"], paused.json()["pausedReason"]) == (True, "The provider is down.")
    assert paused.json()["pausedBy"]
    assert paused.json()["pausedAt"] is not None
    again = await owner.post(f"{here}/pause")
    assert (again.status_code, again.json()["code"]) == (409, "already_paused")
    assert (await owner.get(f"{here}/stats")).json()["paused"] is True
    resumed = await owner.post(f"{here}/resume")
    assert (resumed.status_code, resumed.json()["paused"], resumed.json()["pausedBy"]) == (200, False, None)
    again = await owner.post(f"{here}/resume")
    assert (again.status_code, again.json()["code"]) == (409, "not_paused")
    rows = await admin.fetch("SELECT * FROM audit_log WHERE resource_id = 'ai:content' ORDER BY id")
    assert [row["action"] for row in rows] == ["owner.queue.pause", "owner.queue.resume"]
    assert rows[0]["reason"] == "The provider is down."
    for wrong in ({"reason": "x" * 501}, {"reason": 7}, {"why": "x"}, {"reason": "a\0b"}):
        answer = await owner.post(f"{here}/pause", json=wrong)
        assert answer.status_code in (400, 422)
        assert next(iter(wrong)) in answer.json()["detail"]
    assert (await owner.get(f"{here}/stats")).json()["paused"] is False


async def test_an_unknown_queue_is_named_and_nothing_happens(owner: AsyncClient, admin: asyncpg.Connection) -> None:
    job = new_id()
    for verb, path in (
        ("GET", "stats"),
        ("GET", "jobs"),
        ("GET", f"jobs/{job}"),
        ("POST", f"jobs/{job}/retry"),
        ("DELETE", f"jobs/{job}"),
        ("POST", "pause"),
        ("POST", "resume"),
        ("GET", "dlq"),
        ("POST", f"dlq/{job}/replay"),
        ("DELETE", f"dlq/{job}/remove"),
    ):
        answer = await owner.request(verb, f"{HERE}/ai:nothing/{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_queue"), (verb, path, answer.text)
        assert "ai:nothing" in answer.json()["detail"]
    assert await admin.fetchval("SELECT count(*) FROM queue") == 0
    assert (await owner.get(f"{HERE}/ai:content/jobs/not-an-id")).status_code in (400, 404)


async def test_only_the_owner_sees_and_touches_queues(
    owner: AsyncClient, client: AsyncClient, tenant_client: Callable[..., Awaitable[AsyncClient]], make_job: MakeJob
) -> None:
    letter = await make_job(State.DEAD)
    app = await tenant_client()
    for caller, status in ((client, 401), (app, 403)):
        assert (await caller.get(HERE)).status_code == status
        assert (await caller.post(f"{HERE}/ai:content/pause")).status_code == status
        assert (await caller.post(f"{HERE}/ai:content/dlq/{letter}/replay")).status_code == status
    del owner.headers["X-CSRF-Token"]
    answer = await owner.post(f"{HERE}/ai:content/pause")
    assert (answer.status_code, answer.json()["code"]) == (403, "bad_csrf_token")


async def test_jobs_are_found_by_id_tenant_error_kind_and_time(
    owner: AsyncClient, make_job: MakeJob, make_tenant: Callable[[str], Awaitable[Any]]
) -> None:
    other = await make_tenant("Casa Verde")
    dead = str(await make_job(State.DEAD, error_message="The Xylophone is 100% away"))
    waiting = str(await make_job(State.PENDING, kind="translate", error_message="none"))
    foreign = str(await make_job(State.COMPLETED, tenant_id=other.id))
    old = str(await make_job(State.COMPLETED, id=floor_id(datetime.now(UTC) - timedelta(days=3))))
    everything = [foreign, waiting, dead, old]
    for params, expected in (
        ({"q": dead}, [dead]),
        ({"q": f" {other.id} "}, [foreign]),
        ({"q": "xylophone"}, [dead]),
        ({"q": "100%"}, [dead]),
        ({"q": "1_0%"}, []),
        ({"q": "translate"}, [waiting]),
        ({"q": "xylophone", "state": "completed"}, []),
        ({"q": "xylophone", "state": "failed"}, [dead]),
        ({"q": dead, "state": "waiting"}, []),
        ({"q": str(new_id())}, []),
        ({"state": "any"}, everything),
        ({"state": "any", "from": f"{datetime.now(UTC) - timedelta(days=1):%Y-%m-%d}"}, everything[:3]),
        ({"state": "any", "to": f"{datetime.now(UTC) - timedelta(days=2):%Y-%m-%d}"}, [old]),
    ):
        found = (await owner.get(f"{HERE}/ai:content/jobs", params=params)).json()["items"]
        assert [job["id"] for job in found] == expected, params
    for params in ({"q": "x" * 201}, {"q": "a\0b"}, {"from": "odd"}, {"to": "2026-13-01"}):
        answer = await owner.get(f"{HERE}/ai:content/jobs", params=params)
        assert (answer.status_code, next(iter(params)) in answer.json()["detail"]) == (422, True)


async def test_a_search_runs_through_its_pages_and_back(owner: AsyncClient, make_job: MakeJob) -> None:
    states = (State.DEAD, State.RETRYING, State.CANCELLED)
    made = [str(await make_job(states[n % 3], later=n % 3 == 1, error_message=f"no. {n}")) for n in range(7)]
    first = (await owner.get(f"{HERE}/ai:content/jobs", params={"q": "no.", "limit": 3})).json()
    cursor = first["nextCursor"]
    second = (await owner.get(f"{HERE}/ai:content/jobs", params={"q": "no.", "limit": 3, "cursor": cursor})).json()
    assert [job["id"] for job in (*first["items"], *second["items"])] == made[:0:-1]
    params = {"q": "no.", "limit": 3, "cursor": second["prevCursor"]}
    assert (await owner.get(f"{HERE}/ai:content/jobs", params=params)).json()["items"] == first["items"]
    wrong = await owner.get(f"{HERE}/ai:content/jobs", params={"q": "other", "cursor": cursor})
    assert (wrong.status_code, wrong.json()["code"]) == (400, "bad_cursor")


async def test_what_is_due_waits_in_number_and_list_also_in_a_paused_queue(
    owner: AsyncClient, make_job: MakeJob, database: Database
) -> None:
    await owner.post(f"{HERE}/ai:content/pause")
    past = datetime.now(UTC) - timedelta(minutes=1)
    due = [
        str(await make_job(state, later=True, run_at=past)) for state in (State.PENDING, State.QUEUED, State.RETRYING)
    ]
    later = str(await make_job(State.RETRYING, later=True))
    assert await ids(owner, "delayed") == [later, *due[::-1]]
    assert await note_due(database) == 3
    assert await note_due(database) == 0
    assert await ids(owner, "waiting") == due[::-1]
    assert await ids(owner, "delayed") == [later]
    row = (await owner.get(f"{HERE}/ai:content/jobs/{due[2]}")).json()
    assert (row["state"], row["recordState"]) == ("waiting", "retrying")


async def test_the_tenants_with_most_work_come_first_with_their_numbers(
    owner: AsyncClient, make_job: MakeJob, make_tenant: Callable[[str], Awaitable[Any]], tenant: Any
) -> None:
    other = await make_tenant("Casa Verde")
    for state in (State.PENDING, State.QUEUED, State.ACTIVE):
        await make_job(state, tenant_id=other.id)
    await make_job(State.RETRYING, later=True, tenant_id=other.id)
    await make_job(State.QUEUED)
    for state in (State.DEAD, State.DEAD, State.COMPLETED, State.CANCELLED):
        await make_job(state)
    await make_job(State.PENDING, queue="ai:seo", tenant_id=other.id)
    for state, error_class in ((State.DEAD, "TimeoutError"), (State.RETRYING, "TimeoutError"), (State.DEAD, "Refused")):
        await make_job(state, error_class=error_class, later=state is State.RETRYING)
    here = "/api/owner/queues/ai:content/tenants"
    found = (await owner.get(here)).json()
    numbers = ("name", "waiting", "delayed", "active", "failed", "errors", "timedOut", "completed")
    assert [[one[name] for name in numbers] for one in found["items"]] == [
        ["Casa Verde", 2, 1, 1, 0, 0, 0, 0],
        ["Harbour Press", 1, 1, 0, 4, 3, 2, 1],
    ]
    assert found["partial"] is False
    assert [one["tenantId"] for one in (await owner.get(here, params={"limit": 1})).json()["items"]] == [str(other.id)]
    for limit in (0, 101):
        refused = await owner.get(here, params={"limit": limit})
        assert refused.status_code == 422 and "limit" in refused.json()["detail"]
    assert (await owner.get("/api/owner/queues/none/tenants")).json()["code"] == "unknown_queue"
    page = await owner.get("/dashboard/owner/queues/ai:content/tenants")
    assert page.text.index("Casa Verde") < page.text.index("Harbour Press")
    assert '/tenants"' in (await owner.get("/dashboard/owner/queues/ai:content/jobs")).text


async def test_a_search_is_planned_for_its_words_however_often_it_was_made(
    database: Database, operator: Actor, settings: Settings
) -> None:
    pager = Pager(Signer(settings.secret_key))
    # In one transaction, because each connection has plans of its own.
    async with database.transaction(operator.scope) as session:
        for number in range(8):  # beyond the fifth time PostgreSQL might settle for one plan for any words
            await QueueService(session, operator).jobs(pager, "ai:content", JobFilter(None, text=f"word {number}"))
        query = text("SELECT sum(custom_plans), sum(generic_plans) FROM pg_prepared_statements WHERE statement ~ :of")
        anew, once = (await session.execute(query, {"of": r"strpos\("})).one()
    assert anew >= 8 and once == 0
