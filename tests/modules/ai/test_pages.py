"""The owner's pages of AI."""

from collections.abc import Awaitable, Callable

import pytest
from httpx2 import AsyncClient

from app.core.database import Database
from app.core.ids import new_id
from app.modules.ai.processor import untitled
from app.modules.runs.models import AiEventLog, AiRun
from app.queues.inline import drain as drain_with
from tests.conftest import Made
from tests.modules.ai import stage
from tests.modules.ai.openai_server import OpenAIServer

TenantClient = Callable[..., Awaitable[AsyncClient]]
Drain = Callable[..., Awaitable[int]]
HTMX = {"HX-Request": "true"}
RUNS, TASKS = "/dashboard/owner/ai/runs", "/dashboard/owner/ai/tasks"
EVENTS = "/dashboard/owner/ai/event-logs"


async def page(client: AsyncClient, address: str, **headers: str) -> str:
    answer = await client.get(address, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.text


@pytest.mark.promise("S4-51")
async def test_runs_show_article_tenant_state_and_provider_and_keep_themselves_current(
    owner: AsyncClient, tenant_client: TenantClient, drain: Drain, tenant: Made, database: Database
) -> None:
    empty = await page(owner, RUNS)
    assert "No AI runs yet" in empty
    client = await tenant_client()
    await stage.ask(client, await stage.article(client))
    await drain()
    whole = await page(owner, RUNS)
    assert "<html" in whole
    for expected in (
        stage.TITLE,
        tenant.name,
        "extractive-1",
        'data-state="completed"',
        'data-live="ai.runs"',
        ">Summarize article<",
    ):
        assert expected in whole
    fragment = await page(owner, f"{RUNS}?status=completed", **HTMX)
    assert "<html" not in fragment
    assert stage.TITLE in fragment
    assert f'hx-get="{RUNS}?status=completed"' in fragment
    assert "No run fits" in await page(owner, f"{RUNS}?status=failed", **HTMX)
    (run,) = await stage.rows(database, AiRun)
    assert f'href="{RUNS}/{run.id}"' in whole


async def test_a_runs_drawer_shows_messages_events_and_json(
    owner: AsyncClient, tenant_client: TenantClient, drain: Drain, database: Database
) -> None:
    client = await tenant_client()
    await stage.ask(client, await stage.article(client))
    await drain()
    (run,) = await stage.rows(database, AiRun)
    drawer = await page(owner, f"{RUNS}/{run.id}", **HTMX)
    assert 'id="drawer-title"' in drawer
    for expected in ("run.started", "provider.answered", "run.completed", "assistant", "taskId"):
        assert expected in drawer
    assert "Volunteers counted the trout" in drawer, "the text that was sent"
    part = await page(owner, f"{RUNS}/{run.id}?part=true", **HTMX)
    assert "drawer-title" not in part
    assert 'data-live="ai.runs"' in part
    assert "<html" in await page(owner, f"{RUNS}/{run.id}")
    assert (await owner.get(f"{RUNS}/{new_id()}")).status_code == 404


async def test_a_failed_task_shows_why_with_its_runs_and_its_job(
    owner: AsyncClient, tenant_client: TenantClient, database: Database
) -> None:
    client = await tenant_client()
    task = await stage.ask(client, await stage.article(client))
    async with OpenAIServer(behaviour="402") as server:
        await drain_with(database, stage.worker(database, server.url))
    listed = await page(owner, f"{TASKS}?status=failed")
    assert "the AI provider could not do this" in listed, "as the tenant reads it"
    drawer = await page(owner, f"{TASKS}/{task['id']}", **HTMX)
    job_id = await stage.job_id_of(database, task["id"])
    (run,) = await stage.rows(database, AiRun)
    for expected in (
        "no_credit",
        f"queues/ai:content/jobs/{job_id}",
        f"{RUNS}/{run.id}",
        f"articles/{task['articleId']}",
    ):
        assert expected in drawer
    shown = await page(owner, f"{RUNS}/{run.id}")
    assert "no_credit" in shown and "has no credit left" in shown


async def test_what_tenants_and_models_wrote_is_escaped(
    owner: AsyncClient, tenant_client: TenantClient, drain: Drain, database: Database
) -> None:
    client = await tenant_client()
    sly = "<script>alert(1)</script>"
    task = await stage.ask(client, await stage.article(client, sly, stage.BODY.replace("weir", sly)))
    await drain()
    (run,) = await stage.rows(database, AiRun)
    for address in (RUNS, TASKS, f"{RUNS}/{run.id}", f"{TASKS}/{task['id']}", "/dashboard/owner"):
        assert "<script>alert" not in await page(owner, address)


async def test_a_filter_that_makes_no_sense_is_named(owner: AsyncClient) -> None:
    answer = await owner.get(f"{RUNS}?status=sleeping")
    assert answer.status_code == 422
    assert "must be one of running, completed, failed" in answer.text


async def test_the_pages_are_not_for_strangers(client: AsyncClient, tenant_client: TenantClient) -> None:
    assert (await client.get(RUNS)).status_code in (302, 303, 307)
    assert (await (await tenant_client()).get(RUNS)).status_code == 403


async def test_jobs_runs_and_articles_lead_to_one_another(
    owner: AsyncClient, tenant_client: TenantClient, drain: Drain, tenant: Made, database: Database
) -> None:
    client = await tenant_client()
    article = await stage.article(client, body="# Only a heading")  # nothing to read: its job dies at once
    task = await stage.ask(client, article)
    await drain()
    letters = await page(owner, "/dashboard/owner/queues/ai:content/dlq")
    assert f'<a href="{TASKS}/{task["id"]}">{stage.TITLE}</a>' in letters
    (run,) = await stage.rows(database, AiRun)
    shown = await page(owner, f"{RUNS}/{run.id}")
    assert f'href="/dashboard/owner/articles/{article}"' in shown
    assert f'href="/dashboard/owner/tenants/{tenant.id}"' in shown
    of_article = f"{TASKS}?articleId={article}"
    assert f'href="{of_article}"' in await page(owner, f"/dashboard/owner/articles/{article}")
    assert "Only tasks of one article are shown" in await page(owner, of_article)


def test_a_heading_that_repeats_the_title_is_not_sent_twice() -> None:
    assert untitled("Tides", "\n# Tides\n\nTwice a day.") == "Twice a day."
    assert untitled("Tides", "# Moons\n\nOnce a month.") == "# Moons\n\nOnce a month."
    assert untitled("Tides", "Tides\n\nTwice a day.") == "Tides\n\nTwice a day."


@pytest.mark.promise("S4-51", "S4-56")
async def test_the_event_log_is_filtered_and_an_entry_opens(
    owner: AsyncClient, tenant_client: TenantClient, drain: Drain, database: Database, tenant: Made
) -> None:
    assert "No events yet" in await page(owner, EVENTS)
    client = await tenant_client()
    await stage.ask(client, await stage.article(client))
    await stage.start(client, "quality_check", await stage.article(client, "Another", "# Bare"))
    await drain()
    listed = await page(owner, f"{EVENTS}?type=run.completed&tenantId={tenant.id}&from=2020-01-01&to=2999-01-01")
    assert listed.count("run.completed") > 1 and "provider.answered</a>" not in listed
    assert "No event fits" in await page(owner, f"{EVENTS}?level=error", **HTMX)
    assert "No event fits" in await page(owner, f"{EVENTS}?to=2020-01-01", **HTMX)
    event = next(row for row in await stage.rows(database, AiEventLog) if row.type == "provider.answered")
    drawer = await page(owner, f"{EVENTS}/{event.id}", **HTMX)
    for expected in ("drawer-title", "finishReason", f"{RUNS}/{event.run_id}"):
        assert expected in drawer
    assert (await owner.get(f"{EVENTS}/{new_id()}")).status_code == 404
    assert (await owner.get(f"{EVENTS}?from=tomorrow")).status_code == 422
    reports = await page(owner, "/dashboard/owner/ai/reports?kind=quality")
    assert ">Quality</span>" in reports and ">quality</span>" not in reports, "kinds have names"
    assert "Another" in reports
    (report,) = (await owner.get("/api/owner/reports")).json()["items"]
    shown = await page(owner, f"/dashboard/owner/ai/reports/{report['id']}", **HTMX)
    assert "There is no text" in shown and f"{report['score']} of 100" in shown
    assert "No report fits" in await page(owner, "/dashboard/owner/ai/reports?kind=seo", **HTMX)
