"""How somebody comes into a tenant, and how the owner looks over that person's shoulder."""

import re

import pytest
from playwright.async_api import Page, expect

from tests.browser.conftest import NewOwner, OpenWindow
from tests.browser.furnished import Furnished

pytestmark = [pytest.mark.browser, pytest.mark.story]
EMAIL, PASSWORD = "bo@example.org", "a password of some length"
AT_HOME = "/dashboard/t/night-press"


@pytest.mark.promise("S4-3")
async def test_an_invitation_leads_in_and_the_owner_sees_what_the_member_sees(
    furnished: Furnished, new_owner: NewOwner, open_window: OpenWindow
) -> None:
    owner = (await open_window(furnished.address)).page
    await new_owner(owner, "olga@example.org")
    await make_tenant(owner)
    link = await invite(owner)

    member = (await open_window(furnished.address)).page
    await take_up(member, link)
    # The owner's list shows it without being loaded again.
    await expect(owner.get_by_role("row").filter(has_text=EMAIL)).to_contain_text("Accepted")
    await see_no_more_than_an_editor_may(member)

    await look_over_the_shoulder(owner)
    await owner.get_by_role("button", name="End", exact=True).click()
    await expect(owner).to_have_url(re.compile("/dashboard/owner/tenants/[^/]+/members$"))
    await (
        owner.get_by_role("navigation", name="Parts of Night Press").get_by_role("link", name="Impersonations").click()
    )
    await expect(owner.get_by_role("row").filter(has_text="She cannot find the drafts")).to_be_visible()


async def make_tenant(page: Page) -> None:
    await page.goto("/dashboard/owner/tenants")
    await page.locator(".page-actions").get_by_role("button", name="New tenant").click()
    await page.get_by_role("dialog").get_by_label("Name").fill("Night Press")
    await page.get_by_role("dialog").get_by_role("button", name="Create tenant").click()
    await expect(page.get_by_role("heading", name="Night Press", level=1)).to_be_visible()


async def invite(page: Page) -> str:
    """The link, as the dialog shows it once."""
    await page.get_by_role("link", name="Invitations", exact=True).click()
    await page.locator(".page-actions").get_by_role("button", name="Invite").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("E-mail").fill(EMAIL)
    await dialog.get_by_label("Role").select_option(label="Editor")
    await dialog.get_by_role("button", name="Invite", exact=True).click()
    link = await dialog.get_by_label(f"Link for {EMAIL}").input_value()
    await dialog.get_by_role("button", name="Done").click()
    await expect(page.get_by_role("row").filter(has_text=EMAIL)).to_contain_text("Pending")
    assert link not in await page.content(), "a link is shown once"
    return link


async def take_up(page: Page, link: str) -> None:
    await page.goto(link)
    await expect(page.get_by_role("heading", name="Join Night Press")).to_be_visible()
    await page.get_by_label("Your name").fill("Bo Writer")
    await page.get_by_label("Password", exact=True).fill(PASSWORD)
    await page.get_by_label("Password again").fill(PASSWORD)
    await page.get_by_role("button", name="Make account and join").click()
    await page.get_by_label("E-mail").fill(EMAIL)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page).to_have_url(re.compile(f"{AT_HOME}$"))


async def see_no_more_than_an_editor_may(page: Page) -> None:
    menu = page.get_by_role("navigation", name="Main")
    await menu.get_by_role("link", name="Articles", exact=True).click()
    await expect(page).to_have_url(re.compile(f"{AT_HOME}/articles$"))
    await expect(page.get_by_role("status").filter(has_text="Live")).to_be_visible()
    await expect(menu.get_by_role("link", name="Tasks")).to_be_visible()
    for hidden in ("Members", "Roles", "Audit log", "Queues", "Tenants"):
        await expect(menu.get_by_role("link", name=hidden, exact=True)).to_have_count(0)


async def look_over_the_shoulder(page: Page) -> None:
    await page.get_by_role("link", name="Members", exact=True).click()
    await page.get_by_role("link", name="Bo Writer").click()
    drawer = page.get_by_role("dialog")
    await drawer.get_by_label("Reason").fill("She cannot find the drafts")
    await drawer.get_by_role("button", name="Begin").click()
    await expect(page).to_have_url(re.compile(f"{AT_HOME}$"))
    banner = page.locator(".banner")
    await expect(banner).to_contain_text(f"sees this as {EMAIL}")
    await page.get_by_role("navigation", name="Main").get_by_role("link", name="Articles", exact=True).click()
    await expect(banner).to_contain_text("to read only")
