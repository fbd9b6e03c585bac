"""How far readers come: told day by day, anew whenever an event comes late."""

import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from httpx2 import AsyncClient

from app.core.database import Database
from app.core.ids import new_id
from app.modules.analytics.jobs import AggregateDaily, AggregateHourly
from app.modules.funnels.jobs import MaterializeFunnels
from tests.modules.analytics.stage import count

Client = Callable[..., Awaitable[AsyncClient]]
V1 = "/api/v1/funnels"
JOBS = (AggregateHourly(), AggregateDaily(), MaterializeFunnels())
STEPS = [{"name": "page_view", "path": "/blog/*"}, {"name": "page_view", "path": "/join"}, {"name": "signup"}]
# The day before yesterday, so that windows that end on the day after are over.
DAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=2)


def event(who: str, at: float, name: str, path: str | None = None, **more: Any) -> dict[str, Any]:
    """`at` is in hours of DAY."""
    ts = (DAY + timedelta(hours=at)).isoformat()
    return {"eventId": str(new_id()), "ts": ts, "name": name, "path": path, "userId": who} | more


def view(who: str, at: float, path: str, **more: Any) -> dict[str, Any]:
    return event(who, at, "page_view", path, **more)


EVENTS = [
    *(view("ann", 9, "/blog/a"), view("ann", 10, "/join"), event("ann", 11, "signup")),
    *(view("ben", 9, "/blog/a"), event("ben", 10, "signup"), view("ben", 11, "/join")),  # the wrong way round
    *(view("cleo", 9, "/join"), view("cleo", 10, "/blog/b"), view("cleo", 10.5, "/join")),
    *(view("dan", 9, "/blog/a"), view("dan", 15, "/join")),  # on the last moment of the window
    *(view("eve", 9, "/blog/a"), view("eve", 15.001, "/join")),  # after it
    *(view("flo", 22, "/blog/a"), view("flo", 25, "/join"), event("flo", 26, "signup")),  # over midnight
    *(view("bot", 9, "/blog/a", isBot=True), view("bot", 9.1, "/join", isBot=True)),
    view("gus", 9, "/about"),
]


async def tell(database: Database, drain: Callable[[], Awaitable[int]]) -> None:
    await count(database, drain, *JOBS)


async def people(app: AsyncClient, funnel_id: str) -> dict[str, list[int]]:
    answer = await app.get(f"{V1}/{funnel_id}/results")
    assert answer.status_code == 200, answer.text
    return {day["day"]: day["people"] for day in answer.json()["days"]}


@pytest.mark.promise("S4-28")
async def test_a_funnel_tells_who_turned_back_where(
    tenant_client: Client,
    make_tenant: Callable[[str], Awaitable[Any]],
    database: Database,
    drain: Callable[[], Awaitable[int]],
) -> None:
    scopes = ("events:write", "funnels:read", "funnels:write")
    app, other = await tenant_client(*scopes), await tenant_client(*scopes, of=await make_tenant("Far Shore"))
    body = {"name": "Reader to member", "steps": STEPS, "windowS": 6 * 3600}
    made = await app.post(V1, json=body)
    assert made.status_code == 201, made.text
    id_, today, before = made.json()["id"], f"{DAY:%Y-%m-%d}", f"{DAY - timedelta(days=1):%Y-%m-%d}"
    assert (await app.post(V1, json=body | {"name": "READER to member"})).status_code == 409
    assert (await app.post("/api/v1/events", json={"events": EVENTS[::-1]})).json()["accepted"] == len(EVENTS)
    await tell(database, drain)
    assert await people(app, id_) == {today: [6, 5, 2]}
    found = (await app.get(f"{V1}/{id_}/results")).json()
    # ann 1 h, ben 2 h, cleo 0.5 h, dan 6 h, flo 3 h; then ann 2 h, flo 4 h
    assert [step["medianS"] for step in found["steps"]] == [0, 2 * 3600, 3 * 3600] and found["upToDate"]

    # Late ones change days that were told: eve did come in time, and gus entered on the day before.
    late = [view("eve", 14.5, "/join"), view("gus", -2, "/blog/c"), view("gus", 1, "/join")]
    assert (await app.post("/api/v1/events", json={"events": late})).json()["accepted"] == 3
    await tell(database, drain)
    assert await people(app, id_) == {before: [1, 1, 0], today: [6, 6, 2]}

    # In any order all the same people did more; a change is told of what is there.
    changed = await app.patch(f"{V1}/{id_}", json={"order": "any"}, headers={"If-Match": made.headers["etag"]})
    assert changed.status_code == 200, changed.text
    assert not (await app.get(f"{V1}/{id_}/results")).json()["upToDate"]
    await tell(database, drain)
    assert (await people(app, id_))[today] == [7, 6, 3]  # gus by /join alone; ben with all three
    assert (await app.patch(f"{V1}/{id_}", json={"name": "x"}, headers={"If-Match": '"1"'})).status_code == 412

    for wrong, field in (
        ({"steps": STEPS[:1]}, "steps"),
        ({"steps": [{"name": "No"}, *STEPS]}, "steps[0].name"),
        ({"windowS": 1}, "windowS"),
        ({"order": "backwards"}, "order"),
        ({"name": "a\nb"}, "name"),
    ):
        answer = await app.post(V1, json=body | {"name": "Other"} | wrong)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field), answer.text
    for method, address in (("GET", f"{V1}/{id_}"), ("GET", f"{V1}/{id_}/results"), ("DELETE", f"{V1}/{id_}")):
        assert (await other.request(method, address)).status_code == 404
    assert (await other.get(V1)).json()["items"] == []
    assert (await app.delete(f"{V1}/{id_}")).status_code == 204
    assert (await app.get(f"{V1}/{id_}")).status_code == 404


async def test_owner_and_members_keep_funnels_on_their_pages(
    owner: AsyncClient,
    member: Client,
    tenant: Any,
    tenant_client: Client,
    database: Database,
    drain: Callable[[], Awaitable[int]],
) -> None:
    app = await tenant_client("events:write")
    assert (await app.post("/api/v1/events", json={"events": EVENTS})).status_code == 202
    page = "/dashboard/owner/funnels"
    form = {"name": "To <member>", "steps": "page_view /blog/*\n\npage_view /join\nsignup", "window": "6"}
    assert (await owner.post(page, data=form)).status_code == 422
    htmx = {"HX-Request": "true"}
    made = await owner.post(page, data=form | {"tenantId": str(tenant.id)}, headers=htmx)
    assert made.status_code == 200 and "To &lt;member&gt;" in made.text, made.text
    await tell(database, drain)
    listed = unescape((await owner.get(page)).text)
    assert "33.3 %" in listed and "Harbour Press" in listed
    link = re.search(rf'href="{page}/([0-9a-f-]+)"', listed)
    assert link
    shown = unescape((await owner.get(f"{page}/{link[1]}")).text)
    assert "1 (16.7 %)" in shown and "3 (60.0 %)" in shown and "page_view /blog/*\npage_view /join\nsignup" in shown
    wrong = await owner.get(f"{page}/{link[1]}", params={"from": "2026-03-01", "to": "2026-02-01"})
    assert wrong.status_code == 422 and "must be before" in wrong.text

    base = f"/dashboard/t/{tenant.slug}/funnels"
    editor, viewer = await member("ed@example.org", "editor"), await member("vi@example.org", "viewer")
    new = {"name": "Short", "steps": "signup\nshare", "window": "1", "order": "any"}
    assert "Short" in (await editor.post(base, data=new, headers=htmx)).text
    changed = await editor.post(f"{base}/{link[1]}", data=form | {"name": "Renamed", "version": "1"}, headers=htmx)
    assert changed.status_code == 200 and "Renamed" in changed.headers["hx-trigger"]
    for data, field in (
        ({"window": "x"}, "window"),
        ({"window": "inf"}, "window"),
        ({"window": "nan"}, "window"),
        ({"steps": "signup"}, "steps"),
        ({"steps": "a b c\nd"}, "steps"),
        ({"name": ""}, "name"),
    ):
        answer = await editor.post(base, data=new | data)
        assert answer.status_code == 422 and field in answer.text
    assert (await viewer.get(f"{base}/{link[1]}")).status_code == 200
    assert (await viewer.post(base, data=new)).status_code == 403
    assert "Renamed" not in (await editor.post(f"{base}/{link[1]}/removal", headers=htmx)).text
