"""`teknav queues`: the same rules and the same answers as the API."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
from httpx2 import AsyncClient
from litestar import Litestar

from app.core.database import Database, Plane, Scope
from app.core.ids import new_id
from app.queues.enqueue import enqueue
from app.queues.models import State
from tests.modules.conftest import Teknav
from tests.modules.queues.conftest import MakeJob, Stumble

HERE = "/api/owner/queues"
DeadJob = Callable[..., Awaitable[UUID]]


async def test_queues_and_jobs_are_told_as_the_api_tells_them(
    teknav: Teknav, owner: AsyncClient, make_job: MakeJob
) -> None:
    a_while_ago = datetime.now(UTC) - timedelta(minutes=1)
    jobs = [str(await make_job(State.PENDING, updated_at=a_while_ago)) for _ in range(3)]
    shown = await teknav("queues", "list")
    assert "ai:content" in shown
    assert "verify_audit: 3600 s" in shown
    assert json.loads(await teknav("queues", "list", "--json")) == (await owner.get(HERE)).json()
    page = json.loads(await teknav("queues", "jobs", "ai:content", "--limit", "2", "--json"))
    assert [job["id"] for job in page["items"]] == jobs[:0:-1]
    rest = await teknav("queues", "jobs", "ai:content", "--limit", "2", "--cursor", page["nextCursor"])
    assert jobs[0] in rest and jobs[1] not in rest
    assert json.loads(await teknav("queues", "loops", "--json"))["leader"] is None


async def test_what_the_pages_do_the_command_does_too(teknav: Teknav, owner: AsyncClient, dead_job: DeadJob) -> None:
    job = str(await dead_job())
    await teknav("queues", "pause", "ai:content", "--reason", "Provider down")
    found = (await owner.get(f"{HERE}/ai:content/stats")).json()
    assert (found["paused"], found["pausedReason"]) == (True, "Provider down")
    assert "paused already" in await teknav("queues", "pause", "ai:content", code=1)
    replayed = json.loads(await teknav("queues", "replay", "ai:content", job, "--json"))
    assert (replayed["state"], replayed["run"]) == ("waiting", 1)
    assert "no dead letter" in await teknav("queues", "replay", "ai:content", job, code=1)
    assert "cannot be retried" in await teknav("queues", "retry", "ai:content", job, code=1)
    await teknav("queues", "remove", "ai:content", job)
    assert (await owner.get(f"{HERE}/ai:content/jobs/{job}")).json()["state"] == "removed"
    assert "has no job" in await teknav("queues", "remove", "ai:content", str(new_id()), code=1)
    await teknav("queues", "resume", "ai:content")
    assert (await owner.get(f"{HERE}/ai:content/stats")).json()["paused"] is False


async def test_an_emptied_redis_is_filled_again_by_command(
    app: Litestar, teknav: Teknav, database: Database, owner: AsyncClient, tenant: Any, admin: asyncpg.Connection
) -> None:
    engine = app.state.process.engine
    await owner.post(f"{HERE}/ai:content/pause")
    async with database.transaction(Scope(Plane.TENANT, tenant.id)) as session:
        for _ in range(3):
            await enqueue(session, Stumble(message="x"))
    while await admin.fetchval("SELECT count(*) FROM job WHERE state = 'queued'") < 3:
        await asyncio.sleep(0.01)
    await admin.execute("UPDATE job SET updated_at = now() - interval '1 minute'")
    await engine.client.flushdb()
    assert (await engine.counts(["ai:content"]))["ai:content"].waiting == 0
    found = json.loads(await teknav("queues", "rebuild", "--json"))
    assert found["pushed"] == 3
    assert (await engine.counts(["ai:content"]))["ai:content"].waiting == 3
    assert (await engine.paused())["ai:content"], "the pause comes back with the jobs"
    await admin.execute("UPDATE job SET updated_at = now() - interval '1 minute'")
    assert json.loads(await teknav("queues", "rebuild", "--json")) == {"handedBack": 3, "pushed": 3}, "and once more"
    assert (await engine.counts(["ai:content"]))["ai:content"].waiting == 3


async def test_jobs_are_cancelled_restored_edited_and_found_by_command(
    teknav: Teknav, owner: AsyncClient, make_job: MakeJob, tmp_path: Path
) -> None:
    waiting = str(await make_job(State.PENDING))
    assert json.loads(await teknav("queues", "cancel", "ai:content", waiting, "--json"))["state"] == "cancelled"
    assert "cannot be cancelled" in await teknav("queues", "cancel", "ai:content", waiting, code=1)
    await teknav("queues", "remove", "ai:content", waiting)
    assert json.loads(await teknav("queues", "restore", "ai:content", waiting, "--json"))["state"] == "cancelled"
    payload_of = {"taskId": str(new_id())}
    letter = {"kind": "summarize_article", "payload": payload_of, "error_message": "the xylophone is away"}
    dead = str(await make_job(State.DEAD, **letter))
    found = json.loads(await teknav("queues", "jobs", "ai:content", "--search", "xylophone", "--json"))
    assert [job["id"] for job in found["items"]] == [dead]
    payload = tmp_path / "payload.json"
    for wrong in ("[1]", "{"):
        payload.write_text(wrong)
        assert "JSON object" in await teknav("queues", "edit", "ai:content", dead, str(payload), code=2)
    payload.write_text(json.dumps({"taskId": str(new_id())}))
    new = json.loads(await teknav("queues", "edit", "ai:content", dead, str(payload), "--json"))
    assert (new["editedFrom"], new["state"]) == (dead, "waiting")
    rows = (await owner.get("/api/owner/logs/audit", params={"action": "owner.dlq.edit"})).json()["items"]
    assert [row["resourceId"] for row in rows] == [dead]


async def test_dead_letters_are_replayed_and_removed_many_at_once_by_command(
    teknav: Teknav, owner: AsyncClient, dead_job: DeadJob, admin: asyncpg.Connection
) -> None:
    letters = [str(await dead_job()) for _ in range(3)]
    assert "say which" in await teknav("queues", "replay-all", "ai:content", code=1)
    done = json.loads(await teknav("queues", "replay-all", "ai:content", "--job", letters[0], "--json"))
    assert done == {"done": 1, "skipped": 0, "left": 0, "removedAt": None}
    assert json.loads(await teknav("queues", "remove-all", "ai:content", "--kind", "other", "--json"))["done"] == 0
    told = await teknav("queues", "remove-all", "ai:content", "--all")
    assert "2 dead letters removed" in told
    undo = told.split()[-2:]
    assert "2 dead letters restored" in await teknav("queues", "restore-all", *undo)
    assert "no longer" in await teknav("queues", "restore-all", *undo, code=1)
    assert "removedAt" in await teknav("queues", "restore-all", "ai:content", "soon", code=2)
    assert "2 dead letters removed" in await teknav("queues", "remove-all", "ai:content", "--all")
    states = {str(row["id"]): row["state"] for row in await admin.fetch("SELECT id, state FROM job")}
    assert states == {letters[0]: "pending", letters[1]: "removed", letters[2]: "removed"}
    actions = await admin.fetch("SELECT action FROM audit_log WHERE action LIKE 'owner.dlq.%' ORDER BY id")
    done = {"owner.dlq.replay_many", "owner.dlq.remove_many", "owner.dlq.restore_many"}
    assert {row["action"] for row in actions} == done
