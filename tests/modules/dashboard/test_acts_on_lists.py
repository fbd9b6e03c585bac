"""After an act on ticked rows a list is what it was: filtered, searched and sorted as its address says."""

import json
import re
from collections.abc import Awaitable, Callable
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from httpx2 import AsyncClient

from app.core.database import SYSTEM, Database
from app.core.ids import new_id
from app.modules.people.models import User
from app.queues.models import JobRow, State
from tests.conftest import ORIGIN, Made, Person, TenantClient

HTMX = {"HX-Request": "true"}
OWNER, TEMPLATES = "/dashboard/owner", Path(__file__).parents[3] / "app" / "templates"
ON_TICKED = re.compile(r"<(?:button|form)\b[^>]*\binput\[data-row\][^>]*>")
LIVE = re.compile(r'<div id="[\w-]+" data-live="[^"]*" hx-get="([^"]*)"')


def attribute(element: str, name: str) -> str:
    found = re.search(rf'\b{name}="([^"]*)"', element)
    assert found, (name, element)
    return unescape(found[1])


@pytest.mark.promise("S4-55")
async def test_after_every_act_on_ticked_rows_the_list_is_filtered_searched_and_sorted_as_before(
    owner: AsyncClient,
    tenant: Made,
    tenant_client: TenantClient,
    member: Person,
    make_person: Callable[..., Awaitable[User]],
    sign_in: Person,
    database: Database,
) -> None:
    home, api = f"{OWNER}/tenants/{tenant.id}", f"/api/owner/tenants/{tenant.id}"
    app = await tenant_client()
    for title in ("Test tides", "Test maps"):
        assert (await app.post("/api/v1/articles", json={"title": title, "body": "The sea."})).status_code == 201
    for name in ("ann", "bob", "cid"):
        await member(f"{name}@test.org", "editor")
    await make_person("dan@test.org")
    roles = {role["name"]: role["id"] for role in (await owner.get(f"{api}/roles")).json()["items"]}
    for name in ("eve", "fay", "gus"):
        body = {"email": f"{name}@test.org", "roleId": roles["Viewer"]}
        assert (await owner.post(f"{api}/invitations", json=body)).status_code == 201
    for name in ("test two", "test three"):
        for path in ("tokens", "clients"):
            made = await owner.post(f"{api}/{path}", json={"name": name, "scopes": ["articles:read"]})
            assert made.status_code == 201, made.text
    async with database.transaction(SYSTEM) as session:
        for _ in range(3):
            job: dict[str, Any] = {"id": new_id(), "tenant_id": tenant.id, "queue": "ai:content", "kind": "stumble"}
            job |= {"payload": {}, "max_attempts": 1, "state": State.DEAD, "error_fingerprint": "same"}
            session.add(JobRow(**job))

    asked: dict[str, tuple[str, dict[str, str]]] = {
        f"{OWNER}/queues/ai:content/dlq": ("queues/_letters", {"kind": "stumble", "tenantId": str(tenant.id)}),
        f"{OWNER}/articles": ("articles/_list", {"q": "test", "tenantId": str(tenant.id), "sort": "title"}),
        f"{home}/members": ("members/_list", {"q": "test.org", "roleId": roles["Editor"], "sort": "-name"}),
        f"{home}/tokens": ("tokens/_list", {"q": "test", "state": "active", "sort": "name"}),
        f"{home}/clients": ("tokens/_list", {"q": "test", "state": "active", "sort": "name"}),
        f"{home}/invitations": ("invitations/_list", {"q": "test.org", "state": "pending", "sort": "-email"}),
        f"{OWNER}/sessions": ("people/_sessions", {"q": "test.org", "sort": "lastSeenAt"}),
        f"{OWNER}/tenants": ("tenants/_list", {"q": "harbour", "sort": "name"}),
        f"{OWNER}/users": ("people/_list", {"q": "test.org", "role": "user", "sort": "email"}),
    }
    with_acts = {
        str(file.relative_to(TEMPLATES))[:-5]
        for file in TEMPLATES.rglob("*.html")
        if 'class="bulk"' in file.read_text()
    }
    assert {template for template, _ in asked.values()} == with_acts, "every list that has such acts is tried here"

    typed = {"/bans": {"reason": "A test"}, "/roles": {"roleId": roles["Editor"]}}
    for path, (_, wanted) in asked.items():
        page = await owner.get(path, params=wanted)
        assert page.status_code == 200, page.text
        acts = ON_TICKED.findall(page.text)
        assert acts, path
        for element in acts:
            act = attribute(element, "hx-post")
            form = json.loads(attribute(element, "hx-vals")) if "hx-vals" in element else {}
            form |= typed.get(act[act.rindex("/") :], {})
            shown = (await owner.get(path, params=wanted, headers=HTMX)).text
            ticked = re.findall(r'data-row name="ids" value="([^"]+)"', shown)
            assert ticked, (path, act)
            here = HTMX | {"HX-Current-URL": f"{ORIGIN}{path}?{urlencode(wanted)}"}
            answer = await owner.post(act, data={**form, "ids": ticked[0]}, headers=here)
            assert answer.status_code == 200, (act, answer.text)
            if path.endswith("/articles"):
                assert not answer.text, "a job does it: the list stays, and hears of it by a signal"
                continue
            [again] = LIVE.findall(answer.text)
            assert unescape(again).partition("?")[0] == path
            assert dict(parse_qsl(unescape(again).partition("?")[2])) == wanted, act
    elsewhere = {"HX-Current-URL": f"{ORIGIN}{OWNER}/users?{urlencode({'q': 'test.org', 'sort': 'bad'})}"}
    sessions = await owner.get(f"{OWNER}/sessions", headers=HTMX)
    one = re.findall(r'data-row name="ids" value="([^"]+)"', sessions.text)[0]
    answer = await owner.post(f"{OWNER}/sessions/revocations", data={"ids": one}, headers=HTMX | elsewhere)
    assert "?" not in LIVE.findall(answer.text)[0], "what another page is asked for is not this list's"


async def test_where_an_act_leaves_nothing_on_a_page_the_list_begins_anew(
    owner: AsyncClient, make_person: Callable[..., Awaitable[User]]
) -> None:
    for number in range(27):
        await make_person(f"p{number:02}@test.org")
    first = (await owner.get("/api/owner/users", params={"q": "test.org", "sort": "email", "limit": 25})).json()
    assert len(first["items"]) == 25
    path, wanted = f"{OWNER}/users", {"q": "test.org", "sort": "email"}
    page = (await owner.get(path, params=wanted, headers=HTMX)).text
    [following] = [unescape(link) for link in re.findall(r'rel="next" href="([^"]+)"', page)]
    second = await owner.get(following, headers=HTMX)
    left = re.findall(r'data-row name="ids" value="([^"]+)"', second.text)
    assert len(left) == 2
    here = HTMX | {"HX-Current-URL": f"{ORIGIN}{following}"}
    kept = await owner.post(f"{path}/bans", data={"ids": left[0], "reason": "A test"}, headers=here)
    assert re.findall(r'data-row name="ids" value="([^"]+)"', kept.text) == left, "the same page"
    for one in left:
        assert (await owner.delete(f"/api/owner/users/{one}")).status_code in (200, 204)
    gone = await owner.get(following, headers=HTMX)
    assert len(re.findall("data-row name", gone.text)) == 25
    assert dict(parse_qsl(unescape(LIVE.findall(gone.text)[0]).partition("?")[2])) == wanted
