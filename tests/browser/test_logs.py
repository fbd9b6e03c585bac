"""The owner looks for what was done, keeps the question, sees who else looked, and takes the answer along as a file."""

import asyncio
import json
import re
from pathlib import Path

import pytest
from playwright.async_api import Route, expect

from tests.browser.addresses import UUID
from tests.browser.conftest import OpenWindow
from tests.browser.furnished import Furnished

pytestmark = pytest.mark.browser

HOME = "/dashboard/owner"


@pytest.mark.promise("S4-50", "S4-55", "S4-56", "S4-57")
async def test_the_audit_log_is_searched_kept_and_exported(
    furnished: Furnished, open_window: OpenWindow, tmp_path: Path
) -> None:
    page = (await open_window(furnished.address, session=furnished.owner.cookie)).page
    await page.goto(f"{HOME}/logs/audit")
    answered, waits = asyncio.Event(), page.locator(".filters .loading")

    async def hold(route: Route) -> None:
        await answered.wait()
        await route.continue_()

    asked = re.compile(r"action=owner\.tenant\.create")
    await page.route(asked, hold)
    await expect(waits).to_be_hidden()
    await page.get_by_label("Any action").select_option("owner.tenant.create")
    await expect(waits).to_be_visible()
    answered.set()
    await expect(waits).to_be_hidden()
    await page.unroute(asked)
    await expect(page).to_have_url(re.compile(r"action=owner\.tenant\.create"))
    await page.get_by_role("button", name="Save this view").click()
    await page.get_by_label("Name", exact=True).fill("New tenants")
    await page.get_by_role("button", name="Save", exact=True).click()
    await expect(page.get_by_role("link", name="New tenants")).to_have_attribute(
        "href", f"{HOME}/logs/audit?action=owner.tenant.create"
    )

    await page.get_by_role("region", name="Audit log").locator("tbody").get_by_role("link").first.click()
    drawer = page.get_by_role("dialog")
    await expect(drawer.get_by_role("heading", name="What changed")).to_be_visible()
    await expect(drawer.locator("section", has_text="Who saw this")).to_contain_text("owner@example.org")
    await page.keyboard.press("Escape")
    await expect(page.locator("#seals")).to_contain_text(re.compile(r"lines in \d+ block"))

    await page.get_by_role("button", name="Export", exact=True).click()
    await page.get_by_label("NDJSON").check()
    await page.get_by_role("dialog").get_by_role("button", name="Export").click()
    await expect(page).to_have_url(re.compile(r"/exports$"))
    await expect(page.locator(".menu [aria-current]")).to_be_in_viewport()  # the menu is longer than the window
    async with page.expect_download() as fetched:
        await page.get_by_role("link", name="Fetch").first.click()
    file = tmp_path / "audit.ndjson"
    await (await fetched.value).save_as(file)
    rows = [row for row in map(json.loads, file.read_text("utf-8").splitlines()) if "action" in row]
    assert {row["action"] for row in rows} == {"owner.tenant.create"}
    await page.goto(f"{HOME}/logs/access?exported=true")
    await expect(page.get_by_role("region", name="Access log")).to_contain_text("owner.read.export")


async def test_what_a_request_set_going_leads_to_its_trace(furnished: Furnished) -> None:
    for each in ("ai/tasks", "approvals", "deliveries", "emails", "imports", "workflows/instances"):
        listed = (await furnished.owner.get(f"{HOME}/{each}")).text
        row = re.search(rf'href="({HOME}/{each}/{UUID.pattern})"', listed)
        assert row is not None, each
        page = (await furnished.owner.get(row[1])).text
        assert f"{HOME}/traces/" in page, each
        assert "Harbour Press</a>" in page or each == "emails", f"{each}: the tenant has its name and is linked"
