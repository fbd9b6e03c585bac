"""Presses the buttons of a page, and sees that each does something. Nothing is changed: no POST leaves the browser."""

import asyncio
import re
import time
from dataclasses import dataclass, field

from playwright.async_api import ElementHandle, Page, Request, expect

from tests.browser.addresses import kind

EFFECT_S = 5.0
# What can be pressed now: in the innermost open dialog where there is one. Signing out would end the crawl.
BUTTONS = """() => {
  const dialogs = document.querySelectorAll("dialog[open]");
  const scope = dialogs[dialogs.length - 1] ?? document;
  return [...scope.querySelectorAll("button:enabled, summary, a.row-link[hx-get]")].filter(
    (each) => each.checkVisibility() && !each.closest("form")?.getAttribute("action")?.endsWith("/signout"));
}"""
# Rows of one list are alike, and so are the branches of a JSON tree.
NAMES = """buttons => buttons.map((each) => each.matches(".row-link") ? `row of ${location.pathname}` : [
  each.closest(".json summary") ? "JSON" : each.textContent.trim(), each.title, each.getAttribute("hx-post"),
  each.dataset.dialogOpen, each.closest("dialog")?.id, each.closest("form")?.id,
].join(" | "))"""
# What htmx would send is counted and answered here. (Playwright's own interception would switch the cache off.)
HOLD_BACK = """
  const ask = window.fetch;
  window.heldBack = 0;
  window.fetch = (to, how) => {
    if (!how?.method || how.method.toUpperCase() === "GET") return ask(to, how);
    window.heldBack += 1;
    return Promise.resolve(new Response(null, {status: 204}));
  };
"""
# What an effect changes.
LOOK = """() => JSON.stringify([
  location.href,
  window.heldBack,
  [...document.querySelectorAll("dialog[open], :popover-open")].map((each) => each.id),
  document.querySelectorAll("details[open]").length,
  {...document.documentElement.dataset},
  [...document.querySelectorAll("#toasts .toast-item")].map((each) => each.textContent),
])"""
# Empty fields that are wanted keep a form from being sent; the browser then goes to the first of them.
INCOMPLETE = "each => each.type === 'submit' && each.form?.contains(document.activeElement.closest(':invalid'))"
TIDY = "() => document.querySelectorAll('#toasts .toast-item').forEach((each) => each.remove())"


@dataclass
class Presser:
    """`pressed` holds what was tried, so that the same button of another row or page is not tried again;
    `dead` what did nothing."""

    page: Page
    pressed: set[str] = field(default_factory=set)
    dead: list[str] = field(default_factory=list)

    async def begin(self) -> None:
        self.page.on("request", self._refuse_changes)
        await self.page.context.add_init_script(HOLD_BACK)

    async def press_all(self, address: str) -> None:
        """Every button of the page, and of each dialog that one of them opens."""
        await self._show(address)
        while (button := await self._next()) is not None:
            await self._press(button)
            await self._press_inside(button)
            await self._tidy(address)

    async def _press_inside(self, opener: ElementHandle) -> None:
        """What stands in the dialog that was just opened, if one was; opened again as often as something closes it."""
        dialog = self.page.locator("dialog[open]")
        while await dialog.count() and (button := await self._next()) is not None:
            await self._press(button)
            if not await dialog.count() and await opener.is_visible():
                await self._press(opener)

    async def _show(self, address: str) -> None:
        await self.page.goto(address)
        await expect(self.page.locator("#live-state")).to_have_attribute("data-state", re.compile("live|off"))

    async def _tidy(self, address: str) -> None:
        while await self.page.locator("dialog[open], :popover-open").count():
            await self.page.keyboard.press("Escape")
        if not self.page.url.endswith(address):
            await self._show(address)

    async def _next(self) -> ElementHandle | None:
        """A button that was not tried yet."""
        buttons = await self.page.evaluate_handle(BUTTONS)
        for place, name in enumerate(await buttons.evaluate(NAMES)):
            if kind(name) not in self.pressed:
                self.pressed.add(kind(name))
                return (await buttons.get_property(str(place))).as_element()
        return None

    async def _press(self, button: ElementHandle) -> None:
        await self.page.evaluate(TIDY)  # a message like one that still stands takes its place, and looks like nothing
        before, (name,) = await self.page.evaluate(LOOK), await self.page.evaluate(NAMES, [button])
        await button.click()
        deadline = time.monotonic() + EFFECT_S
        while await self.page.evaluate(LOOK) == before:
            if await button.evaluate(INCOMPLETE):
                return
            if time.monotonic() > deadline:
                self.dead.append(f"{self.page.url}: {name}")
                return
            await asyncio.sleep(0.02)

    def _refuse_changes(self, request: Request) -> None:
        if request.method != "GET":
            self.dead.append(f"{request.method} {request.url} left the browser")
