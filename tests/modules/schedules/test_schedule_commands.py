"""`teknav schedules`: the same rules and the same answers as the API."""

import json

import asyncpg
from httpx2 import AsyncClient

from tests.modules.conftest import Teknav

HERE = "/api/owner/schedules"


async def test_what_the_pages_do_the_command_does_too(
    teknav: Teknav, owner: AsyncClient, admin: asyncpg.Connection
) -> None:
    assert "purge-expired" in await teknav("schedules", "list")
    changed = json.loads(await teknav("schedules", "change", "purge-expired", "--every", "90", "--json"))
    assert (changed["everyS"], changed["cron"], changed["differs"]) == (90, None, True)
    run = json.loads(await teknav("schedules", "run", "purge-expired", "--json"))
    assert run["created"] is True
    paused = json.loads(await teknav("schedules", "pause", "purge-expired", "--reason", "Quiet", "--json"))
    assert (paused["state"], paused["pausedReason"]) == ("paused", "Quiet")
    assert json.loads(await teknav("schedules", "show", "purge-expired", "--json")) == (
        (await owner.get(f"{HERE}/purge-expired")).json()
    )
    assert "goes on" in await teknav("schedules", "resume", "purge-expired")
    await teknav("schedules", "reset", "purge-expired")
    assert json.loads(await teknav("schedules", "list", "--json"))["items"][0]["differs"] is False
    rows = await admin.fetch("SELECT action, actor_label FROM audit_log WHERE resource_type = 'schedule' ORDER BY id")
    assert [row["action"].rpartition(".")[2] for row in rows] == ["update", "run", "pause", "resume", "reset"]
    assert all(row["actor_label"].startswith("cli:") for row in rows)


async def test_a_refusal_names_what_is_wrong(teknav: Teknav, orphan: str) -> None:
    assert "cron: must have five fields" in await teknav("schedules", "change", "purge-expired", "--cron", "x", code=1)
    assert "no schedule 'nothing'" in await teknav("schedules", "run", "nothing", code=1)
    assert "removed only" in await teknav("schedules", "pause", orphan, code=1)
    assert json.loads(await teknav("schedules", "remove", orphan, "--json")) == {"name": orphan, "removed": True}
