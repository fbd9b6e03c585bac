"""A real Chromium, and windows that note whatever goes wrong in them."""

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright, expect

from tests.browser.arriving import sign_in
from tests.browser.fetch import find
from tests.browser.furnished import Furnished, furnish
from tests.flows.owner_app import COOKIE, PASSWORD, OwnerApp
from tests.flows.running import Running

Theme = Literal["light", "dark"]
PATIENCE_MS = 15_000
FLAGS = (
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-sync",
    "--no-first-run",
)
expect.set_options(timeout=PATIENCE_MS)


@dataclass
class Window:
    """A page, and what consoles, scripts and the content security policy complained about in its context."""

    page: Page
    problems: list[str] = field(default_factory=list)

    def watch(self) -> None:
        self.page.context.on("weberror", lambda found: self.problems.append(f"script: {found.error}"))
        self.page.context.on("console", self._console)

    def _console(self, message: ConsoleMessage) -> None:
        # Chromium reports violations of the policy as errors of the console, too.
        if message.type in ("error", "warning"):
            self.problems.append(f"{message.type}: {message.text} ({message.location.get('url', '')})")


@pytest.fixture(scope="session")
def chromium() -> str:
    path = find()
    if path is None:
        reason = "there is no Chromium: run `make browser`, or install one"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return path


@pytest.fixture(scope="session")
async def browser(chromium: str) -> AsyncGenerator[Browser, None]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        await browser.close()


@pytest.fixture(scope="session")
def running(chromium: str) -> Iterator[Running]:
    """One TekNav for all of this folder but the story."""
    with Running() as running:
        yield running


@pytest.fixture(scope="session")
async def furnished(running: Running) -> AsyncGenerator[Furnished, None]:
    async with OwnerApp(running.address) as owner:
        yield await furnish(running, owner)


NewOwner = Callable[[Page, str], Awaitable[None]]


@pytest.fixture
def new_owner(furnished: Furnished, running: Running) -> NewOwner:
    """`await new_owner(page, "ann@example.org")`: who is made an owner beside the first one, and signs in here."""

    async def arrive(page: Page, email: str) -> None:
        await asyncio.to_thread(running.teknav, "owner", "create", "--email", email, "--password-stdin", say=PASSWORD)
        await page.goto("/signin")
        await sign_in(page, email)

    return arrive


OpenWindow = Callable[..., Awaitable[Window]]


@pytest.fixture
async def open_window(browser: Browser) -> AsyncGenerator[OpenWindow, None]:
    """Opens windows with cookies of their own; each must have had nothing to complain about at the end."""
    opened: list[Window] = []

    async def open_window(
        address: str,
        *,
        session: str = "",
        width: int = 1440,
        theme: Theme = "light",
        scripts: bool = True,
    ) -> Window:
        context = await browser.new_context(
            base_url=address,
            viewport={"width": width, "height": 900},
            color_scheme=theme,
            java_script_enabled=scripts,
            reduced_motion="reduce",
            locale="en-GB",
        )
        context.set_default_timeout(PATIENCE_MS)
        await context.grant_permissions(["clipboard-read", "clipboard-write"])
        if session:
            await context.add_cookies([{"name": COOKIE, "value": session, "url": address}])
        window = Window(await context.new_page())
        window.watch()
        opened.append(window)
        return window

    yield open_window
    for window in opened:
        await window.page.context.close()
    assert [problem for window in opened for problem in window.problems] == []
