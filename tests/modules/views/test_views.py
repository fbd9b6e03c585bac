"""Saved views: a list's filters under a name, for whoever saved them."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import asyncpg
import pytest
from httpx2 import AsyncClient
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Scope
from app.core.policy import Actor
from app.modules.views.service import MOST, Views

Transaction = Callable[[Scope], AbstractAsyncContextManager[AsyncSession]]
PATH, PAGE = "/api/owner/views", "/dashboard/owner/views"
HTMX = {"HX-Request": "true"}


async def test_a_view_is_saved_found_and_removed(owner: AsyncClient, admin: asyncpg.Connection) -> None:
    body = {"page": "logs/audit", "name": "Refused", "query": "?outcome=denied&cursor=x.y&action=&from=2026-01-01"}
    made = await owner.post(PATH, json=body)
    assert made.status_code == 201 and made.json()["query"] == "from=2026-01-01&outcome=denied"
    assert (await owner.post(PATH, json=body)).json()["code"] == "name_taken"
    assert (await owner.post(PATH, json=body | {"page": "logs/access"})).status_code == 201
    assert [one["name"] for one in (await owner.get(PATH, params={"page": "logs/audit"})).json()["items"]] == [
        "Refused"
    ]
    assert len((await owner.get(PATH)).json()["items"]) == 2
    assert (await owner.delete(f"{PATH}/{made.json()['id']}")).status_code == 204
    assert (await owner.delete(f"{PATH}/{made.json()['id']}")).status_code == 404
    actions = await admin.fetch(
        "SELECT action FROM audit_log WHERE action LIKE 'view.%' AND outcome = 'success' ORDER BY id"
    )
    assert [row["action"] for row in actions] == ["view.create", "view.create", "view.remove"]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"page": "//elsewhere.example"}, "page"),
        ({"page": "../x"}, "page"),
        ({"page": ""}, "page"),
        ({"name": " "}, "name"),
        ({"name": "x" * 61}, "name"),
        ({"query": ""}, "query"),
        ({"query": "cursor=a.b"}, "query"),
        ({"query": "q=" + "x" * 1000}, "query"),
    ],
)
async def test_what_cannot_be_saved_is_named(owner: AsyncClient, change: dict[str, str], field: str) -> None:
    answer = await owner.post(PATH, json={"page": "logs/audit", "name": "A", "query": "q=a"} | change)
    assert answer.status_code == 422 and field in answer.text, answer.text


async def test_nobody_sees_or_removes_the_views_of_another(
    owner: AsyncClient, transaction: Transaction, operator: Actor
) -> None:
    async with transaction(operator.scope) as session:
        view = await Views(session, operator).save("logs/audit", "Mine", "q=a")
        for n in range(1, MOST):
            await Views(session, operator).save("logs/audit", f"Mine {n}", "q=a")
        with pytest.raises(Exception, match="remove one first"):
            await Views(session, operator).save("logs/audit", "One more", "q=a")
    assert (await owner.get(PATH)).json()["items"] == []
    assert (await owner.delete(f"{PATH}/{view.id}")).status_code == 404


async def test_the_list_offers_the_viewers_own(owner: AsyncClient) -> None:
    page = (await owner.get("/dashboard/owner/logs/audit")).text
    assert 'id="views"' in page and 'data-dialog-open="save-view"' not in page
    form = {"page": "logs/audit", "name": "Only <b>mine</b>", "query": "action=owner.create&q=%3Cb%3E"}
    saved = await owner.post(PAGE, data=form, headers=HTMX)
    assert saved.status_code == 200 and "is saved" in saved.headers["hx-trigger"]
    assert '/logs/audit?action=owner.create&amp;q=%3Cb%3E"' in saved.text and "Only &lt;b&gt;mine" in saved.text
    assert "Only &lt;b&gt;mine" in (await owner.get(PAGE)).text
    view = (await owner.get(PATH)).json()["items"][0]
    gone = await owner.post(f"{PAGE}/{view['id']}/removal", headers=HTMX)
    assert gone.status_code == 200 and "Only" not in gone.text and 'data-dialog-open="save-view"' in gone.text
    assert "You have saved no view" in (await owner.get(PAGE)).text


async def test_many_views_at_once_are_no_more_than_may_be(owner: AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.modules.views.service.MOST", 2)
    bodies = [{"page": "logs/audit", "name": f"View {n}", "query": "q=x"} for n in range(8)]
    answers = await asyncio.gather(*(owner.post(PATH, json=body) for body in bodies))
    assert sorted(answer.status_code for answer in answers) == [201] * 2 + [409] * 6
