"""A translation is an article of its own that knows what it translates, and when that moved on."""

from typing import Any

import pytest
from httpx2 import AsyncClient

from app.core.ids import new_id
from tests.modules.articles.test_article_api import HERE, Clients, post

HTMX = {"HX-Request": "true"}


@pytest.mark.promise("S4-4")
async def test_a_translation_begins_under_what_its_original_stands_and_goes_its_own_way(tenant_client: Clients) -> None:
    app = await tenant_client("articles:read", "articles:write", "taxonomy:read", "taxonomy:write")
    [sea] = [(await app.post("/api/v1/categories", json={"name": "Sea"})).json()]
    made = await post(app, title="Tides", tags=["Moon", "Water"], categories=[sea["slug"]])
    begun = (await app.post(f"{HERE}/{made['id']}/translations", json={"language": "de"})).json()

    async def filed(article: str) -> tuple[list[str], list[str]]:
        found = (await app.get(f"{HERE}/{article}")).json()
        return [one["name"] for one in found["tags"]], [one["slug"] for one in found["categories"]]

    assert await filed(begun["articleId"]) == (["Moon", "Water"], ["sea"])
    tags = {one["name"]: one["articles"] for one in (await app.get("/api/v1/tags")).json()["items"]}
    assert tags == {"Moon": 2, "Water": 2}, "the same tags, and no second ones"
    await app.patch(f"{HERE}/{made['id']}", json={"tags": ["Moon"], "categories": []})
    await app.patch(f"{HERE}/{begun['articleId']}", json={"tags": ["Mond", "Water"]})
    assert await filed(made["id"]) == (["Moon"], [])
    assert await filed(begun["articleId"]) == (["Mond", "Water"], ["sea"])
    [listed] = (await app.get(f"{HERE}/{made['id']}/translations")).json()["items"]
    assert not listed["stale"], "what articles stand under is no content"


@pytest.mark.promise("S4-4")
async def test_a_translation_is_behind_once_readers_see_another_original(tenant_client: Clients) -> None:
    app = await tenant_client()
    made = await post(app, title="Tides")
    here = f"{HERE}/{made['id']}"
    answer = await app.post(f"{here}/translations", json={"language": "de", "title": "Gezeiten", "body": "Zweimal."})
    assert answer.status_code == 201, answer.text
    german = answer.json()
    assert answer.headers["location"] == f"{HERE}/{german['articleId']}"
    there = (await app.get(answer.headers["location"])).json()
    assert (there["title"], there["language"], there["slug"], there["status"]) == (
        "Gezeiten",
        "de",
        "gezeiten",
        "draft",
    )
    assert (german["sourceVersion"], german["stale"], german["origin"]) == (1, False, "human")
    await app.post(f"{HERE}/{german['articleId']}/publication")
    await app.post(f"{here}/publication")
    await app.patch(here, json={"title": "Neap tides"})

    async def stale() -> list[tuple[str, str, bool]]:
        items = (await app.get(f"{HERE}/{german['articleId']}/translations")).json()["items"]
        return [(item["language"], item["status"], item["stale"]) for item in items]

    assert await stale() == [("de", "published", False)], "readers see the version that it translates"
    await app.post(f"{here}/publication")
    assert await stale() == [("de", "published", True)]
    current = await app.post(f"{here}/translations/de/confirmation")
    assert (current.json()["sourceVersion"], current.json()["stale"]) == (2, False)
    copied = (await app.post(f"{HERE}/{german['articleId']}/translations", json={"language": "pt-BR"})).json()
    assert (copied["sourceId"], copied["title"]) == (made["id"], "Neap tides"), "of the original"
    for wish, status, code in (
        ({"language": "de"}, 409, "already_translated"),
        ({"language": "en"}, 422, "invalid"),
        ({"language": "english!"}, 422, "invalid"),
        ({"language": "fr", "slug": "gezeiten"}, 409, "slug_taken"),
        ({"language": "fr", "origin": "oracle"}, 422, "invalid"),
    ):
        refused = await app.post(f"{here}/translations", json=wish)
        assert (refused.status_code, refused.json()["code"]) == (status, code), refused.text
    assert (await app.post(f"{here}/translations/fr/confirmation")).status_code == 404
    assert (await app.get(f"{HERE}/{new_id()}/translations")).status_code == 404
    reader = await tenant_client("articles:read")
    assert (await reader.post(f"{here}/translations", json={"language": "fr"})).status_code == 403
    await app.delete(f"{HERE}/{german['articleId']}")
    assert [item["language"] for item in (await app.get(f"{here}/translations")).json()["items"]] == ["pt-BR"]
    assert (await app.post(f"{here}/translations", json={"language": "de"})).status_code == 201
    await app.delete(here)
    assert (await app.get(f"{HERE}/{copied['articleId']}/translations")).json()["items"] == []


async def test_translations_are_written_and_confirmed_on_pages(
    tenant_client: Clients, owner: AsyncClient, member: Any, tenant: Any
) -> None:
    app = await tenant_client()
    made = await post(app)
    anna = await member("anna@example.org", "editor")
    for person, language, home in (
        (owner, "de", f"/dashboard/owner/tenants/{tenant.id}"),
        (anna, "fr", f"/dashboard/t/{tenant.slug}"),
    ):
        here = f"{home}/articles/{made['id']}/translations"
        begun = await person.post(here, data={"language": language})
        assert begun.headers["hx-redirect"].startswith(f"{home}/articles/"), begun.text
        assert "agrees" in (await person.get(here)).text
        await app.patch(f"{HERE}/{made['id']}", json={"body": f"Changed before {language}."})
        page = (await person.get(here)).text
        assert "moved on since version" in page and f"{here}/{language}/confirmation" in page
        done = await person.post(f"{here}/{language}/confirmation", headers=HTMX)
        assert done.status_code == 200 and "agrees with the original" in done.headers["hx-trigger"]
