"""A person makes the account safe: a second factor, a sign-in with it, and a confirmation before what is dangerous."""

import re

import pytest
from playwright.async_api import Page, Route, expect

from tests.browser.arriving import HOME, menu
from tests.browser.conftest import NewOwner, OpenWindow
from tests.browser.furnished import Furnished
from tests.flows.owner_app import PASSWORD
from tests.modules.identity.test_second_factor import code_of

pytestmark = [pytest.mark.browser, pytest.mark.story]
EMAIL = "grace@example.org"


@pytest.mark.promise("S4-2", "S4-48", "S4-76")
async def test_an_owner_sets_up_a_second_factor_and_bans_somebody(
    furnished: Furnished, new_owner: NewOwner, open_window: OpenWindow
) -> None:
    window = await open_window(furnished.address)
    page = window.page
    await new_owner(page, EMAIL)
    await page.get_by_role("link", name=EMAIL).click()
    await expect(page.get_by_role("heading", name="Your account", level=1)).to_be_visible()
    secret = await set_up(page)
    await sign_out_and_in_with(page, secret)
    await make_somebody(page)
    await ban(page, secret)
    window.problems.clear()  # the console tells of the answer that asked for a confirmation


async def set_up(page: Page) -> str:
    factor = page.locator("#factor")
    await factor.get_by_role("button", name="Set up an authenticator app").click()
    await expect(factor.get_by_role("img", name="QR code")).to_be_visible()
    secret = await factor.get_by_label("Secret").input_value()
    await factor.get_by_label("Code", exact=True).fill(code_of(secret, -1))
    await factor.get_by_role("button", name="Switch on").click()
    await expect(factor.get_by_text("10 recovery codes are left")).to_be_visible()
    return secret


async def sign_out_and_in_with(page: Page, secret: str) -> None:
    await page.get_by_role("button", name="Sign out").click()
    await page.get_by_label("E-mail").fill(EMAIL)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("heading", name="Second factor")).to_be_visible()
    await page.get_by_label("Code").fill(code_of(secret))
    await page.get_by_role("button", name="Sign in").click()
    await expect(page).to_have_url(re.compile(f"{HOME}$"))


async def make_somebody(page: Page) -> None:
    await menu(page, "Users")
    await page.locator(".page-actions").get_by_role("button", name="New user").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("E-mail").fill("ada@example.org")
    await dialog.get_by_label("Name").fill("Ada Lovelace")
    await dialog.get_by_role("button", name="Create user").click()
    await expect(page.get_by_role("heading", name="Ada Lovelace", level=1)).to_be_visible()


async def ban(page: Page, secret: str) -> None:
    """As if the confirmation were old: the first answer is the one that asks for another."""
    address = page.url

    async def ask_once(route: Route) -> None:
        headers = {"HX-Trigger": "step-up", "HX-Retarget": "#toasts", "HX-Reswap": "none"}
        await route.fulfill(status=403, headers=headers, body="", content_type="text/html")

    await page.route(f"{address}/ban", ask_once, times=1)
    await page.get_by_role("button", name="Ban").click()
    await page.get_by_role("dialog").get_by_label("Reason").fill("Sold the list of readers")
    await page.get_by_role("dialog").get_by_role("button", name="Ban").click()
    confirm = page.get_by_role("dialog", name="Confirm that it is you")
    await confirm.get_by_label("Password; with a second factor, a code").fill(code_of(secret, 1))
    await confirm.get_by_role("button", name="Confirm").click()
    await expect(page.get_by_text("Sold the list of readers")).to_be_visible()
