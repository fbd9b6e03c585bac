"""The story's trouble: a provider that does not answer, and what an owner does about it."""

import socket
from datetime import datetime

import pytest
from playwright.async_api import Locator, Page, expect

from tests.browser.arriving import HOME
from tests.flows.tenant_app import TenantApp

CONTENT = f"{HOME}/queues/ai:content"


def provider_where_nobody_listens() -> dict[str, str]:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    base = f"http://127.0.0.1:{port}/v1"
    return {"AI_PROVIDER": "openrouter", "OPENROUTER_API_KEY": "none", "OPENROUTER_BASE_URL": base}


async def watch_two_jobs_die(page: Page, app: TenantApp, article: str) -> tuple[str, str]:
    """The addresses of the two failed tasks, the article's first."""
    await page.goto(f"{CONTENT}/dlq")
    await expect(page.get_by_role("heading", name="Dead letters of ai:content")).to_be_visible()
    await expect(page.get_by_text("No dead letters")).to_be_visible()
    other = await app.post("# About buoys\n\nA buoy marks the way into the harbour. It floats on a chain.")
    tasks = await app.ask_for_summary(article), await app.ask_for_summary(other)
    letters = letters_on(page)
    await expect(letters).to_have_count(2, timeout=30_000)
    for letter in await letters.all():
        await expect(letter).to_contain_text("127.0.0.1")
        await expect(letter).to_contain_text("3 of 3")
    for task in tasks:
        found = await app.until(task, "failed")
        assert found["error"]["message"] == "the AI provider cannot be reached"
    assert await waits(page) == [pytest.approx(2, abs=1.9), pytest.approx(4, abs=1.9)]
    return tasks


async def waits(page: Page) -> list[float]:
    """Seconds between the attempts at the newest dead letter."""
    fresh = {"Cache-Control": "no-cache"}
    listed = await page.context.request.get("/api/owner/queues/ai:content/dlq", headers=fresh)
    letter = (await listed.json())["items"][0]
    assert letter["originalQueue"] == "ai:content" and letter["attempts"] == 3
    asked = await page.context.request.get(
        f"/api/owner/queues/ai:content/jobs/{letter['originalJobId']}", headers=fresh
    )
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


async def see_it_come_due_under_the_pause(page: Page) -> None:
    """Its back-off is over, and nothing starts: it waits, in the list as in the counter."""
    await page.goto(f"{CONTENT}/jobs?state=waiting")
    await expect(page.get_by_role("row").filter(has_text="summarize_article")).to_have_count(1, timeout=30_000)
    await page.goto(f"{HOME}/queues")
    await expect(count(page, "Waiting")).to_have_text("1", timeout=30_000)


async def see_that_the_pause_held(page: Page, app: TenantApp, waiting: str) -> None:
    await page.goto(f"{HOME}/queues")
    await expect(queue(page)).to_contain_text("Paused")
    await expect(queue(page)).to_contain_text("The provider does not answer")
    await expect(count(page, "Waiting")).to_have_text("1")
    await expect(count(page, "Active")).to_have_text("0")
    assert (await app.read(waiting))["status"] == "queued"


async def resume(page: Page) -> None:
    await queue(page).get_by_role("button", name="Resume").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Reason").fill("It answers again")
    await dialog.get_by_role("button", name="Resume").click()
    await expect(page.get_by_text("ai:content goes on")).to_be_visible()
    await expect(queue(page)).to_contain_text("Open")
    await expect(count(page, "Waiting")).to_have_text("0")


async def replay_one_and_remove_the_other(page: Page, app: TenantApp, replayed: str, removed: str) -> None:
    await queue(page).locator("td[data-label='Dead letters'] a").click()
    letters = letters_on(page)
    await expect(letters).to_have_count(2)
    await letters.last.get_by_role("button", name="Replay").click()  # the newest comes first
    await expect(page.get_by_text("The job is back in its queue")).to_be_visible()
    await expect(letters).to_have_count(1)
    assert (await app.until(replayed, "completed"))["result"]["provider"] == "local"

    await letters.get_by_role("button", name="Remove").click()
    await expect(page.get_by_text("No dead letters")).to_be_visible()
    await page.get_by_role("button", name="Undo").click()
    await expect(letters).to_have_count(1)
    await letters.get_by_role("button", name="Remove").click()
    await expect(page.get_by_text("No dead letters")).to_be_visible()
    assert (await app.read(removed))["status"] == "failed"
    await page.get_by_role("link", name="Removed").click()
    await expect(page.get_by_role("row").filter(has_text="summarize_article")).to_have_count(1)


def letters_on(page: Page) -> Locator:
    listed = page.get_by_role("region", name="Dead letters").get_by_role("row")
    return listed.filter(has_text="summarize_article")


def queue(page: Page) -> Locator:
    return page.get_by_role("row").filter(has=page.get_by_role("link", name="ai:content", exact=True))


def count(page: Page, label: str) -> Locator:
    return queue(page).locator(f"td[data-label='{label}']")
