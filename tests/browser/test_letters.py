"""Dead letters under the hands of a person: removed, brought back, ticked, edited."""

import re

import pytest
from playwright.async_api import expect

from tests.browser.conftest import OpenWindow, Window
from tests.browser.furnished import Furnished

pytestmark = pytest.mark.browser

LETTERS = "/dashboard/owner/queues/ai:content/dlq"


def refused(window: Window) -> None:
    """The console tells of the one answer that was no success, as it should."""
    assert len(window.problems) == 1
    assert "422" in window.problems.pop()


async def test_a_removed_letter_comes_back_by_the_button_in_the_message(
    furnished: Furnished, open_window: OpenWindow
) -> None:
    page = (await open_window(furnished.address, session=furnished.owner.cookie)).page
    await page.goto(LETTERS)
    letters = page.get_by_role("region", name="Dead letters").get_by_role("row")
    await expect(letters).to_have_count(2)
    await letters.last.get_by_role("button", name="Remove").click()
    await expect(page.get_by_text("No dead letters")).to_be_visible()
    await page.get_by_role("button", name="Undo").click()
    await expect(letters).to_have_count(2)
    await expect(page.get_by_text("The job is back", exact=True)).to_be_visible()
    await expect(page.get_by_role("button", name="Undo")).to_have_count(0)


async def test_ticked_letters_are_removed_and_what_is_not_ticked_stays(
    furnished: Furnished, open_window: OpenWindow
) -> None:
    window = await open_window(furnished.address, session=furnished.owner.cookie)
    page = window.page
    await page.goto(LETTERS)
    await page.get_by_role("button", name="Remove the ticked").click()
    await page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    await expect(page.get_by_text("tick at least one dead letter")).to_be_visible()
    refused(window)
    await page.get_by_role("checkbox").check()
    await page.get_by_role("button", name="Remove the ticked").click()
    await page.get_by_role("dialog").get_by_role("button", name="Remove").click()
    await expect(page.get_by_text("1 dead letter removed")).to_be_visible()
    await expect(page.get_by_text("No dead letters")).to_be_visible()
    await page.get_by_role("button", name="Undo").click()
    await expect(page.get_by_text("1 dead letter brought back")).to_be_visible()
    await expect(page.get_by_role("checkbox")).to_have_count(1)


async def test_a_payload_that_does_not_fit_is_marked_at_its_field(
    furnished: Furnished, open_window: OpenWindow
) -> None:
    window = await open_window(furnished.address, session=furnished.owner.cookie)
    page = window.page
    await page.goto(LETTERS)
    await page.get_by_role("link", name="summarize_article").first.click()
    await page.get_by_role("link", name="Edit and replay").click()
    payload = page.get_by_label("JSON")
    await expect(payload).to_have_value(re.compile("taskId"))
    await payload.fill("[]")
    await page.get_by_role("button", name="Replay with this payload").click()
    await expect(page.locator("#f-payload-error")).to_contain_text("must be a JSON object")
    refused(window)
