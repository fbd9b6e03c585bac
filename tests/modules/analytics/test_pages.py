"""The analytics page: figures, each with the way to its events."""

import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from html import unescape
from typing import Any

import pytest
from httpx2 import AsyncClient

from app.core.database import Database
from tests.modules.analytics.stage import count

Client = Callable[..., Awaitable[AsyncClient]]
HTMX = {"HX-Request": "true"}
ROW = re.compile(r"<tr data-drawer>")


@pytest.mark.promise("S4-47")
async def test_each_number_leads_to_its_events(
    owner: AsyncClient,
    member: Client,
    tenant_client: Client,
    tenant: Any,
    make_tenant: Callable[[str], Awaitable[Any]],
    database: Database,
    drain: Callable[[], Awaitable[int]],
) -> None:
    page = "/dashboard/owner/analytics"
    empty = await owner.get(page)
    assert empty.status_code == 200 and "curl http://testserver/api/v1/events" in unescape(empty.text)

    app = await tenant_client("events:write")
    other = await tenant_client("events:write", of=await make_tenant("Far Shore"))
    view = {"name": "page_view", "path": "/<b>trout</b>", "referrer": "https://example.org/x"}
    batch = [view, view | {"country": "NZ"}, {"name": "signup"}, view | {"isBot": True}]
    assert (await app.post("/api/v1/events", json={"events": batch})).status_code == 202
    assert (await other.post("/api/v1/events", json={"events": [view]})).status_code == 202
    await count(database, drain)

    shown = unescape((await owner.get(page)).text)
    assert "<b>trout" not in (await owner.get(page)).text and "/<b>trout</b>" in shown
    today = f"{datetime.now(UTC):%a %-d %b %Y}"
    link = re.search(rf'{today}</td><td class="num"><a href="([^"]+)">3</a>', shown)
    assert link, shown
    assert len(ROW.findall((await owner.get(link[1], headers=HTMX)).text)) == 3
    for of, number in ((tenant.id, 2), ("", 3)):
        part = unescape((await owner.get(page, params={"tenantId": str(of), "grain": "hour"}, headers=HTMX)).text)
        found = re.search(r'<a href="([^"]+path=[^"]+)">(\d+)</a>', part)
        assert found and int(found[2]) == number
        listed = (await owner.get(found[1], headers=HTMX)).text
        assert len(ROW.findall(listed)) == number
    drawer = re.search(r'hx-get="(/dashboard/owner/events/[^"]+)"', listed)
    assert drawer and "&lt;b&gt;trout" in (await owner.get(unescape(drawer[1]), headers=HTMX)).text
    wrong = await owner.get(page, params={"from": "2026-02-30"})
    assert wrong.status_code == 422 and "must be a day" in wrong.text
    bots = unescape((await owner.get(page, params={"metric": "bots"})).text)
    assert re.search(r'isBot=true[^"]*">1</a>', bots)

    # A member sees its own tenant's; who may not read single events sees the numbers alone.
    base = f"/dashboard/t/{tenant.slug}"
    editor, viewer = await member("ed@example.org", "editor"), await member("vi@example.org", "viewer")
    own = unescape((await editor.get(f"{base}/analytics")).text)
    link = re.search(rf'{today}</td><td class="num"><a href="([^"]+)">2</a>', own)
    assert link and "Far Shore" not in own
    assert len(ROW.findall((await editor.get(link[1], headers=HTMX)).text)) == 2
    assert f'{today}</td><td class="num">2</td>' in unescape((await viewer.get(f"{base}/analytics")).text)
    assert (await viewer.get(f"{base}/events")).status_code == 403
    foreign = unescape(drawer[1]).replace("/dashboard/owner", base)
    assert (await editor.get(foreign)).status_code == 404
