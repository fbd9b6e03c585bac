"""The main job, as a person does it: from the link in the terminal to the last line of the audit log."""

import os
import re
import socket
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser.conftest import OpenWindow
from tests.flows.running import ROOT, Running
from tests.flows.tenant_app import SCOPES, TenantApp

pytestmark = [pytest.mark.browser, pytest.mark.story]

HOME = "/dashboard/owner"
CONTENT = f"{HOME}/queues/ai:content"
EMAIL, PASSWORD = "owner@example.org", "eleven plus one"
PICTURES = ROOT / "docs" / "pictures"


@pytest.fixture
def teknav() -> Iterator[Running]:
    with Running() as running:
        yield running


@pytest.mark.promise("S4-46", "S4-53", "S4-54", "S4-57", "S4-59", "S4-60")
async def test_an_owner_follows_a_summary_through_success_failure_and_repair(
    teknav: Running, open_window: OpenWindow
) -> None:
    page = (await open_window(teknav.address)).page
    await become_owner(page, teknav.owner_link)
    await sign_out_and_in_again(page)
    token = await make_tenant_workspace_and_token(page)
    async with TenantApp(teknav.address, token) as app:
        article = await watch_a_summary_being_written(page, app)
        await see_in_the_audit_log(
            page, "owner.tenant.create", "owner.workspace.create", "owner.token.create",
            "article.create", "article.publish", "ai.summary.request", "ai.summary.complete",
        )  # fmt: skip

        await page.goto("about:blank")
        teknav.restart(**provider_where_nobody_listens())
        replayed, removed = await watch_two_jobs_die(page, app, article)
        waiting = await pause_while_a_third_one_is_retried(page, app)
        await take_pictures(page, "queues", f"{HOME}/queues")
        await retry_under_the_pause(page)

        await page.goto("about:blank")
        teknav.restart()
        await see_that_the_pause_held(page, app, waiting)
        await resume(page)
        await app.until(waiting, "completed")
        await replay_one_and_remove_the_other(page, app, replayed, removed)
    await see_in_the_audit_log(
        page, "owner.queue.pause", "owner.job.retry", "owner.queue.resume", "owner.dlq.replay", "owner.dlq.remove"
    )
    await take_pictures(page, "runs", f"{HOME}/ai/runs")
    await take_pictures(page, "overview", HOME)


async def become_owner(page: Page, link: str) -> None:
    await page.goto(link)
    await page.get_by_label("E-mail").fill(EMAIL)
    await page.get_by_label("Password", exact=True).fill(PASSWORD)
    await page.get_by_label("Password again").fill(PASSWORD)
    await page.get_by_role("button", name="Create the account").click()
    await expect(page).to_have_url(re.compile(f"{HOME}$"))
    await expect(page.get_by_role("heading", name="Overview")).to_be_visible()


async def sign_out_and_in_again(page: Page) -> None:
    await page.get_by_role("button", name="Sign out").click()
    await page.get_by_label("E-mail").fill(EMAIL)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page).to_have_url(re.compile(f"{HOME}$"))


async def make_tenant_workspace_and_token(page: Page) -> str:
    """The token's secret, as its page showed it."""
    await menu(page, "Tenants")
    await expect(page.get_by_text("No tenants yet")).to_be_visible()
    await page.locator(".page-actions").get_by_role("button", name="New tenant").click()
    await page.get_by_role("dialog").get_by_label("Name").fill("Harbour Press")
    await page.get_by_role("dialog").get_by_role("button", name="Create tenant").click()
    await expect(page.get_by_role("heading", name="Harbour Press", level=1)).to_be_visible()

    await page.get_by_role("button", name="New workspace").click()
    await page.get_by_role("dialog").get_by_label("Name").fill("News desk")
    await page.get_by_role("dialog").get_by_role("button", name="Create workspace").click()
    await expect(page.get_by_role("region", name="Workspaces").get_by_text("News desk", exact=True)).to_be_visible()
    await expect(page.get_by_role("dialog")).to_be_hidden()

    await page.get_by_role("link", name="Tokens", exact=True).click()
    await page.locator(".page-actions").get_by_role("button", name="New token").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Name").fill("Website")
    for scope in SCOPES:
        await dialog.get_by_role("checkbox", name=scope).check()
    await dialog.get_by_role("button", name="Create token").click()
    secret = await dialog.get_by_label("Token Website").input_value()
    assert len(secret) > 30
    await dialog.get_by_role("link", name="Done").click()
    await expect(page.get_by_role("link", name="Website")).to_be_visible()
    assert secret not in await page.content(), "a token is shown once"
    return secret


async def watch_a_summary_being_written(page: Page, app: TenantApp) -> str:
    """The address of the article. The pages are opened before anything happens, and never loaded again."""
    queues = await page.context.new_page()
    await queues.goto(f"{HOME}/queues")
    await expect(count(queues, "Completed")).to_have_text("0")
    await menu(page, "Runs")
    await expect(page.get_by_text("No AI runs yet")).to_be_visible()
    for each in (page, queues):
        await expect(each.get_by_role("status").filter(has_text="Live")).to_be_visible()
        await each.evaluate("window.notLoadedAgain = true")

    article = await app.post()
    await app.publish(article)
    task = await app.ask_for_summary(article)
    run = page.get_by_role("row").filter(has_text="How a tide table is made")
    await expect(run).to_contain_text("Completed")
    await expect(count(queues, "Completed")).to_have_text("1")
    for each in (page, queues):
        assert await each.evaluate("window.notLoadedAgain")
    await queues.close()

    result = (await app.until(task, "completed"))["result"]
    found = await app.read(article)
    assert found["status"] == "published"
    assert found["summary"] == result["summary"] and "tide" in result["keywords"]
    assert found["summaryProvider"] == result["provider"] == "local"
    await run.get_by_role("link").click()
    await expect(page.get_by_role("dialog").get_by_text(result["summary"][:60]).first).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_be_hidden()
    return article


def provider_where_nobody_listens() -> dict[str, str]:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    base = f"http://127.0.0.1:{port}/v1"
    return {"AI_PROVIDER": "openrouter", "OPENROUTER_API_KEY": "none", "OPENROUTER_BASE_URL": base}


async def watch_two_jobs_die(page: Page, app: TenantApp, article: str) -> tuple[str, str]:
    """The addresses of the two failed tasks, the article's first."""
    await page.goto(f"{CONTENT}/dlq")
    await expect(page.get_by_role("heading", name="dlq:ai:content")).to_be_visible()
    await expect(page.get_by_text("No dead letters")).to_be_visible()
    other = await app.post("# About buoys\n\nA buoy marks the way into the harbour. It floats on a chain.")
    tasks = await app.ask_for_summary(article), await app.ask_for_summary(other)
    letters = page.get_by_role("row").filter(has_text="summarize_article")
    await expect(letters).to_have_count(2, timeout=30_000)
    for letter in await letters.all():
        await expect(letter).to_contain_text("127.0.0.1")
        await expect(letter).to_contain_text("3 of 3")
    for task in tasks:
        found = await app.until(task, "failed")
        assert "127.0.0.1" in found["error"]["message"]
    assert await waits(page) == [pytest.approx(2, abs=1.9), pytest.approx(4, abs=1.9)]
    return tasks


async def waits(page: Page) -> list[float]:
    """Seconds between the attempts at the newest dead letter."""
    listed = await page.context.request.get("/api/owner/queues/ai:content/dlq")
    letter = (await listed.json())["items"][0]
    assert letter["originalQueue"] == "ai:content" and letter["attempts"] == 3
    asked = await page.context.request.get(f"/api/owner/queues/ai:content/jobs/{letter['originalJobId']}")
    attempts = sorted((await asked.json())["attempts"], key=lambda attempt: attempt["n"])
    started = [datetime.fromisoformat(attempt["startedAt"]) for attempt in attempts]
    ended = [datetime.fromisoformat(attempt["endedAt"]) for attempt in attempts]
    return [(after - before).total_seconds() for before, after in zip(ended, started[1:], strict=False)]


async def pause_while_a_third_one_is_retried(page: Page, app: TenantApp) -> str:
    """The address of a task whose job waits for its next attempt, and will not get it."""
    article = await app.post("# About piers\n\nA pier carries people over the water. It stands on piles.")
    await page.goto(f"{HOME}/queues")
    task = await app.ask_for_summary(article)
    await expect(count(page, "Delayed")).to_have_text("1")
    await queue(page).get_by_role("button", name="Pause").click()
    await page.get_by_role("dialog").get_by_label("Reason").fill("The provider does not answer")
    await page.get_by_role("dialog").get_by_role("button", name="Pause").click()
    await expect(queue(page)).to_contain_text("The provider does not answer")
    await expect(queue(page)).to_contain_text("Paused")
    await expect(page.get_by_text("ai:content is paused")).to_be_visible()
    return task


async def retry_under_the_pause(page: Page) -> None:
    await page.goto(f"{CONTENT}/jobs?state=delayed")
    await page.get_by_role("row").filter(has_text="summarize_article").get_by_role("link").click()
    drawer = page.get_by_role("dialog")
    await drawer.get_by_role("button", name="Retry").click()
    await page.get_by_role("dialog").last.get_by_role("button", name="Run").click()
    await expect(page.get_by_text("The job is back in its queue")).to_be_visible()


async def see_that_the_pause_held(page: Page, app: TenantApp, waiting: str) -> None:
    await page.goto(f"{HOME}/queues")
    await expect(queue(page)).to_contain_text("Paused")
    await expect(queue(page)).to_contain_text("The provider does not answer")
    await expect(count(page, "Waiting")).to_have_text("1")
    await expect(count(page, "Active")).to_have_text("0")
    assert (await app.read(waiting))["status"] == "queued"


async def resume(page: Page) -> None:
    await queue(page).get_by_role("button", name="Resume").click()
    await expect(page.get_by_text("ai:content goes on")).to_be_visible()
    await expect(queue(page)).to_contain_text("Open")
    await expect(count(page, "Waiting")).to_have_text("0")


async def replay_one_and_remove_the_other(page: Page, app: TenantApp, replayed: str, removed: str) -> None:
    await queue(page).locator("td[data-label='Dead letters'] a").click()
    letters = page.get_by_role("row").filter(has_text="summarize_article")
    await expect(letters).to_have_count(2)
    await letters.last.get_by_role("button", name="Replay").click()  # the newest comes first
    await expect(page.get_by_text("The job is back in its queue")).to_be_visible()
    await expect(letters).to_have_count(1)
    assert (await app.until(replayed, "completed"))["result"]["provider"] == "local"

    await letters.get_by_role("button", name="Remove").click()
    question = page.get_by_role("dialog")
    await expect(question).to_contain_text("Remove this dead letter?")
    await question.get_by_role("button", name="Cancel").click()
    await expect(letters).to_have_count(1)
    await letters.get_by_role("button", name="Remove").click()
    await question.get_by_role("button", name="Remove").click()
    await expect(page.get_by_text("No dead letters")).to_be_visible()
    assert (await app.read(removed))["status"] == "failed"
    await page.get_by_role("link", name="Removed").click()
    await expect(page.get_by_role("row").filter(has_text="summarize_article")).to_have_count(1)


async def see_in_the_audit_log(page: Page, *actions: str) -> None:
    await page.goto(HOME)
    await menu(page, "Audit log")
    rows = page.get_by_role("region", name="Audit log").get_by_role("row")
    for action in actions:
        await expect(rows.filter(has=page.get_by_role("link", name=action, exact=True)).first).to_be_visible()
    await page.get_by_role("link", name=actions[0], exact=True).first.click()
    drawer = page.get_by_role("dialog")
    await expect(drawer.get_by_role("heading", name=actions[0])).to_be_visible()
    await expect(drawer).to_contain_text(EMAIL)
    await page.keyboard.press("Escape")


async def menu(page: Page, name: str) -> None:
    link = page.get_by_role("navigation", name="Main").get_by_role("link", name=name, exact=True)
    await link.click()
    await expect(link).to_have_attribute("aria-current", "page")


def queue(page: Page) -> Locator:
    return page.get_by_role("row").filter(has=page.get_by_role("link", name="ai:content", exact=True))


def count(page: Page, label: str) -> Locator:
    return queue(page).locator(f"td[data-label='{label}']")


async def take_pictures(page: Page, name: str, address: str) -> None:
    """For the README, with TEKNAV_PICTURES=1."""
    if os.environ.get("TEKNAV_PICTURES") != "1":
        return
    for theme in ("light", "dark"):
        await page.emulate_media(color_scheme=theme)
        await page.goto(address)
        await expect(page.get_by_role("status").filter(has_text="Live")).to_be_visible()
        picture: Path = PICTURES / f"{name}-{theme}.png"
        await page.screenshot(path=picture)
        assert picture.stat().st_size < 200_000
    await page.emulate_media(color_scheme="light")
