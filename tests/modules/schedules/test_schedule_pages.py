"""The owner's pages of schedules, and the buttons on them."""

import json
from collections.abc import Awaitable, Callable

from httpx2 import AsyncClient, Response
from sqlalchemy import text

from tests.modules.schedules.conftest import Change

PAGES = "/dashboard/owner/schedules"
PURGE = f"{PAGES}/purge-expired"
HTMX = {"HX-Request": "true"}
Lead = Callable[[], Awaitable[int]]


def toast(answer: Response) -> str:
    message: str = json.loads(answer.headers["hx-trigger"])["toast"]["message"]
    return message


async def test_the_list_shows_when_each_runs_next_and_how_the_last_one_went(
    owner: AsyncClient, lead: Lead, alter: Change, drain: Callable[[], Awaitable[int]]
) -> None:
    await lead()
    assert "none yet" in (await owner.get(PAGES)).text
    await alter(next_run_at=text("now() - interval '1 minute'"))
    await lead()
    await drain()
    page = (await owner.get(PAGES)).text
    assert "17 * * * *" in page and 'data-state="completed"' in page
    assert 'href="/dashboard/owner/queues/platform:tasks/jobs/' in page
    assert 'id="schedules-pause-purge-expired"' in page
    part = await owner.get(PAGES, headers=HTMX)
    assert part.text.lstrip().startswith("<div") and "<dialog" not in part.text
    assert 'data-live="schedules queues"' in part.text


async def test_buttons_in_the_list_answer_with_the_list(owner: AsyncClient) -> None:
    paused = await owner.post(f"{PURGE}/pause", data={"list": "true", "reason": "House <move>"}, headers=HTMX)
    assert toast(paused) == "purge-expired is paused"
    assert "House &lt;move&gt;" in paused.text and 'id="schedules"' in paused.text
    run = await owner.post(f"{PURGE}/run", data={"list": "true"}, headers=HTMX)
    assert toast(run) == "purge-expired runs now"
    again = await owner.post(f"{PURGE}/run", data={"list": "true"}, headers=HTMX)
    assert toast(again) == "purge-expired was started already"
    resumed = await owner.post(f"{PURGE}/resume", data={"list": "true"}, headers=HTMX)
    assert toast(resumed) == "purge-expired goes on" and "House" not in resumed.text


async def test_the_drawer_and_the_page_show_the_schedule_and_the_form(owner: AsyncClient) -> None:
    for headers in (HTMX, {}):
        page = (await owner.get(PURGE, headers=headers)).text
        assert 'id="schedule-form"' in page and "Next runs" in page and "Europe/Berlin" in page
    part = (await owner.get(f"{PURGE}?part=true", headers=HTMX)).text
    assert 'id="schedule-form"' not in part, "what refreshes itself must not take away what someone types"
    await owner.post(f"{PURGE}/pause", data={"reason": "Quiet"}, headers=HTMX)
    assert "Quiet" in (await owner.get(PURGE)).text


async def test_the_form_shows_what_it_means_while_it_is_typed(owner: AsyncClient) -> None:
    good = await owner.get(
        f"{PAGES}/preview", params={"cron": "0 3 * * *", "everyS": "", "timezone": "UTC"}, headers=HTMX
    )
    assert good.text.count("<li>") == 5 and "03:00:00 UTC" in good.text
    berlin = await owner.get(
        f"{PAGES}/preview", params={"cron": "0 3 * * *", "timezone": "Europe/Berlin"}, headers=HTMX
    )
    assert "03:00:00 CE" in berlin.text, "as clocks there show it"
    for params in ({"cron": "0 3 * *"}, {"cron": "0 3 * * *", "everyS": "60"}, {}, {"everyS": "ten"}):
        wrong = await owner.get(f"{PAGES}/preview", params=params, headers=HTMX)
        assert wrong.status_code == 200 and "field-error" in wrong.text and "<li>" not in wrong.text


async def test_a_change_is_shown_beside_what_the_code_says_with_a_way_back(owner: AsyncClient) -> None:
    form = {"cron": "", "everyS": "90", "timezone": "UTC", "missed": "skip", "version": "1"}
    changed = await owner.post(PURGE, data=form, headers=HTMX)
    assert toast(changed) == "purge-expired is changed"
    assert "The code says 17 * * * * (UTC), missed times: once" in changed.text
    assert f'hx-post="{PURGE}/reset"' in changed.text
    stale = await owner.post(PURGE, data=form | {"everyS": "120"}, headers=HTMX)
    assert stale.status_code == 412
    wrong = await owner.post(PURGE, data=form | {"everyS": "9", "version": "2"}, headers=HTMX)
    assert wrong.status_code == 422 and 'data-field="everyS"' in wrong.text
    assert "changed</span>" in (await owner.get(PAGES)).text
    back = await owner.post(f"{PURGE}/reset", headers=HTMX)
    assert toast(back) == "purge-expired runs as the code says"
    assert "The code says" not in back.text


async def test_an_orphan_is_named_and_can_be_removed(owner: AsyncClient, orphan: str) -> None:
    page = (await owner.get(f"{PAGES}/{orphan}")).text
    assert "does not declare this schedule any more" in page and "schedule-form" not in page
    assert f'hx-post="{PAGES}/{orphan}/run"' not in (await owner.get(PAGES)).text
    gone = await owner.post(f"{PAGES}/{orphan}/remove", headers=HTMX)
    assert toast(gone) == "old-report is removed" and orphan not in gone.text
