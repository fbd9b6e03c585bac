"""Presses the buttons of a page, and sees that each does something. Nothing is changed: no POST leaves the browser."""

import asyncio
import re
import time
from dataclasses import dataclass, field

from playwright.async_api import ElementHandle, Page, Request, Route, expect

from tests.browser.addresses import plain

PRESSED = "button, summary, a.row-link[hx-get]"
# What an effect changes on the page itself.
LOOK = """() => JSON.stringify([
  location.href,
  [...document.querySelectorAll("dialog[open], :popover-open")].map((each) => each.id),
  document.querySelectorAll("details[open]").length,
  {...document.documentElement.dataset},
  [...document.querySelectorAll("#toasts .toast-item")].map((each) => each.textContent),
])"""
IDENTITY = """each => [
  each.tagName, each.textContent.trim().slice(0, 40), each.title, each.getAttribute("hx-post"),
  each.dataset.dialogOpen, each.closest("dialog")?.id, each.closest("form")?.id,
].join(" | ")"""
# Empty fields that are wanted keep a form from being sent; the browser then goes to the first of them.
HELD_BACK = "each => each.type === 'submit' && each.form?.contains(document.activeElement.closest(':invalid'))"
EFFECT_S = 5.0


@dataclass
class Presser:
    """`pressed` holds what was tried, so that the same button of another row or page is not tried again."""

    page: Page
    pressed: set[str] = field(default_factory=set)
    dead: list[str] = field(default_factory=list)
    _asked: list[str] = field(default_factory=list)

    async def begin(self) -> None:
        self.page.on("request", self._note)
        await self.page.route("**/*", self._hold_back)

    async def press_all(self, address: str) -> None:
        """Every button of the page, and of each dialog that one of them opens."""
        await self._show(address)
        while (button := await self._next("body")) is not None:
            await self._press(button)
            while (inner := await self._next("dialog[open]")) is not None:
                await self._press(inner)
                if await self.page.locator("dialog[open]").count() == 0:
                    break  # it closed its dialog; the others in there are found when it is opened again
            await self._show(address)

    async def _show(self, address: str) -> None:
        await self.page.goto(address)
        await expect(self.page.locator("#live-state")).to_have_attribute("data-state", re.compile("live|off"))

    async def _next(self, scope: str) -> ElementHandle | None:
        """A visible, untried button, the innermost dialog's first."""
        for button in await self.page.locator(scope).last.locator(PRESSED).element_handles():
            if not await button.is_visible() or not await button.is_enabled():
                continue
            if await button.evaluate("each => each.closest('form')?.action.endsWith('/signout')"):
                continue
            name = plain(await button.evaluate(IDENTITY))
            if name not in self.pressed:
                self.pressed.add(name)
                return button
        return None

    async def _press(self, button: ElementHandle) -> None:
        before, name = await self.page.evaluate(LOOK), await button.evaluate(IDENTITY)
        self._asked.clear()
        await button.click()
        deadline = time.monotonic() + EFFECT_S
        while not self._asked and await self.page.evaluate(LOOK) == before:
            if await button.evaluate(HELD_BACK):
                return
            if time.monotonic() > deadline:
                self.dead.append(f"{self.page.url}: {name}")
                return
            await asyncio.sleep(0.02)

    def _note(self, request: Request) -> None:
        if request.method != "GET":
            self._asked.append(request.url)

    async def _hold_back(self, route: Route) -> None:
        if route.request.method == "GET":
            await route.fallback()
        else:
            await route.fulfill(status=204)
