"""`/api/owner/schedules` as the owner meets it."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import asyncpg
import pytest
from httpx2 import AsyncClient
from sqlalchemy import text

from tests.modules.schedules.conftest import Change

HERE = "/api/owner/schedules"
PURGE = f"{HERE}/purge-expired"
DECLARED = {"cron": "17 * * * *", "everyS": None, "timezone": "UTC", "missed": "once"}
Lead = Callable[[], Awaitable[int]]


def timing(found: dict[str, Any]) -> dict[str, Any]:
    return {name: found[name] for name in DECLARED}


async def actions(admin: asyncpg.Connection) -> list[str]:
    rows = await admin.fetch("SELECT action FROM audit_log WHERE resource_type = 'schedule' ORDER BY id")
    return [row["action"] for row in rows]


async def test_every_declared_schedule_is_listed_before_any_worker_has_led(owner: AsyncClient) -> None:
    found = {one["name"]: one for one in (await owner.get(HERE)).json()["items"]}
    purge = found["purge-expired"]
    assert timing(purge) == DECLARED == purge["declared"]
    assert (purge["queue"], purge["kind"]) == ("platform:tasks", "purge_expired")
    assert (purge["state"], purge["differs"], purge["lastRun"]) == ("active", False, None)
    assert datetime.fromisoformat(purge["nextRunAt"]).minute == 17


@pytest.mark.promise("S2-52")
async def test_a_run_is_linked_to_its_job_and_its_result(
    owner: AsyncClient, lead: Lead, alter: Change, drain: Callable[[], Awaitable[int]]
) -> None:
    await lead()
    await alter(next_run_at=text("now() - interval '1 minute'"))
    assert await lead() == 1
    await drain()
    found = (await owner.get(PURGE)).json()
    (run,) = found["runs"]
    assert run == found["lastRun"]
    assert (run["state"], run["byHand"], run["queue"]) == ("completed", False, "platform:tasks")
    job = (await owner.get(f"/api/owner/queues/platform:tasks/jobs/{run['jobId']}")).json()
    assert (job["kind"], job["state"]) == ("purge_expired", "completed")
    upcoming = [datetime.fromisoformat(each) for each in found["upcoming"]]
    assert [later - sooner for sooner, later in pairwise(upcoming)] == [timedelta(hours=1)] * 4
    assert upcoming[0] == datetime.fromisoformat(found["nextRunAt"])


async def test_the_newest_runs_come_first_and_no_others(
    owner: AsyncClient, lead: Lead, alter: Change, admin: asyncpg.Connection
) -> None:
    await lead()
    for hours in range(12, 0, -1):
        await alter(next_run_at=text("now() - interval '1 hour' * :n").bindparams(n=hours))
        await lead()
    await admin.execute("UPDATE job_key SET key = replace(key, 'purge-expired', 'purge-expired2') WHERE job_id = $1",
                        await admin.fetchval("SELECT job_id FROM job_key ORDER BY key DESC LIMIT 1"))  # fmt: skip
    due = [run["dueAt"] for run in (await owner.get(PURGE)).json()["runs"]]
    assert len(due) == 10
    assert due == sorted(due, reverse=True)
    newest = datetime.fromisoformat(due[0])
    assert timedelta(hours=1, minutes=59) < datetime.now(newest.tzinfo) - newest < timedelta(hours=2, minutes=5)


async def test_a_change_takes_the_place_of_the_codes_word_until_it_is_taken_back(
    owner: AsyncClient, lead: Lead, admin: asyncpg.Connection
) -> None:
    await lead()
    changed = await owner.patch(PURGE, json={"cron": "0 3 * * mon-fri", "timezone": "Europe/Berlin"})
    assert changed.status_code == 200, changed.text
    found = changed.json()
    assert timing(found) == DECLARED | {"cron": "0 3 * * mon-fri", "timezone": "Europe/Berlin"}
    assert (found["differs"], found["changedBy"], found["declared"]) == (True, "owner@example.org", DECLARED)
    await lead()
    assert timing((await owner.get(PURGE)).json()) == timing(found)
    assert timing((await owner.patch(PURGE, json={"everyS": 90, "missed": "skip"})).json()) == {
        "cron": None, "everyS": 90, "timezone": "Europe/Berlin", "missed": "skip",
    }  # fmt: skip
    back = (await owner.post(f"{PURGE}/reset")).json()
    assert (timing(back), back["differs"], back["changedBy"]) == (DECLARED, False, None)
    assert await actions(admin) == ["owner.schedule.update", "owner.schedule.update", "owner.schedule.reset"]


async def test_a_change_to_what_the_code_says_is_none(owner: AsyncClient) -> None:
    await owner.patch(PURGE, json={"everyS": 90})
    found = (await owner.patch(PURGE, json={"cron": "17 * * * *"})).json()
    assert (found["differs"], found["changedAt"]) == (False, None)


async def test_two_who_change_at_once_do_not_overwrite_each_other(owner: AsyncClient, lead: Lead) -> None:
    await lead()
    tag = (await owner.get(PURGE)).headers["etag"]
    answers = await asyncio.gather(
        *(owner.patch(PURGE, json={"everyS": seconds}, headers={"If-Match": tag}) for seconds in (60, 120))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 412]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"cron": "whenever"}, "cron"),
        ({"cron": "0 0 30 2 *"}, "cron"),
        ({"cron": "0 0 * * *", "everyS": 60}, "cron"),
        ({"everyS": 1}, "everyS"),
        ({"timezone": "Europe/Atlantis"}, "timezone"),
        ({"missed": "sometimes"}, "missed"),
        ({"cron": "\0"}, "cron"),
    ],
)
async def test_a_wrong_timing_is_refused_by_name_and_nothing_changes(
    owner: AsyncClient, lead: Lead, wrong: dict[str, Any], field: str
) -> None:
    await lead()
    answer = await owner.patch(PURGE, json=wrong)
    assert answer.status_code in (400, 422)
    assert field in answer.json()["detail"]
    assert timing((await owner.get(PURGE)).json()) == DECLARED


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"cron": "whenever"}, "cron"),
        ({"everyS": "ten"}, "everyS"),
        ({"cron": "0 0 * * *", "timezone": "X"}, "timezone"),
    ],
)
async def test_a_wrong_timing_has_no_preview(owner: AsyncClient, asked: dict[str, str], field: str) -> None:
    answer = await owner.get(f"{HERE}/preview", params=asked)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


async def test_what_a_timing_would_mean_can_be_asked_before(owner: AsyncClient) -> None:
    answer = await owner.get(f"{HERE}/preview", params={"cron": "30 2 * * *", "timezone": "Europe/Berlin"})
    upcoming = [datetime.fromisoformat(each) for each in answer.json()["upcoming"]]
    assert len(upcoming) == 5
    assert {(each.hour, each.minute) for each in upcoming} <= {(0, 30), (1, 30), (1, 0)}


async def test_a_paused_schedule_says_who_and_why_and_goes_on_from_now(
    owner: AsyncClient, lead: Lead, alter: Change, admin: asyncpg.Connection
) -> None:
    await lead()
    paused = (await owner.post(f"{PURGE}/pause", json={"reason": "Moving house"})).json()
    assert (paused["state"], paused["pausedBy"], paused["pausedReason"]) == (
        "paused",
        "owner@example.org",
        "Moving house",
    )
    assert (paused["nextRunAt"], paused["upcoming"]) == (None, [])
    assert (await owner.post(f"{PURGE}/pause")).json()["code"] == "already_paused"
    await alter(next_run_at=text("now() - interval '2 days'"))
    assert await lead() == 0
    resumed = (await owner.post(f"{PURGE}/resume")).json()
    assert resumed["state"] == "active" and resumed["pausedReason"] is None
    assert await lead() == 0
    assert (await owner.post(f"{PURGE}/resume")).json()["code"] == "not_paused"
    assert await actions(admin) == ["owner.schedule.pause", "owner.schedule.resume"]


async def test_a_double_click_runs_once(
    owner: AsyncClient, alter: Change, drain: Callable[[], Awaitable[int]], admin: asyncpg.Connection
) -> None:
    answers = await asyncio.gather(*(owner.post(f"{PURGE}/run") for _ in range(5)))
    assert sorted(answer.json()["created"] for answer in answers) == [False] * 4 + [True]
    (job_id,) = {answer.json()["run"]["jobId"] for answer in answers}
    await alter(by_hand_at=text("now() - interval '1 hour'"))
    assert (await owner.post(f"{PURGE}/run")).json()["run"]["jobId"] == job_id, "it is unfinished"
    await drain()
    again = (await owner.post(f"{PURGE}/run")).json()
    assert again["created"] and again["run"]["jobId"] != job_id
    assert (await owner.post(f"{PURGE}/run")).json()["created"] is False, "ten seconds have not passed"
    runs = (await owner.get(PURGE)).json()["runs"]
    assert [(run["jobId"], run["byHand"]) for run in runs] == [(again["run"]["jobId"], True), (job_id, True)]
    assert await actions(admin) == ["owner.schedule.run"] * 2


async def test_a_paused_schedule_can_be_run_by_hand(owner: AsyncClient) -> None:
    await owner.post(f"{PURGE}/pause")
    assert (await owner.post(f"{PURGE}/run")).json()["created"] is True


async def test_a_schedule_whose_code_is_gone_can_be_seen_and_removed_and_nothing_else(
    owner: AsyncClient, orphan: str, lead: Lead, admin: asyncpg.Connection
) -> None:
    assert await lead() == 0
    found = (await owner.get(f"{HERE}/{orphan}")).json()
    assert (found["state"], found["declared"], found["everyS"], found["upcoming"]) == ("orphaned", None, 3600, [])
    for act in ("pause", "resume", "run", "reset"):
        assert (await owner.post(f"{HERE}/{orphan}/{act}")).json()["code"] == "orphaned"
    assert (await owner.patch(f"{HERE}/{orphan}", json={"everyS": 60})).json()["code"] == "orphaned"
    assert (await owner.delete(f"{HERE}/{orphan}")).status_code == 204
    assert (await owner.get(f"{HERE}/{orphan}")).json()["code"] == "unknown_schedule"
    assert (await admin.fetchrow("SELECT before FROM audit_log WHERE action = 'owner.schedule.remove'"))["before"]


async def test_a_declared_schedule_cannot_be_removed(owner: AsyncClient) -> None:
    answer = await owner.delete(PURGE)
    assert (answer.status_code, answer.json()["code"]) == (409, "declared")


async def test_an_unknown_schedule_is_a_404_everywhere(owner: AsyncClient) -> None:
    for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/run"), ("POST", "/pause")):
        answer = await owner.request(method, f"{HERE}/nothing{path}", json={} if method == "PATCH" else None)
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_schedule"), (method, path)
