"""No dead links, no dead buttons: everything that the dashboard offers can be followed and pressed. `make crawl`."""

import asyncio
from typing import Any

import pytest
from playwright.async_api import Page

from tests.browser.addresses import kind
from tests.browser.buttons import Presser
from tests.browser.conftest import OpenWindow, Theme
from tests.browser.furnished import Furnished
from tests.browser.walking import HOME, Found, Walk
from tests.flows.running import ROOT

pytestmark = [pytest.mark.browser, pytest.mark.crawl]

ALIKE = 5  # addresses of one shape that are followed
WIDTHS = (360, 1440)
# Themes differ in nothing but their colours, so what else there is to a page is looked at once.
COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}
THEMES: dict[Theme, dict[str, Any]] = {"light": {}, "dark": COLOURS}
# Rows of one list are alike, here as on the walk.
LOOK = """rules => axe.run(
  {include: [["html"]], exclude: [["tbody tr:nth-child(n+6)"]]}, {resultTypes: ["violations"], ...rules}
)"""
WINDOWS = 2  # that share the pages, as many as the smallest machine has processors
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"


@pytest.fixture(scope="module")
async def found(furnished: Furnished) -> Found:
    return await Walk(furnished, ALIKE).go()


@pytest.mark.promise("S4-60")
async def test_every_address_on_the_pages_answers(furnished: Furnished, found: Found) -> None:
    assert found.broken == []
    assert all(found.fullest(home) for home in (HOME, f"{furnished.members}/", "/account"))
    kinds = {kind(page).removeprefix(HOME) for page in found.pages}
    assert kinds >= {"", "/articles", "/ai/runs", "/ai/tasks", "/queues", "/tenants", "/tokens", "/logs/audit"}
    assert kinds >= {"/schedules", "/schedules/purge-expired"}
    assert kinds >= {
        "/plugins/{id}",
        "/deliveries/{id}",
        "/emails/{id}",
        "/workflows/{id}",
        "/workflows/instances/{id}",
    }
    assert kinds >= {
        "/ai/drafts/{id}",
        "/ai/reports/{id}",
        "/approvals/{id}",
        "/imports/{id}",
        "/analytics",
        "/funnels/{id}",
    }
    assert kinds >= {"/articles/{id}", "/queues/{queue}/jobs/{id}", "/queues/{queue}/dlq", "/logs/audit/{id}"}


@pytest.mark.promise("S4-59", "S4-60")
async def test_every_button_does_something(furnished: Furnished, found: Found, open_window: OpenWindow) -> None:
    """Each once: on a phone, and what a phone does not show on a desk."""
    page = (await open_window(furnished.address, session=furnished.owner.cookie)).page
    presser = Presser(page)
    await presser.begin()
    for width in WIDTHS:
        await page.set_viewport_size({"width": width, "height": 900})
        for address in found.fullest("/dashboard/"):
            await presser.press_all(address)
    assert presser.dead == []
    words = {name.split(" | ")[0] for name in presser.pressed}
    assert words >= {"New tenant", "New workspace", "New token", "Revoke", "Pause", "Resume", "Replay", "Remove"}
    assert words >= {"Run now", "Back to the code's", "Save"}


async def test_every_page_is_sound(furnished: Furnished, found: Found, open_window: OpenWindow) -> None:
    """Each page and its first drawer, at both widths and in both themes: nothing out of sight, nothing that hinders
    people."""
    wrong: list[str] = []
    todo = iter(found.fullest())

    async def look_on() -> None:
        page = (await open_window(furnished.address, session=furnished.owner.cookie)).page
        await page.context.add_init_script(path=AXE)
        for address in todo:
            await page.goto(address)
            wrong.extend(await faults(page, address))
            row = page.locator("tr[data-drawer] a.row-link").first
            if await row.count():
                await row.click()
                await page.locator("#drawer-frame[open] h2").first.wait_for()
                wrong.extend(await faults(page, f"the drawer on {address}"))

    await asyncio.gather(*(look_on() for _ in range(WINDOWS)))
    assert not wrong, "\n".join(wrong)


async def test_the_front_door_is_sound(furnished: Furnished, open_window: OpenWindow) -> None:
    page = (await open_window(furnished.address)).page
    await page.context.add_init_script(path=AXE)
    await page.goto("/signin")
    wrong = await faults(page, "/signin")
    assert not wrong, "\n".join(wrong)


async def faults(page: Page, where: str) -> list[str]:
    """What does not fit into the window's width, and what axe objects to, at each width and in each theme."""
    found: list[str] = []
    for width in WIDTHS:
        await page.set_viewport_size({"width": width, "height": 900})
        wide = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        found += [f"{where}: {wide} px too wide for {width}"] if wide > 0 else []
        for theme, rules in THEMES.items():
            await page.emulate_media(color_scheme=theme)
            report = await page.evaluate(LOOK, rules)
            for violation in report["violations"]:
                nodes = "; ".join(node["html"][:200] for node in violation["nodes"][:3])
                found.append(f"{where}, {theme}, {width} px: {violation['help']} ({violation['id']}): {nodes}")
    return found
