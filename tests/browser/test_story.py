"""The main job, as a person does it: from the link in the terminal to the last line of the audit log."""

import os
from collections.abc import Iterator

import pytest
from playwright.async_api import Page, expect

from tests.browser.arriving import HOME, become_owner, make_tenant_workspace_and_token, menu, sign_out_and_in_again
from tests.browser.conftest import OpenWindow
from tests.browser.failing import (
    count,
    pause_while_a_third_one_is_retried,
    provider_where_nobody_listens,
    replay_one_and_remove_the_other,
    resume,
    see_it_come_due_under_the_pause,
    see_that_the_pause_held,
    watch_two_jobs_die,
)
from tests.flows.owner_app import EMAIL
from tests.flows.running import ROOT, Running
from tests.flows.tenant_app import TenantApp

pytestmark = [pytest.mark.browser, pytest.mark.story]

PICTURES = ROOT / "docs" / "pictures"


@pytest.fixture
def teknav(chromium: str) -> Iterator[Running]:
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
            "article.create", "article.publish", "ai.task.start", "ai.task.complete",
        )  # fmt: skip

        await page.goto("about:blank")
        teknav.restart(**provider_where_nobody_listens())
        replayed, removed = await watch_two_jobs_die(page, app, article)
        waiting = await pause_while_a_third_one_is_retried(page, app)
        await take_pictures(page, "queues", f"{HOME}/queues")
        await see_it_come_due_under_the_pause(page)

        await page.goto("about:blank")
        teknav.restart()
        await see_that_the_pause_held(page, app, waiting)
        await resume(page)
        await app.until(waiting, "completed")
        await replay_one_and_remove_the_other(page, app, replayed, removed)
    await see_in_the_audit_log(
        page, "owner.queue.pause", "owner.queue.resume", "owner.dlq.replay", "owner.dlq.remove",
        told="The provider does not answer",
    )  # fmt: skip
    await take_pictures(page, "runs", f"{HOME}/ai/runs")
    await take_pictures(page, "overview", HOME)


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


async def see_in_the_audit_log(page: Page, *actions: str, told: str = EMAIL) -> None:
    """All of them are listed; the drawer of the first one tells."""
    await page.goto(HOME)
    await menu(page, "Audit log")
    rows = page.get_by_role("region", name="Audit log").get_by_role("row")
    for action in actions:
        await expect(rows.filter(has=page.get_by_role("link", name=action, exact=True)).first).to_be_visible()
    await page.get_by_role("link", name=actions[0], exact=True).first.click()
    drawer = page.get_by_role("dialog")
    await expect(drawer.get_by_role("heading", name=actions[0])).to_be_visible()
    await expect(drawer).to_contain_text(told)
    await page.keyboard.press("Escape")


async def take_pictures(page: Page, name: str, address: str) -> None:
    """For the README, with TEKNAV_PICTURES=1."""
    if os.environ.get("TEKNAV_PICTURES") != "1":
        return
    for theme in ("light", "dark"):
        await page.emulate_media(color_scheme=theme)
        await page.goto(address)
        await expect(page.get_by_role("status").filter(has_text="Live")).to_be_visible()
        picture = await page.screenshot(path=PICTURES / f"{name}-{theme}.png")
        assert len(picture) < 200_000
    await page.emulate_media(color_scheme="light")
