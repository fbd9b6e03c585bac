"""No dead links, no dead buttons: everything that the dashboard offers can be followed and pressed."""

from collections import Counter
from collections.abc import AsyncGenerator

import pytest
from playwright.async_api import Page

from tests.browser.addresses import addresses, plain, shape
from tests.browser.buttons import Presser
from tests.browser.conftest import OpenWindow
from tests.browser.furnished import Furnished, furnish
from tests.flows.owner_app import OwnerApp
from tests.flows.running import ROOT, Running

pytestmark = pytest.mark.browser

HOME = "/dashboard/owner"
ALIKE = 3  # pages of one shape that the quick crawl looks at
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"


@pytest.fixture(scope="module")
async def furnished(chromium: str) -> AsyncGenerator[Furnished, None]:
    with Running() as running:
        async with OwnerApp(running.address) as owner:
            yield await furnish(running, owner)


async def follow(furnished: Furnished, most_alike: int | None) -> tuple[list[str], list[str]]:
    """The pages found from the overview, and the addresses that do not answer."""
    pages, broken, seen = [], [], set()
    alike: Counter[tuple[str, bool]] = Counter()
    todo = [(HOME, False, "the menu")]
    while todo:
        address, fragment, named_by = todo.pop()
        alike[shape(address), fragment] += 1
        if (address, fragment) in seen or (most_alike and alike[shape(address), fragment] > most_alike):
            continue
        seen.add((address, fragment))
        answer = await furnished.owner.get(address, fragment=fragment)
        if answer.status_code >= 400:
            broken.append(f"{address} on {named_by} answers {answer.status_code}")
            continue
        if not answer.headers["content-type"].startswith("text/html"):
            continue
        if not fragment and address.startswith("/dashboard"):
            pages.append(address)
        todo += [(each, part, address) for each, part in sorted(addresses(answer.text, f"{furnished.address}{address}"))]
    return pages, broken


def one_of_each(pages: list[str]) -> list[str]:
    return list({shape(page): page for page in reversed(pages)}.values())[::-1]


@pytest.mark.promise("S4-60")
async def test_every_address_on_the_pages_answers(furnished: Furnished) -> None:
    pages, broken = await follow(furnished, ALIKE)
    assert broken == []
    sections = {plain(page).removeprefix(HOME).split("?")[0] for page in pages}
    assert sections >= {"", "/articles", "/ai/runs", "/ai/tasks", "/queues", "/tenants", "/tokens", "/logs/audit"}
    assert sections >= {"/articles/{id}", "/ai/runs/{id}", "/queues/{queue}/dlq", "/logs/audit/{id}"}


@pytest.mark.promise("S4-59", "S4-60")
async def test_every_button_does_something(furnished: Furnished, open_window: OpenWindow) -> None:
    pages, _ = await follow(furnished, 1)
    page = await signed_in(furnished, open_window)
    presser = Presser(page)
    await presser.begin()
    for address in one_of_each(pages):
        await presser.press_all(address)
    assert presser.dead == []
    print(len(presser.pressed), *sorted(presser.pressed), sep="\n")
    assert len(presser.pressed) > 30


@pytest.mark.crawl
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1440])
async def test_every_page_is_sound(furnished: Furnished, open_window: OpenWindow, theme: str, width: int) -> None:
    """Each page and its first drawer: nothing out of sight, nothing that hinders people, every button alive."""
    pages, broken = await follow(furnished, None)
    assert broken == []
    page = await signed_in(furnished, open_window, width=width, theme=theme)
    presser = Presser(page)
    await presser.begin()
    await page.context.add_init_script(path=AXE)
    found: list[str] = []
    for address in one_of_each(pages):
        await page.goto(address)
        found += await faults(page, address)
        row = page.locator("tr[data-drawer] a.row-link").first
        if await row.count():
            await row.click()
            await page.locator("#drawer-frame[open] h2").first.wait_for()
            found += await faults(page, f"the drawer on {address}")
        await presser.press_all(address)
    assert found == []
    assert presser.dead == []


async def faults(page: Page, where: str) -> list[str]:
    """What does not fit into the width, and what axe objects to."""
    wide = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    found = [f"{where}: {wide} px too wide"] if wide > 0 else []
    report = await page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    for violation in report["violations"]:
        nodes = "; ".join(node["html"][:200] for node in violation["nodes"][:3])
        found.append(f"{where}: {violation['help']} ({violation['id']}): {nodes}")
    return found


async def signed_in(furnished: Furnished, open_window: OpenWindow, **look: int | str) -> Page:
    window = await open_window(furnished.address, **look)
    await window.page.context.add_cookies([furnished.cookie])
    await window.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    return window.page
