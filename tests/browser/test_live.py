"""Lists keep themselves current, never under the hands of whoever is busy with them; reading needs no scripts."""

import re

import pytest
from playwright.async_api import Page, Response, expect

from tests.browser.conftest import OpenWindow
from tests.browser.furnished import Furnished
from tests.flows.tenant_app import TenantApp

pytestmark = pytest.mark.browser

HOME = "/dashboard/owner"


async def open_list(furnished: Furnished, open_window: OpenWindow, path: str) -> Page:
    page = (await open_window(furnished.address, session=furnished.owner.cookie)).page
    await page.goto(f"{HOME}{path}")
    await expect(page.get_by_role("status").filter(has_text="Live")).to_be_visible()
    return page


@pytest.mark.promise("S4-58")
async def test_the_queues_are_asked_for_every_ten_seconds(furnished: Furnished, open_window: OpenWindow) -> None:
    page = (await open_window(furnished.address, session=furnished.owner.cookie)).page
    await page.clock.install()
    async with page.expect_response(asked_for_the_queues):  # the first time, when the stream stands
        await page.goto(f"{HOME}/queues")
    await page.clock.pause_at(await page.evaluate("Date.now() + 2000"))
    for _ in range(3):
        async with page.expect_response(asked_for_the_queues):
            await page.clock.run_for(10_500)


def asked_for_the_queues(answer: Response) -> bool:
    return answer.url.endswith(f"{HOME}/queues") and answer.request.headers.get("hx-request") == "true"


async def test_a_list_holds_still_while_a_drawer_is_open(furnished: Furnished, open_window: OpenWindow) -> None:
    page = await open_list(furnished, open_window, "/articles")
    rows = page.get_by_role("region", name="Articles").get_by_role("row")
    await page.get_by_role("link", name="Draft 23").click()
    drawer = page.get_by_role("dialog")
    await expect(drawer.get_by_role("heading", name="Draft 23", level=2)).to_be_visible()
    async with TenantApp(furnished.address, furnished.token) as app:
        await app.post("# The newest of all\n\nIt came while somebody was reading.")
    await expect(page.locator("main").get_by_text("1 new")).to_be_attached()
    await expect(rows.filter(has_text="The newest of all")).to_have_count(0)
    await page.keyboard.press("Escape")
    await expect(rows.nth(1)).to_contain_text("The newest of all")
    await expect(page.get_by_text("1 new")).to_have_count(0)


async def test_the_keyboard_reaches_rows_pages_and_help(furnished: Furnished, open_window: OpenWindow) -> None:
    page = await open_list(furnished, open_window, "/ai/runs")
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await expect(page.locator("#drawer-title")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_be_hidden()
    await page.keyboard.press("?")
    await expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    await page.keyboard.press("Escape")
    await page.keyboard.press("Control+k")
    await page.keyboard.type("audit")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile(f"{HOME}/logs/audit$"))


async def test_everything_can_be_read_without_scripts(furnished: Furnished, open_window: OpenWindow) -> None:
    page = (await open_window(furnished.address, session=furnished.owner.cookie, scripts=False)).page
    await page.goto(f"{HOME}/ai/runs")
    await page.get_by_label("Any status").select_option("failed")
    await page.get_by_role("button", name="Filter").click()
    await expect(page).to_have_url(re.compile(r"/ai/runs\?.*status=failed"))
    rows = page.get_by_role("region", name="AI runs").get_by_role("row")
    await expect(rows).to_have_count(2)  # the head, and the one that had nothing to read
    await rows.last.get_by_role("link").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Only a heading")
    await page.goto(f"{HOME}/articles")
    await page.get_by_role("link", name="Next").click()
    await expect(page.get_by_role("link", name="Previous")).to_be_visible()
