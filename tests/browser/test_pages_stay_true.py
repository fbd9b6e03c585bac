"""What a page says stays true while it stands open: secrets, times, the connection, and however many windows."""

import asyncio
import re

import pytest
from playwright.async_api import Browser, Page, Route, expect

from tests.browser.conftest import OpenWindow
from tests.browser.furnished import Furnished
from tests.flows.owner_app import COOKIE, EMAIL, PASSWORD
from tests.flows.tenant_app import TenantApp

pytestmark = pytest.mark.browser

HOME = "/dashboard/owner"
MOST_CONNECTIONS = 6  # a browser's, to one server over HTTP/1.1


async def open_page(furnished: Furnished, open_window: OpenWindow, path: str, width: int = 1440) -> Page:
    page = (await open_window(furnished.address, session=furnished.owner.cookie, width=width)).page
    await page.goto(f"{HOME}{path}")
    return page


async def test_a_closed_dialog_never_shows_a_token_again(furnished: Furnished, open_window: OpenWindow) -> None:
    page = await open_page(furnished, open_window, "/tokens")
    dialog, opener = page.get_by_role("dialog"), page.locator(".page-actions").get_by_role("button", name="New token")
    await opener.click()
    await dialog.get_by_label("Name").fill("Deploys")
    await dialog.get_by_role("checkbox").first.check()
    await dialog.get_by_role("button", name="Create token").click()
    secret = await dialog.get_by_label("Token Deploys").input_value()
    await expect(dialog.get_by_role("button", name="Create token")).to_be_hidden()
    await page.keyboard.press("Escape")
    await expect(dialog).to_be_hidden()
    assert secret not in await page.evaluate("[...document.querySelectorAll('input')].map((i) => i.value).join()")
    await opener.click()
    await expect(dialog.get_by_label("Name")).to_have_value("")
    await expect(dialog.get_by_role("checkbox").first).not_to_be_checked()
    await expect(dialog.get_by_role("button", name="Create token")).to_be_visible()


async def test_an_error_is_said_once_at_its_field(furnished: Furnished, open_window: OpenWindow) -> None:
    window = await open_window(furnished.address, session=furnished.owner.cookie)
    page = window.page
    await page.goto(f"{HOME}/tokens")
    await page.locator(".page-actions").get_by_role("button", name="New token").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Name").fill("Nothing")
    await dialog.get_by_role("button", name="Create token").click()
    await expect(dialog.get_by_text("choose at least one scope")).to_have_count(1)
    await expect(page.locator(".toast-item")).to_have_count(0)
    assert "422" in window.problems.pop()


async def test_times_grow_older_on_an_open_page(furnished: Furnished, open_window: OpenWindow) -> None:
    window = await open_window(furnished.address, session=furnished.owner.cookie)
    page = window.page
    await page.clock.install()
    await page.goto(f"{HOME}/logs/audit")
    newest = page.get_by_role("region", name="Audit log").locator("time").first
    await expect(newest).to_have_text(re.compile(r"now|\d+ (s|min) ago"))
    await page.clock.fast_forward("03:00:00")
    await expect(newest).to_have_text("3 h ago")
    window.problems.clear()  # a request that was under way has taken three hours


async def test_a_server_that_does_not_answer_is_told_and_waited_for(
    furnished: Furnished, open_window: OpenWindow
) -> None:
    window = await open_window(furnished.address, session=furnished.owner.cookie)
    page, state = window.page, window.page.locator("#live-state")
    await page.clock.install()
    # What a page is told by its stream; the server itself goes on for the other tests.
    await page.add_init_script("window.SharedWorker = undefined; window.Worker = class { postMessage() {} }")
    await page.goto(f"{HOME}/queues")
    await expect(state).to_have_text("Every 10 s")
    await page.route("**/dashboard/owner/queues", lambda route: route.abort())
    await _until_told(page, re.compile(r"Not connected since \d\d:\d\d:\d\d"))
    await page.unroute_all()
    await _until_told(page, re.compile("Every 10 s"))
    window.problems.clear()  # the refused requests


async def _until_told(page: Page, told: re.Pattern[str]) -> None:
    """Let the page's clock run until its next question to the server has been answered, or not."""
    state = page.locator("#live-state")
    async with asyncio.timeout(15):
        while not told.fullmatch(await state.inner_text()):
            await page.clock.run_for(1_000)


async def test_more_windows_than_connections_all_load_and_are_live(furnished: Furnished, browser: Browser) -> None:
    context = await browser.new_context(base_url=furnished.address)
    await context.add_cookies([{"name": COOKIE, "value": furnished.owner.cookie, "url": furnished.address}])
    pages = [await context.new_page() for _ in range(MOST_CONNECTIONS + 2)]
    for page in pages:
        await page.goto(f"{HOME}/articles")
        await expect(page.locator("#live-state")).to_have_text("Live")
    async with TenantApp(furnished.address, furnished.token) as app:
        await app.post("# For all windows\n\nOne stream tells them all.")
    for page in pages:
        await expect(page.get_by_text("For all windows").first).to_be_visible()
    await context.close()


async def test_a_word_without_end_leaves_the_other_columns_in_sight(
    furnished: Furnished, open_window: OpenWindow
) -> None:
    async with TenantApp(furnished.address, furnished.token) as app:
        await app.post(f"# {'W' * 200}\n\nA title of one word.")
    page = await open_page(furnished, open_window, "/articles")
    for path in ("/articles", "/logs/audit"):
        await page.goto(f"{HOME}{path}")
        box = page.locator(".table-wrap")
        assert await box.evaluate("(box) => box.scrollWidth <= box.clientWidth")
        row = page.get_by_role("row").filter(has_text="WWWW").first
        size = await row.bounding_box()
        assert size is not None and size["height"] < 120


async def test_the_next_page_begins_at_its_top(furnished: Furnished, open_window: OpenWindow) -> None:
    page = await open_page(furnished, open_window, "/articles")
    await page.get_by_role("link", name="Next").click()
    await expect(page.get_by_role("link", name="Previous")).to_be_visible()
    assert await page.evaluate("scrollY") == 0


async def test_the_active_tab_is_in_sight_on_a_phone(furnished: Furnished, open_window: OpenWindow) -> None:
    page = await open_page(furnished, open_window, "/queues/ai:content/dlq", width=360)
    await expect(page.locator(".tabs [aria-current]")).to_have_text(re.compile("Dead letters"))
    await expect(page.locator(".tabs [aria-current]")).to_be_in_viewport(ratio=0.9)


async def test_whoever_signs_out_while_a_page_still_asks_is_told_of_no_refusal(
    furnished: Furnished, open_window: OpenWindow
) -> None:
    page = (await open_window(furnished.address)).page
    await page.goto("/signin")
    await page.get_by_label("E-mail").fill(EMAIL)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("heading", name="Overview")).to_be_visible()

    held: asyncio.Queue[Route] = asyncio.Queue()
    await page.route("**/dashboard/owner/cards/*", held.put)
    await page.reload()
    card = await held.get()

    async def answer_what_is_held_first(route: Route) -> None:
        answer = await route.fetch(max_redirects=0)  # the session is over
        over = asyncio.Event()
        for end in ("requestfinished", "requestfailed"):
            page.on(end, lambda request: over.set() if request == card.request else None)
        if card.request.failure is None:
            await card.continue_()
            await over.wait()
        await route.fulfill(response=answer)

    await page.route("**/signout", answer_what_is_held_first)
    await page.get_by_role("button", name="Sign out").click()
    await expect(page).to_have_url(re.compile("/signin"))
