"""The owner's pages of queues, and the buttons on them."""

import json
from collections.abc import Awaitable, Callable
from uuid import UUID

import asyncpg
import pytest
from httpx2 import AsyncClient, Response

from app.core.ids import new_id
from app.queues.models import State
from tests.modules.queues.conftest import MakeJob

DeadJob = Callable[..., Awaitable[UUID]]
PAGES = "/dashboard/owner/queues"
HTMX = {"HX-Request": "true"}


def toast(answer: Response) -> str:
    message: str = json.loads(answer.headers["hx-trigger"])["toast"]["message"]
    return message


@pytest.mark.promise("S4-53", "S4-58")
async def test_the_overview_shows_every_queue_and_keeps_itself_current(
    owner: AsyncClient, make_job: MakeJob, admin: asyncpg.Connection
) -> None:
    await make_job(State.DEAD)
    await admin.execute(
        "INSERT INTO worker (id, host, pid, version, queues, jobs) VALUES ($1, 'press-1', 77, '0.1.0', $2, 3)",
        new_id(),
        '["ai:content"]',
    )
    page = (await owner.get(PAGES)).text
    for name in ("ai:content", "ai:seo", "workflow:runtime", "plugin:webhooks", "analytics:process", "email:outbound"):
        assert f'data-queue="{name}"' in page
        assert f'href="{PAGES}/{name}/jobs"' in page
        assert f'href="{PAGES}/{name}/dlq"' in page
    assert "press-1" in page
    assert 'data-live="queues"' in page
    assert 'data-refresh="10"' in page
    part = await owner.get(PAGES, headers=HTMX)
    assert part.text.lstrip().startswith("<div")
    assert "<dialog" not in part.text


@pytest.mark.promise("S4-53", "S4-59")
async def test_pause_and_resume_by_button_answer_with_the_table(owner: AsyncClient, admin: asyncpg.Connection) -> None:
    form = {"reason": "Provider <down>", "_csrf_token": owner.headers["X-CSRF-Token"]}
    paused = await owner.post(f"{PAGES}/ai:content/pause", data=form, headers=HTMX)
    assert paused.status_code == 200
    assert toast(paused) == "ai:content is paused"
    assert "Provider &lt;down&gt;" in paused.text
    assert f'hx-post="{PAGES}/ai:content/resume"' in paused.text
    assert "Paused by" in (await owner.get(f"{PAGES}/ai:content/jobs")).text
    assert "Paused by" in (await owner.get(f"{PAGES}/ai:content/dlq")).text
    again = await owner.post(f"{PAGES}/ai:content/pause", data=form, headers=HTMX)
    assert (again.status_code, again.headers["hx-retarget"]) == (409, "#toasts")
    assert "paused already" in again.text
    resumed = await owner.post(f"{PAGES}/ai:content/resume", headers=HTMX)
    assert toast(resumed) == "ai:content goes on"
    assert "Provider" not in resumed.text
    rows = await admin.fetch(
        "SELECT action FROM audit_log WHERE outcome = 'success' AND resource_type = 'queue' ORDER BY id"
    )
    assert [row["action"] for row in rows] == ["owner.queue.pause", "owner.queue.resume"]


async def test_a_form_works_by_its_hidden_field_and_not_without_a_token(owner: AsyncClient) -> None:
    token = owner.headers.pop("X-CSRF-Token")
    refused = await owner.post(f"{PAGES}/ai:content/pause", data={"reason": ""}, headers=HTMX)
    assert (refused.status_code, refused.headers["hx-retarget"]) == (403, "#toasts")
    done = await owner.post(f"{PAGES}/ai:content/pause", data={"reason": "", "_csrf_token": token}, headers=HTMX)
    assert done.status_code == 200


@pytest.mark.promise("S4-54", "S4-56")
async def test_jobs_stand_in_tabs_and_open_in_a_drawer(
    owner: AsyncClient, make_job: MakeJob, dead_job: DeadJob
) -> None:
    waiting, retrying = await make_job(State.QUEUED), await make_job(State.RETRYING, later=True)
    page = (await owner.get(f"{PAGES}/ai:content/jobs")).text
    assert str(waiting) in page
    assert str(retrying) not in page
    delayed = (await owner.get(f"{PAGES}/ai:content/jobs", params={"state": "delayed"}, headers=HTMX)).text
    assert str(retrying) in delayed
    assert 'data-state="retrying"' in delayed
    assert "data-drawer" in delayed
    for state in ("waiting", "delayed", "active", "completed", "cancelled", "removed"):
        assert (await owner.get(f"{PAGES}/ai:content/jobs", params={"state": state})).status_code == 200
    assert "Nothing in this queue is active" in (await owner.get(f"{PAGES}/ai:content/jobs?state=active")).text
    dead = await dead_job("a <wrong> answer")
    here = f"{PAGES}/ai:content/jobs/{dead}"
    for params, headers, shape in (({}, {}, "<html"), ({}, HTMX, "drawer-title"), ({"part": "true"}, HTMX, 'id="job"')):
        shown = await owner.get(here, params=params, headers=headers)
        assert shown.status_code == 200
        for text in (shape, "a &lt;wrong&gt; answer", "Attempt 3", "try 2", "raise ConnectionError", "apiKey"):
            assert text in shown.text, text
        assert "k-123" not in shown.text


@pytest.mark.promise("S4-54", "S4-59")
async def test_replay_and_remove_by_button_answer_with_the_list(
    owner: AsyncClient, dead_job: DeadJob, admin: asyncpg.Connection
) -> None:
    first, second = await dead_job("host 1 is away"), await dead_job("host 2 is away")
    page = (await owner.get(f"{PAGES}/ai:content/dlq")).text
    assert "2 alike" in page
    form = {"list": "letters", "cursor": ""}
    replayed = await owner.post(f"{PAGES}/ai:content/dlq/{first}/replay", data=form, headers=HTMX)
    assert toast(replayed) == "The job is back in its queue"
    assert 'id="letters"' in replayed.text
    assert str(first) not in replayed.text
    assert str(second) in replayed.text
    again = await owner.post(f"{PAGES}/ai:content/dlq/{first}/replay", data=form, headers=HTMX)
    assert (again.status_code, again.headers["hx-retarget"]) == (409, "#toasts")
    removed = await owner.post(f"{PAGES}/ai:content/dlq/{second}/remove", data=form, headers=HTMX)
    assert toast(removed) == "The dead letter is removed"
    assert "No dead letters" in removed.text
    states = await admin.fetch("SELECT state FROM job ORDER BY id")
    assert states[0]["state"] in ("pending", "queued")
    assert states[1]["state"] == "removed"


@pytest.mark.promise("S4-54", "S4-59")
async def test_retry_and_remove_in_the_drawer_answer_with_the_job(owner: AsyncClient, make_job: MakeJob) -> None:
    delayed = await make_job(State.QUEUED, later=True)
    here = f"{PAGES}/ai:content/jobs/{delayed}"
    assert f'hx-post="{here}/retry"' in (await owner.get(here, headers=HTMX)).text
    retried = await owner.post(f"{here}/retry", headers=HTMX)
    assert 'data-state="waiting"' in retried.text
    assert 'id="job"' in retried.text
    removed = await owner.post(f"{here}/remove", headers=HTMX)
    assert 'data-state="removed"' in removed.text
    assert "hx-post" not in removed.text
    assert (await owner.post(f"{here}/remove", headers=HTMX)).status_code == 409


async def test_what_is_not_there_is_a_page_that_says_so(owner: AsyncClient) -> None:
    for path in ("ai:nothing/jobs", "ai:nothing/dlq", f"ai:content/jobs/{new_id()}"):
        page = await owner.get(f"{PAGES}/{path}")
        assert page.status_code == 404
        assert "<html" in page.text
    for path in ("ai:content/jobs?state=odd", "ai:content/jobs?cursor=odd", "ai:content/dlq?cursor=odd"):
        assert (await owner.get(f"{PAGES}/{path}")).status_code in (400, 422)


async def test_the_overviews_card_counts_jobs_and_names_what_is_paused(owner: AsyncClient, make_job: MakeJob) -> None:
    await make_job(State.DEAD)
    await owner.post("/api/owner/queues/ai:seo/pause", json={"reason": "Maintenance"})
    page = (await owner.get("/dashboard/owner")).text
    assert f'href="{PAGES}/ai:content/dlq"' in page
    assert "1 dead letter<" in page
    assert "Maintenance" in page
