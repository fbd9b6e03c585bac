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


@pytest.mark.promise("S4-53", "S4-58", "S4-70")
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
    assert 'data-dialog-open="resume-ai-content"' in paused.text
    for page in ("", "/ai:content/jobs", "/ai:content/dlq"):
        shown = (await owner.get(f"{PAGES}{page}")).text
        assert "Paused by" in shown or not page
        assert 'data-dialog-open="resume-ai-content"' in shown and 'id="resume-ai-content"' in shown
        assert f'hx-post="{PAGES}/ai:content/resume"' in shown
    again = await owner.post(f"{PAGES}/ai:content/pause", data=form, headers=HTMX)
    assert (again.status_code, again.headers["hx-retarget"]) == (409, "#toasts")
    assert "paused already" in again.text
    form["reason"] = "It answers again"
    resumed = await owner.post(f"{PAGES}/ai:content/resume", data=form, headers=HTMX)
    assert toast(resumed) == "ai:content goes on"
    assert "Provider" not in resumed.text
    rows = await admin.fetch(
        "SELECT action, reason FROM audit_log WHERE outcome = 'success' AND resource_type = 'queue' ORDER BY id"
    )
    assert [tuple(row) for row in rows] == [
        ("owner.queue.pause", "Provider <down>"),
        ("owner.queue.resume", "It answers again"),
    ]


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
    assert f'hx-post="{here}/retry"' not in removed.text
    way_back = json.loads(removed.headers["hx-trigger"])["toast"]["undo"]
    assert way_back == {"url": f"{here}/restore", "target": "#job", "values": {}}
    assert f'hx-post="{here}/restore"' in removed.text
    assert 'data-state="waiting"' in (await owner.post(way_back["url"], headers=HTMX)).text
    assert (await owner.post(way_back["url"], headers=HTMX)).status_code == 409
    assert (await owner.post(f"{here}/remove", headers=HTMX)).status_code == 200
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


async def test_ticked_letters_and_all_of_one_cause_are_replayed_and_removed(
    owner: AsyncClient, dead_job: DeadJob, admin: asyncpg.Connection
) -> None:
    jobs = [await dead_job(message) for message in ("host 1 is away", "host 2 is away", "host 3 is away", "odd")]
    here = f"{PAGES}/ai:content/dlq"
    cause = await admin.fetchval("SELECT error_fingerprint FROM job WHERE id = $1", jobs[0])
    page = (await owner.get(here)).text
    assert f'href="{here}?fingerprint={cause}"' in page
    assert "3 alike" in page
    some = (await owner.get(here, params={"fingerprint": cause})).text
    assert str(jobs[0]) in some
    assert str(jobs[3]) not in some
    nothing = await owner.post(f"{here}/replay", data={"list": "letters"}, headers=HTMX)
    assert (nothing.status_code, "tick at least one" in nothing.text) == (422, True)
    ticked = {"list": "letters", "ids": [str(jobs[0]), str(jobs[3])]}
    removed = await owner.post(f"{here}/remove", data=ticked, headers=HTMX)
    assert toast(removed) == "2 dead letters removed"
    replayed = await owner.post(f"{here}/replay", data={"list": "letters", "cause": cause}, headers=HTMX)
    assert toast(replayed) == "2 dead letters replayed"
    assert "No dead letters" in replayed.text
    runs = {row["id"]: row["run"] for row in await admin.fetch("SELECT id, run FROM job")}
    assert runs == {jobs[0]: 0, jobs[1]: 1, jobs[2]: 1, jobs[3]: 0}


async def test_a_letter_is_edited_on_a_page_of_its_own(owner: AsyncClient, dead_job: DeadJob) -> None:
    job_id = await dead_job()
    here = f"{PAGES}/ai:content/dlq/{job_id}/edit"
    assert f'href="{here}"' in (await owner.get(f"{PAGES}/ai:content/jobs/{job_id}")).text
    page = (await owner.get(here)).text
    assert "the provider cannot be reached" in page
    assert "k-123" not in page
    for wrong in ("[1]", "{", ""):
        refused = await owner.post(here, data={"payload": wrong}, headers=HTMX)
        assert (refused.status_code, 'data-field="payload"' in refused.text) == (422, True)


async def test_the_page_of_a_job_shows_its_progress_its_family_and_cancels_it(
    owner: AsyncClient, make_job: MakeJob
) -> None:
    parent = await make_job(State.WAITING_CHILDREN, children=2)
    active = await make_job(State.ACTIVE, parent_id=parent, progress=40, progress_note="page 4 <of> 10", required=False)
    waiting = await make_job(State.QUEUED, parent_id=parent)
    here = f"{PAGES}/ai:content/jobs"
    page = (await owner.get(f"{here}/{parent}")).text
    for text in (f'href="{here}/{active}"', f'href="{here}/{waiting}"', "40 %", "optional"):
        assert text in page, text
    listed = (await owner.get(here, params={"state": "active"})).text
    for shown in (listed, (await owner.get(f"{here}/{active}", headers=HTMX)).text):
        assert '<progress max="100" value="40"' in shown
        assert "page 4 &lt;of&gt; 10" in shown
    assert f'href="{here}/{parent}"' in (await owner.get(f"{here}/{active}", headers=HTMX)).text
    cancelled = await owner.post(f"{here}/{parent}/cancel", headers=HTMX)
    assert toast(cancelled) == "The job is cancelled"
    assert 'data-state="cancelled"' in (await owner.get(f"{here}/{waiting}", headers=HTMX)).text
    stopping = (await owner.get(f"{here}/{active}", headers=HTMX)).text
    assert "Somebody wants this job to stop" in stopping
    assert "/cancel" not in stopping
