"""The lists of AI are sorted as other lists are, on their pages and by the API, and their views are kept."""

import re
from collections.abc import Awaitable, Callable

import pytest
from httpx2 import AsyncClient

from tests.modules.ai import stage

OWNER = "/dashboard/owner"
LISTS = {
    "/ai/tasks": "/api/owner/ai/tasks",
    "/ai/runs": "/api/owner/ai/runs",
    "/ai/event-logs": "/api/owner/ai/event-logs",
    "/ai/drafts": "/api/owner/drafts",
    "/ai/reports": "/api/owner/reports",
}
OF_TENANTS = ("/api/v1/ai/tasks", "/api/v1/drafts", "/api/v1/reports")


@pytest.mark.promise("S4-55")
async def test_lists_of_ai_are_read_from_either_end_and_a_view_keeps_the_order(
    owner: AsyncClient, tenant_client: Callable[..., Awaitable[AsyncClient]], drain: Callable[..., Awaitable[int]]
) -> None:
    client = await tenant_client()
    for title in ("Tides", "Maps", "Weirs"):
        article = await stage.article(client, title, f"The  {title} are are long.")
        await stage.start(client, "rewrite_article", article)
        await stage.start(client, "quality_check", article)
    await drain()

    async def ids(caller: AsyncClient, path: str, **asked: str) -> list[str]:
        answer = await caller.get(path, params=asked)
        assert answer.status_code == 200, answer.text
        return [one["id"] for one in answer.json()["items"]]

    for page, api in LISTS.items():
        newest, oldest = await ids(owner, api, sort="-createdAt"), await ids(owner, api, sort="createdAt")
        assert len(newest) >= 3 and oldest == sorted(oldest) and newest == sorted(newest, reverse=True)
        assert await ids(owner, api) == newest, "newest first where nothing is said"
        first = (await owner.get(api, params={"sort": "createdAt", "limit": "2"})).json()
        rest = await ids(owner, api, sort="createdAt", limit="100", cursor=first["nextCursor"])
        assert [one["id"] for one in first["items"]] + rest == oldest
        assert (await owner.get(api, params={"cursor": first["nextCursor"]})).json()["code"] == "bad_cursor"
        for wrong in (await owner.get(api, params={"sort": "x"}), await owner.get(OWNER + page, params={"sort": "x"})):
            assert wrong.status_code == 422 and "sort" in wrong.text
        shown = await owner.get(OWNER + page, params={"sort": "createdAt"})
        rows = re.findall(rf'class="row-link" href="{OWNER}{page}/([0-9a-f-]+)"', shown.text)
        assert rows == oldest[: len(rows)] and rows, page
        assert 'aria-sort="ascending"' in shown.text and 'name="sort" value="createdAt"' in shown.text
        assert 'data-dialog-open="save-view"' in shown.text or "Saved views" in shown.text
        for until in ("2020-01-01", "2999-01-01"):
            within = {"from": "2019-01-01", "to": until}
            assert await ids(owner, api, **within) == (newest if until > "2100" else []), (api, until)
            narrowed = await owner.get(OWNER + page, params=within)
            assert ('class="row-link"' in narrowed.text) == (until > "2100"), page
            assert f'name="to" value="{until}"' in narrowed.text, page
        assert (await owner.get(api, params={"from": "tomorrow"})).status_code == 422
        saved = await owner.post(
            f"{OWNER}/views", data={"page": page[1:], "name": "Oldest", "query": "sort=createdAt&cursor=x"}
        )
        assert saved.status_code in (200, 201), saved.text
        listed = await owner.get(f"{OWNER}/views", params={"page": page[1:]})
        assert f'href="{OWNER}{page}?sort=createdAt"' in listed.text
    for api in OF_TENANTS:
        oldest = await ids(client, api, sort="createdAt")
        assert oldest == sorted(oldest) and [*reversed(oldest)] == await ids(client, api)
        assert oldest and await ids(client, api, to="2020-01-01") == []
