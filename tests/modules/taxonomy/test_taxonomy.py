"""What articles are sorted under: tags that are merged, a tree that is moved about, and what becomes of articles."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from html import unescape
from typing import Any

import asyncpg
import pytest
from httpx2 import AsyncClient

from app.core.database import Database, Plane, Scope
from app.core.errors import Forbidden
from app.core.ids import new_id
from app.core.policy import Actor
from app.core.settings import Settings
from app.modules.taxonomy.service import TaxonomyService
from tests.conftest import Made

Client = Callable[..., Awaitable[AsyncClient]]
Person = Callable[..., Awaitable[AsyncClient]]
V1 = "/api/v1"
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
SCOPES = ("articles:read", "articles:write", "articles:publish", "taxonomy:read", "taxonomy:write")


async def names(app: AsyncClient, article: str) -> tuple[list[str], list[str]]:
    found = (await app.get(f"{V1}/articles/{article}")).json()
    return [tag["name"] for tag in found["tags"]], [each["slug"] for each in found["categories"]]


async def titles(app: AsyncClient, **wanted: str) -> set[str]:
    return {row["title"] for row in (await app.get(f"{V1}/articles", params=wanted)).json()["items"]}


async def category(app: AsyncClient, name: str, parent: str | None = None) -> dict[str, Any]:
    made = await app.post(f"{V1}/categories", json={"name": name, "parentId": parent})
    assert made.status_code == 201, made.text
    found: dict[str, Any] = made.json()
    return found


@pytest.mark.promise("S4-4")
async def test_tags_are_made_by_naming_them_renamed_merged_and_deleted(
    tenant_client: Client, make_tenant: Callable[[str], Awaitable[Made]]
) -> None:
    app = await tenant_client(*SCOPES)
    made = await app.post(f"{V1}/articles", json={"title": "Maps", "body": "x", "tags": ["Maps", "maps", "C++", "C"]})
    assert made.status_code == 201, made.text
    one = made.json()
    assert [tag["name"] for tag in one["tags"]] == ["C", "C++", "Maps"] and one["draftVersion"] == 1
    assert len({tag["slug"] for tag in one["tags"]}) == 3
    two = (await app.post(f"{V1}/articles", json={"title": "Charts", "body": "x", "tags": ["Cartography"]})).json()
    assert await titles(app, tag="maps") == {"Maps"} and await titles(app, tag="none") == set()

    # What stands under what is no part of a version, but it is a change of the article.
    path, match = f"{V1}/articles/{one['id']}", {"If-Match": f'"{one["version"]}"'}
    changed = (await app.patch(path, json={"tags": ["Maps", "Cartography"]}, headers=match)).json()
    assert (changed["draftVersion"], changed["version"]) == (1, one["version"] + 1)
    assert (await app.patch(path, json={"tags": []}, headers=match)).status_code == 412
    same = (await app.patch(path, json={"tags": ["cartography", "MAPS"]})).json()
    assert same["version"] == changed["version"]
    assert (await app.post(f"{path}/publication")).status_code == 200
    assert (await app.get(f"{path}/publication")).json()["tags"] == changed["tags"]
    [public] = (await app.get(f"{V1}/publications", params={"tag": "maps"})).json()["items"]
    assert public["tags"] == changed["tags"]
    assert (await app.get(f"{V1}/publications", params={"tag": "c"})).json()["items"] == []

    listed = (await app.get(f"{V1}/tags", params={"limit": 3})).json()
    assert [(tag["name"], tag["articles"]) for tag in listed["items"]] == [("C", 0), ("C++", 0), ("Cartography", 2)]
    rest = (await app.get(f"{V1}/tags", params={"limit": 3, "cursor": listed["nextCursor"]})).json()["items"]
    assert [tag["name"] for tag in rest] == ["Maps"]
    maps, charts, c = rest[0], listed["items"][2], listed["items"][0]
    assert await titles(app, tag="maps") == {"Maps"} == await titles(app, tag="maps")  # kept, then dropped
    renamed = await app.patch(f"{V1}/tags/{maps['id']}", json={"name": "Old maps", "slug": "old-maps"})
    assert await titles(app, tag="maps") == set()
    assert renamed.json()["slug"] == "old-maps" and await titles(app, tag="old-maps") == {"Maps"}
    for body, field in (
        ({"name": "CARTOGRAPHY"}, "name"),
        ({"slug": "cartography"}, "slug"),
        ({"name": "a, b"}, "name"),
        ({"slug": "Not A Slug"}, "slug"),
    ):
        wrong = await app.patch(f"{V1}/tags/{maps['id']}", json=body)
        assert wrong.status_code in (409, 422) and wrong.json()["errors"][0]["field"] == field, wrong.text
    itself = await app.post(f"{V1}/tags/{maps['id']}/merger", json={"into": maps["id"]})
    assert itself.status_code == 422 and itself.json()["errors"][0]["field"] == "into"
    merged = await app.post(f"{V1}/tags/{maps['id']}/merger", json={"into": charts["id"]})
    assert (merged.json()["name"], merged.json()["articles"]) == ("Cartography", 2)
    assert await names(app, one["id"]) == (["Cartography"], []) == await names(app, two["id"])
    assert (await app.get(f"{V1}/tags/{maps['id']}")).status_code == 404
    assert (await app.delete(f"{V1}/tags/{charts['id']}")).status_code == 204
    assert await names(app, one["id"]) == ([], []) and await titles(app) == {"Maps", "Charts"}

    # Another tenant's are not there, and neither are they for a program that may not write them.
    far = await tenant_client(*SCOPES, of=await make_tenant("Far Shore"))
    for answer in (
        await far.get(f"{V1}/tags/{c['id']}"),
        await far.patch(f"{V1}/tags/{c['id']}", json={"name": "Mine"}),
        await far.delete(f"{V1}/tags/{c['id']}"),
    ):
        assert answer.status_code == 404
    mine = (await far.post(f"{V1}/tags", json={"name": "C"})).json()
    stolen = await far.post(f"{V1}/tags/{mine['id']}/merger", json={"into": c["id"]})
    assert stolen.status_code == 422
    reader = await tenant_client("taxonomy:read", "articles:read")
    assert (await reader.get(f"{V1}/tags")).status_code == 200
    assert (await reader.delete(f"{V1}/tags/{c['id']}")).status_code == 403


async def test_a_tag_that_two_articles_name_at_the_same_time_is_one(tenant_client: Client) -> None:
    app = await tenant_client(*SCOPES)
    body = {"body": "x", "tags": ["Tides", "Sea", "Salt"]}
    made = await asyncio.gather(*(app.post(f"{V1}/articles", json=body | {"title": f"No. {n}"}) for n in range(6)))
    assert [answer.status_code for answer in made] == [201] * 6
    assert [tag["articles"] for tag in (await app.get(f"{V1}/tags")).json()["items"]] == [6, 6, 6]


@pytest.mark.promise("S4-4")
async def test_categories_are_a_tree_that_is_moved_about_and_keeps_its_articles(tenant_client: Client) -> None:
    app = await tenant_client(*SCOPES)
    news = await category(app, "News")
    prints = await category(app, "Printing", news["id"])
    offset = await category(app, "Offset", prints["id"])
    tools = await category(app, "Tools")
    assert offset["depth"] == 2
    body = {"title": "Presses", "body": "x", "categories": ["offset"]}
    made = await app.post(f"{V1}/articles", json=body)
    assert made.status_code == 201, made.text
    article = made.json()["id"]
    unknown = await app.patch(f"{V1}/articles/{article}", json={"categories": ["offset", "none"]})
    assert unknown.status_code == 422 and unknown.json()["errors"][0]["field"] == "categories"
    assert await titles(app, category="news") == {"Presses"} and await titles(app, category="tools") == set()

    moved = await app.patch(f"{V1}/categories/{prints['id']}", json={"parentId": tools["id"], "slug": "print"})
    assert moved.status_code == 200, moved.text
    tree = [(row["slug"], row["depth"]) for row in (await app.get(f"{V1}/categories")).json()["items"]]
    assert tree == [("news", 0), ("tools", 0), ("print", 1), ("offset", 2)]
    assert await titles(app, category="news") == set() and await titles(app, category="tools") == {"Presses"}
    ring = await app.patch(f"{V1}/categories/{tools['id']}", json={"parentId": offset["id"]})
    assert ring.status_code == 422 and ring.json()["errors"][0]["field"] == "parentId"
    fifth = await category(app, "Webs", (await category(app, "Rolls", offset["id"]))["id"])
    deeper = await app.post(f"{V1}/categories", json={"name": "Sixth", "parentId": fifth["id"]})
    assert deeper.status_code == 409 and deeper.json()["code"] == "too_deep"
    lower = await app.patch(f"{V1}/categories/{tools['id']}", json={"parentId": news["id"]})
    assert lower.json()["code"] == "too_deep"
    twin = await app.post(f"{V1}/categories", json={"name": "print", "parentId": tools["id"], "slug": "print"})
    assert twin.status_code == 409 and twin.json()["code"] == "slug_taken"
    double = await app.post(f"{V1}/categories", json={"name": "PRINTING", "parentId": tools["id"]})
    assert double.status_code == 409 and double.json()["code"] == "name_taken"

    gone = await app.delete(f"{V1}/categories/{offset['id']}", params={"moveTo": news["id"]})
    assert gone.status_code == 204, gone.text
    tree = [(row["slug"], row["depth"], row["articles"]) for row in (await app.get(f"{V1}/categories")).json()["items"]]
    assert tree == [("news", 0, 1), ("tools", 0, 0), ("print", 1, 0), ("rolls", 2, 0), ("webs", 3, 0)]
    assert await names(app, article) == ([], ["news"])
    assert (await app.delete(f"{V1}/categories/{news['id']}")).status_code == 204
    assert await names(app, article) == ([], [])
    # A deleted article stands under nothing.
    await app.patch(f"{V1}/articles/{article}", json={"categories": ["tools"]})
    await app.delete(f"{V1}/articles/{article}")
    assert (await app.get(f"{V1}/categories/{tools['id']}")).json()["articles"] == 0


async def test_an_article_that_comes_under_a_category_just_before_it_is_deleted_moves_along(
    tenant_client: Client, admin: asyncpg.Connection, settings: Settings
) -> None:
    app = await tenant_client(*SCOPES)
    old, new = await category(app, "Old"), await category(app, "New")
    article = (await app.post(f"{V1}/articles", json={"title": "Late", "body": "x"})).json()["id"]
    writing = await asyncpg.connect(settings.migration_database_url)
    try:
        transaction = writing.transaction()
        await transaction.start()
        await writing.execute("SET LOCAL ROLE teknav_platform")
        await writing.execute(
            "INSERT INTO article_category SELECT gen_random_uuid(), tenant_id, $1, id FROM category WHERE id = $2",
            article,
            old["id"],
        )
        gone = asyncio.create_task(app.delete(f"{V1}/categories/{old['id']}", params={"moveTo": new["id"]}))
        async with asyncio.timeout(10):
            while not await admin.fetchval(WAITING):
                await asyncio.sleep(0.01)
        await transaction.commit()
        assert (await gone).status_code == 204
    finally:
        await writing.close()
    assert await names(app, article) == ([], ["new"])


@pytest.mark.promise("S4-4")
async def test_the_pages_of_owner_and_members_make_rename_merge_and_delete(
    owner: AsyncClient, member: Person, tenant: Made, tenant_client: Client
) -> None:
    htmx = {"HX-Request": "true"}
    page = "/dashboard/owner/tags"
    assert "No tags yet" in (await owner.get(page)).text
    assert (await owner.post(page, data={"name": "Tides"})).status_code == 422
    for name in ("Tides & <b>", "Sea"):
        made = await owner.post(page, data={"name": name, "tenantId": str(tenant.id)}, headers=htmx)
        assert made.status_code == 200 and name in unescape(made.text), made.text
    sea, tides = (await owner.get("/api/owner/tags", params={"tenantId": str(tenant.id)})).json()["items"]
    assert "Tides &amp; &lt;b&gt;" in (await owner.get(f"{page}/{tides['id']}")).text
    form = {"name": "Tides", "slug": "tides", "version": "1"}
    assert "Tides" in (await owner.post(f"{page}/{tides['id']}", data=form, headers=htmx)).headers["hx-trigger"]
    assert (await owner.post(f"{page}/{tides['id']}", data=form, headers=htmx)).status_code == 412

    home = f"/dashboard/t/{tenant.slug}"
    editor, author = await member("ed@example.org", "editor"), await member("au@example.org", "author")
    tree = f"{home}/categories"
    assert "Printing" in (await editor.post(tree, data={"name": "Printing", "parentId": ""}, headers=htmx)).text
    [row] = (await owner.get("/api/owner/categories")).json()["items"]
    new = {"name": "Offset", "parentId": row["id"]}
    assert "printing / offset" in (await editor.post(tree, data=new, headers=htmx)).text
    assert (await author.get(tree)).status_code == 200
    assert (await author.post(tree, data=new)).status_code == 403

    article = {"title": "Presses", "body": "x", "tags": "Tides,  Sea, Ink", "categories": ["", "offset"]}
    place = (await author.post(f"{home}/articles", data=article, headers=htmx)).headers["hx-redirect"]
    shown = unescape((await author.get(place)).text)
    assert "tag=ink" in shown and "category=offset" in shown
    edit = unescape((await author.get(f"{place}/edit")).text)
    assert 'value="Ink, Sea, Tides"' in edit and 'value="offset" checked' in edit
    assert "Presses" in (await author.get(f"{home}/articles", params={"category": "printing"})).text
    assert "No article fits" in (await author.get(f"{home}/articles", params={"tag": "none"})).text
    owners = "/dashboard/owner/articles"
    assert "Presses" in (await owner.get(owners, params={"tenantId": str(tenant.id), "tag": "sea"})).text

    merged = await editor.post(f"{home}/tags/{sea['id']}/merger", data={"into": tides["id"]}, headers=htmx)
    assert merged.headers["hx-redirect"] == f"{home}/tags/{tides['id']}"
    assert (await owner.get("/api/owner/tags")).json()["items"][1]["articles"] == 1
    left = await author.post(place, data=article | {"tags": "", "categories": ""}, headers=htmx)
    assert left.status_code == 200 and "category=offset" not in (await author.get(place)).text
    for path in (f"{home}/tags/{tides['id']}", f"{tree}/{row['id']}"):
        gone = await editor.post(f"{path}/removal", data={"moveTo": ""}, headers=htmx)
        assert gone.headers["hx-redirect"] == path.rpartition("/")[0], gone.text
    log = (await owner.get("/api/owner/logs/audit", params={"tenantId": str(tenant.id)})).json()["items"]
    assert {"tag.merge", "tag.update", "tag.create", "category.create", "category.delete"} <= {
        entry["action"] for entry in log
    }


async def test_the_command_does_what_the_pages_do(teknav: Callable[..., Awaitable[str]], tenant: Made) -> None:
    of = ("--tenant", str(tenant.id))
    sea, tides = [json.loads(await teknav("tag", "create", name, *of, "--json")) for name in ("Sea", "Tides")]
    assert "Oceans" in await teknav("tag", "change", sea["id"], "--name", "Oceans")
    for sort, first in (("name", "Oceans"), ("-name", "Tides"), ("createdAt", "Oceans"), ("-createdAt", "Tides")):
        listed = json.loads(await teknav("tag", "list", *of, "--sort", sort, "--limit", "1", "--json"))
        assert [one["name"] for one in listed["items"]] == [first], sort
        at = ("--sort", sort, "--cursor", listed["nextCursor"], "--json")
        assert json.loads(await teknav("tag", "list", *of, *at))["items"][0]["name"] != first
    assert "sort: must be one of name, -name" in await teknav("tag", "list", "--sort", "size", code=1)
    assert "Tides has its articles now" in await teknav("tag", "merge", sea["id"], tides["id"])
    assert "Tides is deleted" in await teknav("tag", "delete", tides["id"])
    assert json.loads(await teknav("tag", "list", *of, "--json"))["items"] == []
    top = json.loads(await teknav("category", "create", "Printing", *of, "--json"))
    low = json.loads(await teknav("category", "create", "Offset", *of, "--parent", top["id"], "--json"))
    assert "  Offset" in await teknav("category", "list")
    assert "is changed" in await teknav("category", "change", low["id"], "--root")
    assert "is deleted" in await teknav("category", "delete", top["id"], "--move-to", low["id"])
    [left] = json.loads(await teknav("category", "list", "--search", "off", "--json"))["items"]
    assert (left["slug"], left["depth"]) == ("offset", 0)


async def test_many_tags_at_once_are_no_more_than_may_be(
    tenant_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.modules.taxonomy.service.MOST_TAGS", 2)
    app = await tenant_client(*SCOPES)
    answers = await asyncio.gather(*(app.post(f"{V1}/tags", json={"name": f"Tag {n}"}) for n in range(8)))
    assert sorted(answer.status_code for answer in answers) == [201] * 2 + [409] * 6


async def test_who_is_tied_to_a_workspace_takes_the_categories_that_are_there_and_makes_none(
    database: Database, tenant: Made
) -> None:
    scope = Scope(Plane.TENANT, tenant.id)
    whole = Actor("token", new_id(), "whole", frozenset(), Plane.TENANT, tenant.id)
    tied = replace(whole, workspace_id=new_id())
    async with database.transaction(scope) as session:
        made = await TaxonomyService(session, whole).category_of(tenant.id, ["News", "Local"])
    async with database.transaction(scope) as session:
        service = TaxonomyService(session, tied)
        assert await service.category_of(tenant.id, ["News", "Local"]) == made
        with pytest.raises(Forbidden) as refused:
            await service.category_of(tenant.id, ["News", "Abroad"])
        assert refused.value.code == "workspace_token"
