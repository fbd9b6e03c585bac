"""Worker processes as the owner sees them, and what the owner tells them."""

import json
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from httpx2 import AsyncClient

from app.core.ids import new_id

API, PAGES, HTMX = "/api/owner/workers", "/dashboard/owner/workers", {"HX-Request": "true"}
MakeWorker = Callable[..., Awaitable[UUID]]


@pytest.fixture
def make_worker(admin: asyncpg.Connection) -> MakeWorker:
    async def make(*, seconds_ago: int = 0, in_hand: list[dict[str, Any]] | None = None, **values: Any) -> UUID:
        worker = new_id()
        held = in_hand or []
        await admin.execute(
            "INSERT INTO worker (id, host, pid, version, queues, jobs, in_hand, lag_ms, memory_bytes, leads, beat_at) "
            "VALUES ($1, 'press-1', 77, '0.1.0', '[\"ai:content\"]', $2, $3, 1.5, 94371840, true, "
            "now() - make_interval(secs => $4))",
            worker, len(held), json.dumps(held), seconds_ago,
        )  # fmt: skip
        return worker

    return make


async def test_a_worker_is_shown_with_what_it_has_in_hand(owner: AsyncClient, make_worker: MakeWorker) -> None:
    job = str(new_id())
    worker = await make_worker(in_hand=[{"id": job, "kind": "note", "queue": "ai:content", "since": 1_800_000_000.5}])
    lost = await make_worker(seconds_ago=60)
    items = {one["id"]: one for one in (await owner.get(API)).json()["items"]}
    seen = items[str(worker)]
    assert (seen["state"], seen["command"], seen["leads"], seen["jobs"]) == ("running", None, True, 1)
    assert (seen["lagMs"], seen["memoryBytes"], seen["queues"]) == (1.5, 94371840, ["ai:content"])
    [held] = seen["inHand"]
    assert (held["id"], held["kind"], held["since"]) == (job, "note", "2027-01-15T08:00:00.500000Z")
    assert items[str(lost)]["state"] == "lost"
    assert (await owner.get(f"{API}/{worker}")).json() == seen
    assert (await owner.get(f"{API}/{new_id()}")).status_code == 404
    for page in (PAGES, "/dashboard/owner/queues"):
        text = (await owner.get(page)).text
        assert f'data-worker="{worker}"' in text and f"/queues/ai:content/jobs/{job}" in text and "90 MB" in text
        assert f"{PAGES}/{worker}/stop" in text and f"{PAGES}/{lost}/stop" not in text


async def test_quiet_resume_and_stop_are_told_once_and_audited(
    owner: AsyncClient, make_worker: MakeWorker, admin: asyncpg.Connection
) -> None:
    worker = await make_worker()
    told = [
        (await owner.post(f"{API}/{worker}/{verb}")).json().get("command", "?") for verb in ("quiet", "resume", "stop")
    ]
    assert told == ["quiet", None, "stop"]
    rows = await admin.fetch("SELECT action, outcome, before, after FROM audit_log WHERE resource_type = 'worker'")
    done = {row["action"]: (json.loads(row["before"]), json.loads(row["after"])) for row in rows}
    assert done == {
        "owner.worker.quiet": ({"command": None}, {"command": "quiet"}),
        "owner.worker.resume": ({"command": "quiet"}, {"command": None}),
        "owner.worker.stop": ({"command": None}, {"command": "stop"}),
    }


@pytest.mark.parametrize(
    ("first", "then", "code"),
    [
        ((), "resume", "not_quiet"),
        (("quiet",), "quiet", "already_quiet"),
        (("stop",), "stop", "already_stopping"),
        (("stop",), "quiet", "already_stopping"),
    ],
)
async def test_what_makes_no_sense_is_a_conflict(
    owner: AsyncClient, make_worker: MakeWorker, first: tuple[str, ...], then: str, code: str
) -> None:
    worker = await make_worker()
    for verb in first:
        assert (await owner.post(f"{API}/{worker}/{verb}")).status_code == 200
    answer = await owner.post(f"{API}/{worker}/{then}")
    assert (answer.status_code, answer.json()["code"]) == (409, code)


async def test_nobody_commands_a_worker_that_is_gone(owner: AsyncClient, make_worker: MakeWorker) -> None:
    lost = await make_worker(seconds_ago=60)
    answer = await owner.post(f"{API}/{lost}/stop")
    assert (answer.status_code, answer.json()["code"]) == (409, "lost")
    assert (await owner.post(f"{API}/{new_id()}/stop")).status_code == 404


async def test_a_button_answers_with_the_table(owner: AsyncClient, make_worker: MakeWorker) -> None:
    worker = await make_worker()
    answer = await owner.post(f"{PAGES}/{worker}/quiet", headers=HTMX)
    assert answer.status_code == 200, answer.text
    assert json.loads(answer.headers["hx-trigger"])["toast"]["message"] == "Process 77 starts nothing more"
    assert answer.text.lstrip().startswith("<div") and f"{PAGES}/{worker}/resume" in answer.text
    assert "told to be quiet" in answer.text


async def test_who_runs_nothing_is_told_how_to_start(owner: AsyncClient) -> None:
    assert "teknav worker" in (await owner.get(PAGES)).text
