"""Dead letters in bulk, grouped and edited; cancelling and undoing: `/api/owner/queues` as a program meets it."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from httpx2 import AsyncClient

from app import registry
from app.core.database import Database
from app.core.ids import PLATFORM_TENANT, new_id
from app.queues.models import State
from tests.modules.queues.conftest import MakeJob, stumble

DeadJob = Callable[..., Awaitable[UUID]]
HERE = "/api/owner/queues/ai:content"


async def actions(admin: asyncpg.Connection, action: str) -> list[asyncpg.Record]:
    query = "SELECT * FROM audit_log WHERE action = $1 AND outcome = 'success' ORDER BY id"
    found: list[asyncpg.Record] = await admin.fetch(query, action)
    return found


@pytest.fixture
def knows_stumble(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The running app can read the payload of the tests' own kind."""
    kinds = database._ports["queues"].kinds
    monkeypatch.setitem(kinds._by_kind, "stumble", stumble)


async def test_many_letters_are_replayed_once_however_often_it_is_asked(
    owner: AsyncClient,
    make_job: MakeJob,
    admin: asyncpg.Connection,
    tenant: Any,
    make_tenant: Callable[[str], Awaitable[Any]],
) -> None:
    jobs = [await make_job(State.DEAD) for _ in range(5)]
    answers = await asyncio.gather(*(owner.post(f"{HERE}/dlq/replays", json={"all": True}) for _ in range(4)))
    assert [answer.status_code for answer in answers] == [200] * 4
    assert sum(answer.json()["done"] for answer in answers) == 5
    assert {answer.json()["left"] for answer in answers} == {0}
    assert await admin.fetchval("SELECT array_agg(DISTINCT run) FROM job") == [1]
    rows = await actions(admin, "owner.dlq.replay_many")
    assert sorted(id_ for row in rows for id_ in json.loads(row["after"])["jobs"]) == sorted(map(str, jobs))
    assert {(row["resource_type"], row["resource_id"]) for row in rows} == {("queue", "ai:content")}
    told = {row["tenant_id"] for row in rows if json.loads(row["after"])["jobs"]}
    assert told == {tenant.id}, "the tenant whose they are finds the act in its log"
    for of in (tenant.id, (await make_tenant("Casa Verde")).id):
        await make_job(State.DEAD, tenant_id=of)
    assert (await owner.post(f"{HERE}/dlq/replays", json={"all": True})).json()["done"] == 2
    assert (await actions(admin, "owner.dlq.replay_many"))[-1]["tenant_id"] == PLATFORM_TENANT, "several tenants'"


async def test_letters_are_chosen_by_id_kind_cause_and_tenant(
    owner: AsyncClient, make_job: MakeJob, make_tenant: Callable[[str], Awaitable[Any]]
) -> None:
    other = await make_tenant("Casa Verde")
    by_kind = await make_job(State.DEAD, kind="odd")
    by_tenant = await make_job(State.DEAD, tenant_id=other.id)
    by_cause = await make_job(State.DEAD, error_fingerprint="abc")
    by_id, kept = await make_job(State.DEAD), await make_job(State.DEAD)
    for choice, job in (
        ({"kind": "odd"}, by_kind),
        ({"tenantId": str(other.id)}, by_tenant),
        ({"fingerprint": "abc"}, by_cause),
        ({"ids": [str(by_id), str(new_id())]}, by_id),
    ):
        only = {name: value for name, value in choice.items() if name != "ids"}
        if only:
            listed = (await owner.get(f"{HERE}/dlq", params=only)).json()["items"]
            assert [letter["id"] for letter in listed] == [str(job)]
        answer = await owner.post(f"{HERE}/dlq/removals", json=choice)
        assert (answer.json()["done"], answer.json()["left"]) == (1, 0), answer.text
        assert (await owner.get(f"{HERE}/jobs/{job}")).json()["state"] == "removed"
    assert (await owner.get(f"{HERE}/jobs/{kept}")).json()["state"] == "failed"


@pytest.mark.parametrize(
    ("body", "field"),
    [({}, "ids"), ({"all": False}, "ids"), ({"ids": ["x"]}, "ids"), ({"ids": "x"}, "ids"), ({"what": 1}, "what")],
)
async def test_a_bulk_act_that_chooses_nothing_does_nothing(
    owner: AsyncClient, make_job: MakeJob, body: dict[str, Any], field: str
) -> None:
    job = await make_job(State.DEAD)
    for verb in ("replays", "removals"):
        answer = await owner.post(f"{HERE}/dlq/{verb}", json=body)
        assert answer.status_code in (400, 422), answer.text
        assert field in answer.json()["detail"]
    assert (await owner.get(f"{HERE}/jobs/{job}")).json()["state"] == "failed"


async def test_a_removal_of_many_letters_is_undone_by_one_call(
    owner: AsyncClient, make_job: MakeJob, admin: asyncpg.Connection
) -> None:
    alone = await make_job(State.DEAD)
    await owner.post(f"{HERE}/dlq/removals", json={"ids": [str(alone)]})
    jobs = [await make_job(State.DEAD) for _ in range(3)]
    removed = (await owner.post(f"{HERE}/dlq/removals", json={"all": True})).json()
    again = {"removedAt": removed["removedAt"]}
    other = await owner.post("/api/owner/queues/ai:seo/dlq/restorations", json=again)
    assert (other.status_code, other.json()["code"]) == (409, "not_in_trash")
    back = await owner.post(f"{HERE}/dlq/restorations", json=again)
    assert (back.status_code, back.json()) == (200, {"done": 3, "skipped": 0, "left": 0, "removedAt": None})
    listed = (await owner.get(f"{HERE}/dlq")).json()["items"]
    assert sorted(letter["id"] for letter in listed) == sorted(map(str, jobs)), "another removal stays"
    (row,) = await actions(admin, "owner.dlq.restore_many")
    assert sorted(json.loads(row["after"])["jobs"]) == sorted(map(str, jobs))
    assert (await owner.post(f"{HERE}/dlq/restorations", json=again)).json()["code"] == "not_in_trash"
    for wrong in ("soon", "2026-01-01T00:00:00", None):
        answer = await owner.post(f"{HERE}/dlq/restorations", json={"removedAt": wrong})
        assert answer.status_code == 422 and "removedAt" in answer.json()["detail"], answer.text


async def test_letters_of_one_cause_are_one_group(owner: AsyncClient, dead_job: DeadJob) -> None:
    for message in ("host 1 is away", "host 2 is away", "odd"):
        await dead_job(message)
    groups = (await owner.get(f"{HERE}/dlq/groups")).json()["items"]
    assert [(group["errorMessage"], group["count"], group["kinds"]) for group in groups] == [
        ("host 2 is away", 2, ["stumble"]),
        ("odd", 1, ["stumble"]),
    ]
    assert groups[0]["firstFailedAt"] < groups[0]["lastFailedAt"]
    one = (await owner.get(f"{HERE}/dlq", params={"fingerprint": groups[0]["fingerprint"]})).json()
    assert len(one["items"]) == 2


@pytest.mark.usefixtures("knows_stumble")
async def test_an_edited_letter_is_a_new_job_and_both_know_each_other(
    owner: AsyncClient, dead_job: DeadJob, admin: asyncpg.Connection
) -> None:
    old = str(await dead_job("host 1 is away"))
    edit = f"{HERE}/dlq/{old}/edit"
    wrong = await owner.post(edit, json={"payload": {"message": 7}})
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "payload.message")
    made = await owner.post(edit, json={"payload": {"message": "host 2", "apiKey": "***"}})
    assert made.status_code == 201, made.text
    new = made.json()
    assert (new["editedFrom"], new["state"], new["run"]) == (old, "waiting", 0)
    before = (await owner.get(f"{HERE}/jobs/{old}")).json()
    assert (before["state"], before["editedTo"], before["undoable"]) == ("removed", new["id"], False)
    # What was shown as hidden and came back hidden is still the secret; it is shown and audited nowhere.
    assert json.loads(await admin.fetchval("SELECT payload FROM job WHERE id = $1", UUID(new["id"]))) == {
        "message": "host 2",
        "apiKey": "k-123",
    }
    (row,) = await actions(admin, "owner.dlq.edit")
    assert (row["resource_id"], "k-123" in str(dict(row))) == (old, False)
    assert row["tenant_id"] == await admin.fetchval("SELECT tenant_id FROM job WHERE id = $1", UUID(old))
    assert json.loads(row["after"])["edited_to"] == new["id"]
    again = await owner.post(edit, json={"payload": {"message": "host 3"}})
    assert (again.status_code, again.json()["code"]) == (409, "not_dead")


async def test_a_letter_whose_kind_nobody_runs_is_not_edited(owner: AsyncClient, make_job: MakeJob) -> None:
    assert "gone_kind" not in registry.kinds()._by_kind
    job = await make_job(State.DEAD, kind="gone_kind")
    answer = await owner.post(f"{HERE}/dlq/{job}/edit", json={"payload": {}})
    assert (answer.status_code, answer.json()["code"]) == (409, "unknown_kind")


async def test_a_job_is_cancelled_unless_it_has_ended(
    owner: AsyncClient, make_job: MakeJob, admin: asyncpg.Connection
) -> None:
    for state in (State.PENDING, State.QUEUED, State.RETRYING, State.WAITING_CHILDREN):
        job = await make_job(state)
        answer = await owner.post(f"{HERE}/jobs/{job}/cancellation")
        assert (answer.status_code, answer.json()["state"]) == (200, "cancelled"), state
    active = await make_job(State.ACTIVE)
    answer = await owner.post(f"{HERE}/jobs/{active}/cancellation")
    assert (answer.json()["state"], answer.json()["cancelRequestedAt"] is not None) == ("active", True)
    again = await owner.post(f"{HERE}/jobs/{active}/cancellation")
    assert again.json()["cancelRequestedAt"] == answer.json()["cancelRequestedAt"]
    for state in (State.COMPLETED, State.DEAD, State.CANCELLED, State.REMOVED):
        answer = await owner.post(f"{HERE}/jobs/{await make_job(state)}/cancellation")
        assert (answer.status_code, answer.json()["code"]) == (409, "not_cancellable"), state
    assert (await owner.post(f"{HERE}/jobs/{new_id()}/cancellation")).status_code == 404
    assert len(await actions(admin, "owner.job.cancel")) == 6


@pytest.mark.parametrize(
    ("state", "later", "shown", "run"),
    [
        (State.QUEUED, False, "waiting", 1),
        (State.QUEUED, True, "delayed", 1),
        (State.RETRYING, True, "delayed", 1),
        (State.WAITING_CHILDREN, False, "waiting", 1),
        (State.COMPLETED, False, "completed", 0),
        (State.DEAD, False, "failed", 0),
        (State.CANCELLED, False, "cancelled", 0),
    ],
)
async def test_a_removal_is_undone_into_the_state_from_before(
    owner: AsyncClient,
    make_job: MakeJob,
    admin: asyncpg.Connection,
    state: State,
    later: bool,
    shown: str,
    run: int,
) -> None:
    here = f"{HERE}/jobs/{await make_job(state, later=later)}"
    assert (await owner.post(f"{here}/restoration")).json()["code"] == "not_in_trash"
    assert (await owner.delete(here)).status_code == 204
    removed = (await owner.get(here)).json()
    assert (removed["undoable"], removed["removedFrom"]) == (True, state)
    back = await owner.post(f"{here}/restoration")
    assert (back.status_code, back.json()["state"], back.json()["run"]) == (200, shown, run)
    assert (back.json()["undoable"], back.json()["removedFrom"]) == (False, None)
    assert (await owner.post(f"{here}/restoration")).status_code == 409
    assert len(await actions(admin, "owner.job.restore")) == 1


async def test_a_removal_of_ten_minutes_ago_stays(
    owner: AsyncClient, make_job: MakeJob, admin: asyncpg.Connection
) -> None:
    here = f"{HERE}/jobs/{await make_job(State.DEAD)}"
    await owner.delete(here)
    await admin.execute("UPDATE job SET removed_at = now() - interval '601 seconds'")
    assert (await owner.get(here)).json()["undoable"] is False
    assert (await owner.post(f"{here}/restoration")).json()["code"] == "not_in_trash"


async def test_a_parent_shows_the_tree_below_it_and_a_child_its_parent(owner: AsyncClient, make_job: MakeJob) -> None:
    root = await make_job(State.WAITING_CHILDREN, children=2)
    part = await make_job(State.WAITING_CHILDREN, parent_id=root, children=1)
    leaf = await make_job(State.ACTIVE, parent_id=part, progress=40, required=False)
    other = await make_job(State.DEAD, parent_id=root)
    shown = (await owner.get(f"{HERE}/jobs/{root}")).json()
    assert (shown["state"], shown["childCount"], shown["parentId"]) == ("waiting_children", 2, None)
    assert [child["id"] for child in shown["children"]] == [str(part), str(other)]
    (below,) = shown["children"][0]["children"]
    assert (below["id"], below["state"], below["required"], below["progress"]) == (str(leaf), "active", False, 40)
    child = (await owner.get(f"{HERE}/jobs/{leaf}")).json()
    assert (child["parentId"], child["children"]) == (str(part), [])
