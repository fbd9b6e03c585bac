"""The story's beginning: the first owner, a tenant, and a token for its app."""

import re

from playwright.async_api import Page, expect

from tests.flows.owner_app import EMAIL, PASSWORD
from tests.flows.tenant_app import SCOPES

HOME = "/dashboard/owner"


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
    await sign_in(page, EMAIL)


async def sign_in(page: Page, email: str) -> None:
    await page.get_by_label("E-mail").fill(email)
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

    await page.get_by_role("link", name="Workspaces", exact=True).click()
    await page.locator(".page-actions").get_by_role("button", name="New workspace").click()
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
    await dialog.get_by_role("button", name="Done").click()
    await expect(page.get_by_role("link", name="Website")).to_be_visible()
    assert secret not in await page.content(), "a token is shown once"
    return secret


async def menu(page: Page, name: str) -> None:
    link = page.get_by_role("navigation", name="Main").get_by_role("link", name=name, exact=True)
    await link.click()
    await expect(link).to_have_attribute("aria-current", "page")
