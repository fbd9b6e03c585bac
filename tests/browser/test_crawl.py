"""No dead links, no dead buttons: everything that the dashboard offers can be followed and pressed."""

import re
from collections import Counter
from dataclasses import dataclass, field
from math import inf
from uuid import uuid4

import pytest
from playwright.async_api import Page

from tests.browser.addresses import UUID, addresses, kind, shape
from tests.browser.buttons import Presser
from tests.browser.conftest import OpenWindow, Theme
from tests.browser.furnished import Furnished
from tests.flows.running import ROOT

pytestmark = pytest.mark.browser

HOME = "/dashboard/owner"
ALIKE = 2  # addresses of one shape that the quick crawl follows
THEMES: tuple[Theme, ...] = ("light", "dark")
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"


@dataclass
class Found:
    """`pages` holds the length of every page that was reached; `broken` what does not answer, and who names it."""

    pages: dict[str, int] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    def fullest(self) -> list[str]:
        """The fullest page of each kind."""
        by_length = sorted(self.pages, key=self.pages.__getitem__)
        return list({kind(page): page for page in by_length}.values())


async def follow(furnished: Furnished, most: float = inf, *, home: str = HOME) -> Found:
    """Follow every address from an overview, at most so many of one shape."""
    # Who reads a trace is written down, and that has a trace of its own: of one chain, so that there is an end to it.
    furnished.owner.under(str(uuid4()))
    found, seen = Found(), Counter[tuple[str, bool]]()
    noticed: set[tuple[str, bool]] = set()
    todo = [(home, False, "the menu")]
    while todo:
        address, fragment, named_by = todo.pop()
        seen[shape(address), fragment] += 1
        if seen[shape(address), fragment] > most:
            continue
        answer = await furnished.owner.get(address, fragment=fragment)
        if answer.status_code >= 400:
            found.broken.append(f"{address} on {named_by} answers {answer.status_code}")
        elif answer.headers["content-type"].startswith("text/html"):
            if not fragment and address.startswith(home):
                found.pages[address] = len(answer.text)
            for each in sorted(addresses(answer.text, f"{furnished.address}{address}") - noticed):
                noticed.add(each)
                todo.append((*each, address))
    return found


@pytest.fixture(scope="module")
async def found(furnished: Furnished) -> Found:
    return await follow(furnished, ALIKE)


@pytest.fixture(scope="module")
async def everything(furnished: Furnished) -> Found:
    """All of it, which takes a while; also what the members of a tenant see."""
    all_of_it = await follow(furnished)
    of_members = await follow(furnished, home=furnished.members)
    assert any(page.startswith(f"{furnished.members}/") for page in of_members.pages)
    return Found(all_of_it.pages | of_members.pages, all_of_it.broken + of_members.broken)


@pytest.mark.promise("S4-60")
async def test_every_address_on_the_pages_answers(found: Found) -> None:
    assert found.broken == []
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


async def test_what_a_request_set_going_leads_to_its_trace(furnished: Furnished) -> None:
    for each in ("ai/tasks", "approvals", "deliveries", "emails", "imports", "workflows/instances"):
        listed = (await furnished.owner.get(f"{HOME}/{each}")).text
        row = re.search(rf'href="({HOME}/{each}/{UUID.pattern})"', listed)
        assert row is not None, each
        page = (await furnished.owner.get(row[1])).text
        assert f"{HOME}/traces/" in page, each
        assert "Harbour Press</a>" in page or each == "emails", f"{each}: the tenant has its name and is linked"


@pytest.mark.promise("S4-59", "S4-60")
async def test_every_button_does_something(furnished: Furnished, found: Found, open_window: OpenWindow) -> None:
    page = (await open_window(furnished.address, session=furnished.owner.cookie)).page
    presser = Presser(page)
    await presser.begin()
    for address in found.fullest():
        await presser.press_all(address)
    assert presser.dead == []
    words = {name.split(" | ")[0] for name in presser.pressed}
    assert words >= {"New tenant", "New workspace", "New token", "Revoke", "Pause", "Resume", "Replay", "Remove"}
    assert words >= {"Run now", "Back to the code's", "Save"}


@pytest.mark.crawl
async def test_every_address_anywhere_answers(furnished: Furnished, everything: Found) -> None:
    assert everything.broken == []


@pytest.mark.crawl
@pytest.mark.parametrize("width", [360, 1440])
async def test_every_page_is_sound(
    furnished: Furnished, everything: Found, open_window: OpenWindow, width: int
) -> None:
    """Each page and its first drawer, in both themes: nothing out of sight, nothing that hinders people."""
    page = (await open_window(furnished.address, session=furnished.owner.cookie, width=width)).page
    await page.context.add_init_script(path=AXE)
    wrong: list[str] = []
    for address in everything.fullest():
        await page.goto(address)
        wrong += await faults(page, address)
        row = page.locator("tr[data-drawer] a.row-link").first
        if await row.count():
            await row.click()
            await page.locator("#drawer-frame[open] h2").first.wait_for()
            wrong += await faults(page, f"the drawer on {address}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.crawl
async def test_every_button_does_something_on_a_phone(
    furnished: Furnished, everything: Found, open_window: OpenWindow
) -> None:
    page = (await open_window(furnished.address, session=furnished.owner.cookie, width=360)).page
    presser = Presser(page)
    await presser.begin()
    for address in everything.fullest():
        await presser.press_all(address)
    assert presser.dead == []


@pytest.mark.crawl
@pytest.mark.parametrize("width", [360, 1440])
async def test_the_front_door_is_sound(furnished: Furnished, open_window: OpenWindow, width: int) -> None:
    page = (await open_window(furnished.address, width=width)).page
    await page.context.add_init_script(path=AXE)
    await page.goto("/signin")
    wrong = await faults(page, "/signin")
    assert not wrong, "\n".join(wrong)


async def faults(page: Page, where: str) -> list[str]:
    """What does not fit into the width, and what axe objects to in either theme."""
    wide = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    found = [f"{where}: {wide} px too wide"] if wide > 0 else []
    for theme in THEMES:
        await page.emulate_media(color_scheme=theme)
        report = await page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        for violation in report["violations"]:
            nodes = "; ".join(node["html"][:200] for node in violation["nodes"][:3])
            found.append(f"{where}, {theme}: {violation['help']} ({violation['id']}): {nodes}")
    return found
