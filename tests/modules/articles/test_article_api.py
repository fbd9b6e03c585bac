"""`/api/v1/articles` as a tenant's app meets it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from httpx2 import AsyncClient

from app.core.ids import new_id
from app.core.markdown import Rendered, render

Clients = Callable[..., Awaitable[AsyncClient]]
HERE = "/api/v1/articles"
BODY = "# Tides\n\nThe sea comes *twice* a day.\n\n<script>alert(1)</script>"


async def post(app: AsyncClient, **changes: Any) -> dict[str, Any]:
    answer = await app.post(HERE, json={"title": "Tides", "body": BODY} | changes)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def fields(answer: Any) -> list[str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return [error["field"] for error in answer.json()["errors"]]


async def test_an_article_is_written_as_a_draft_and_read_back(tenant_client: Clients) -> None:
    app = await tenant_client()
    answer = await app.post(HERE, json={"title": " Tides ", "body": BODY})
    made = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == f"{HERE}/{made['id']}"
    assert answer.headers["etag"] == '"1"'
    again = await app.get(answer.headers["location"])
    assert again.status_code == 200
    assert again.headers["etag"] == '"1"'
    assert again.json() == made
    assert (made["title"], made["slug"], made["status"], made["language"]) == ("Tides", "tides", "draft", "en")
    assert (made["body"], made["excerpt"]) == (BODY, "The sea comes twice a day.")
    assert "<em>twice</em>" in made["html"]
    assert "<script" not in made["html"]
    assert made["summary"] is None
    assert made["publishedAt"] is None


async def test_a_markdown_file_is_taken_as_it_is(tenant_client: Clients) -> None:
    app = await tenant_client()
    kind = {"Content-Type": "text/markdown; charset=utf-8"}
    text = "\N{ZERO WIDTH NO-BREAK SPACE}# Karte *und* Gebiet\n\nÜber Karten.\n"
    made = (await app.post(f"{HERE}?language=de", content=text.encode(), headers=kind)).json()
    assert (made["title"], made["language"], made["body"]) == ("Karte und Gebiet", "de", text[1:])
    named = (await app.post(f"{HERE}?title=Other", content=text.encode(), headers=kind)).json()
    assert named["title"] == "Other"
    bare = await app.post(HERE, content=b"No heading here.", headers=kind)
    assert (bare.status_code, fields(bare)) == (422, ["title"])


async def test_bytes_that_are_not_utf8_are_refused_and_nothing_is_written(
    tenant_client: Clients, admin: asyncpg.Connection
) -> None:
    app = await tenant_client()
    answer = await app.post(HERE, content=b"# Caf\xe9", headers={"Content-Type": "text/markdown"})
    assert (answer.status_code, answer.json()["code"], fields(answer)) == (400, "bad_encoding", ["body"])
    assert "byte 6" in answer.json()["detail"]
    answer = await app.post(HERE, content=b'{"title": "Caf\xe9"}', headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert await admin.fetchval("SELECT count(*) FROM article") == 0


async def test_input_that_does_not_fit_names_its_field(tenant_client: Clients, admin: asyncpg.Connection) -> None:
    app = await tenant_client()
    cases: list[tuple[dict[str, Any], str]] = [
        ({"title": ""}, "title"),
        ({"title": "   "}, "title"),
        ({"title": "x" * 301}, "title"),
        ({"title": 7}, "title"),
        ({"title": "a\0b"}, "title"),
        ({"body": "x" * 1_000_001}, "body"),
        ({"body": "a\0b"}, "body"),
        ({"slug": "Not A Slug"}, "slug"),
        ({"slug": ""}, "slug"),
        ({"language": "english!"}, "language"),
        ({"language": "en\n"}, "language"),
        ({"workspaceId": "nowhere"}, "workspaceId"),
        ({"workspaceId": str(new_id())}, "workspaceId"),
        ({"surprise": 1}, "surprise"),
    ]
    for change, field in cases:
        answer = await app.post(HERE, json={"title": "Tides", "body": BODY} | change)
        assert answer.status_code in (400, 422), (change, answer.text)
        assert field in answer.json()["detail"], (change, answer.text)
    assert (await app.post(HERE, json={"title": "Tides"})).json()["detail"].count("body")
    assert await admin.fetchval("SELECT count(*) FROM article") == 0


async def test_the_same_title_twice_gets_two_slugs_and_a_wanted_slug_clashes(tenant_client: Clients) -> None:
    app = await tenant_client()
    first, second = await post(app), await post(app)
    assert first["slug"] == "tides"
    assert second["slug"].startswith("tides-")
    clash = await app.post(HERE, json={"title": "Other", "body": "", "slug": "tides"})
    assert (clash.status_code, clash.json()["code"], fields(clash)) == (409, "slug_taken", ["slug"])
    clash = await app.patch(f"{HERE}/{second['id']}", json={"slug": "tides"})
    assert (clash.status_code, clash.json()["code"]) == (409, "slug_taken")
    assert (await post(app, title="سفر به یزد"))["slug"] == "سفر-به-یزد"


async def test_writers_of_one_title_at_the_same_time_all_succeed(tenant_client: Clients) -> None:
    app = await tenant_client()
    made = await asyncio.gather(*(post(app) for _ in range(5)))
    assert len({article["slug"] for article in made}) == 5


async def test_a_change_makes_a_new_version_and_a_stale_one_is_refused(tenant_client: Clients) -> None:
    app = await tenant_client()
    made = await post(app)
    here = f"{HERE}/{made['id']}"
    changed = await app.patch(here, json={"body": "New."}, headers={"If-Match": '"1"'})
    assert (changed.status_code, changed.headers["etag"], changed.json()["html"]) == (200, '"2"', "<p>New.</p>\n")
    assert changed.json()["title"] == "Tides"
    assert changed.json()["updatedAt"] > made["updatedAt"]
    for stale in ('"1"', 'W/"2"', '"x"'):
        refused = await app.patch(here, json={"title": "Late"}, headers={"If-Match": stale})
        assert (refused.status_code, refused.json()["code"]) == (412, "stale")
        assert (await app.delete(here, headers={"If-Match": stale})).status_code == 412
        assert (await app.post(f"{here}/publication", headers={"If-Match": stale})).status_code == 412
    same = await app.patch(here, json={"body": "New."}, headers={"If-Match": '"1", "2"'})
    assert (same.status_code, same.headers["etag"]) == (200, '"2"')
    assert (await app.patch(here, json={"title": None})).status_code == 422
    assert (await app.get(here)).json()["version"] == 2


async def test_publishing_twice_is_publishing_once(tenant_client: Clients, admin: asyncpg.Connection) -> None:
    app = await tenant_client()
    here = f"{HERE}/{(await post(app))['id']}"
    first = await app.post(f"{here}/publication")
    assert (first.status_code, first.json()["status"]) == (200, "published")
    assert first.json()["publishedAt"] is not None
    again = await app.post(f"{here}/publication")
    assert (again.status_code, again.json()) == (200, first.json())
    assert (await app.delete(f"{here}/publication")).status_code == 204
    assert (await app.delete(f"{here}/publication")).status_code == 204
    article = (await app.get(here)).json()
    assert (article["status"], article["publishedAt"], article["version"]) == ("draft", None, 3)
    assert (await app.get(f"{here}/publication")).json()["detail"] == "This article is not published"
    actions = await admin.fetch("SELECT action FROM audit_log WHERE resource_type = 'article' ORDER BY id")
    assert [row["action"] for row in actions] == ["article.create", "article.publish", "article.unpublish"]


async def test_a_draft_is_submitted_taken_back_submitted_again_and_published(
    tenant_client: Clients, admin: asyncpg.Connection
) -> None:
    app, reader = await tenant_client(), await tenant_client("articles:read")
    here = f"{HERE}/{(await post(app))['id']}"
    assert (await app.post(f"{here}/submission", headers={"If-Match": '"7"'})).status_code == 412
    assert (await reader.post(f"{here}/submission")).status_code == 403
    first = await app.post(f"{here}/submission", headers={"If-Match": '"1"'})
    assert (first.status_code, first.json()["status"], first.headers["etag"]) == (200, "review", '"2"')
    assert (await app.post(f"{here}/submission")).json() == first.json()
    assert [one["status"] for one in (await app.get(HERE, params={"status": "review"})).json()["items"]] == ["review"]
    assert (await app.delete(f"{here}/publication")).status_code == 204, "it is not published, and waits on"
    assert (await app.get(here)).json()["status"] == "review"
    for _ in range(2):
        assert (await app.delete(f"{here}/submission")).status_code == 204
    assert (await app.get(here)).json()["status"] == "draft"
    await app.post(f"{here}/submission")
    assert (await app.post(f"{here}/publication")).json()["status"] == "published"
    refused = await app.post(f"{here}/submission")
    assert (refused.status_code, refused.json()["code"]) == (409, "already_published")
    rows = await admin.fetch(
        "SELECT action FROM audit_log WHERE resource_type = 'article' AND outcome = 'success' ORDER BY id"
    )
    done = [row["action"].removeprefix("article.") for row in rows]
    assert done == ["create", "submit", "withdraw", "submit", "publish"]


async def test_a_deleted_article_is_gone_and_its_slug_is_free(
    tenant_client: Clients, admin: asyncpg.Connection
) -> None:
    app = await tenant_client()
    made = await post(app)
    here = f"{HERE}/{made['id']}"
    assert (await app.delete(here)).status_code == 204
    for answer in (await app.get(here), await app.delete(here), await app.patch(here, json={"title": "x"})):
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert (await app.get(HERE)).json()["items"] == []
    assert (await post(app))["slug"] == made["slug"]
    assert await admin.fetchval("SELECT count(*) FROM article WHERE deleted_at IS NOT NULL") == 1


async def test_another_tenants_article_answers_like_a_missing_one(
    tenant_client: Clients, make_tenant: Callable[[str], Awaitable[Any]]
) -> None:
    mine, other = await tenant_client(), await tenant_client(of=await make_tenant("Casa Verde"))
    foreign, missing = (await post(other))["id"], new_id()
    for verb, path in (
        ("GET", ""),
        ("DELETE", ""),
        ("PATCH", ""),
        ("POST", "/submission"),
        ("DELETE", "/submission"),
        ("POST", "/publication"),
        ("DELETE", "/publication"),
    ):
        bodies = []
        for id_ in (foreign, missing):
            answer = await mine.request(verb, f"{HERE}/{id_}{path}", json={} if verb == "PATCH" else None)
            bodies.append((answer.status_code, {**answer.json(), "requestId": None}))
        assert bodies[0] == bodies[1]
        assert bodies[0][0] == 404
    assert (await mine.get(HERE)).json()["items"] == []
    assert (await mine.get(f"{HERE}/not-an-id")).status_code in (400, 404)


async def test_lists_are_paged_by_cursor_and_filtered(tenant_client: Clients) -> None:
    app = await tenant_client()
    ids = [(await post(app, language="de" if n % 2 else "en"))["id"] for n in range(5)]
    await app.post(f"{HERE}/{ids[0]}/publication")
    first = (await app.get(HERE, params={"limit": 2})).json()
    second = (await app.get(HERE, params={"limit": 2, "cursor": first["nextCursor"]})).json()
    third = (await app.get(HERE, params={"limit": 2, "cursor": second["nextCursor"]})).json()
    found = [one["id"] for page in (first, second, third) for one in page["items"]]
    assert found == ids[::-1]
    assert (first["prevCursor"], third["nextCursor"]) == (None, None)
    back = (await app.get(HERE, params={"limit": 2, "cursor": third["prevCursor"]})).json()
    assert back["items"] == second["items"]
    assert "body" not in first["items"][0]
    published = (await app.get(HERE, params={"status": "published"})).json()
    assert [one["id"] for one in published["items"]] == ids[:1]
    german = (await app.get(HERE, params={"language": "de"})).json()
    assert [one["id"] for one in german["items"]] == [ids[3], ids[1]]
    for wrong, field in (
        ({"status": "secret"}, "status"),
        ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"),
        ({"cursor": "abc"}, "cursor"),
        ({"status": "draft", "cursor": first["nextCursor"]}, "cursor"),
        ({"language": "\0"}, "language"),
        ({"q": "a\0"}, "q"),
        ({"sort": "relevance"}, "sort"),
        ({"from": "soon"}, "from"),
    ):
        answer = await app.get(HERE, params=wrong)
        assert answer.status_code in (400, 422), answer.text
        assert field in answer.json()["detail"]


async def test_search_knows_the_forms_of_words_by_language_and_the_best_comes_first(tenant_client: Clients) -> None:
    app = await tenant_client()
    body = await post(app, title="Harbours", body="Many ships lie there; a captain mapped them.")
    title = await post(app, title="How we print maps", body="On paper.")
    german = await post(app, title="Gehen", body="Er ging mit den Häusern der Stadt.", language="de")

    async def found(**params: str) -> list[str]:
        answer = await app.get(HERE, params=params)
        assert answer.status_code == 200, answer.text
        return [one["id"] for one in answer.json()["items"]]

    assert await found(q="mapping") == [title["id"], body["id"]], "the title counts more"
    assert await found(q="map -ship") == [title["id"]]
    assert await found(q='"captain mapped"') == [body["id"]]
    assert await found(q="Haus", language="de") == [german["id"]]
    assert await found(q="harbors") == [body["id"]], "nearly spelt"
    assert await found(q="nothing of this") == []
    assert await found(q="map", sort="createdAt") == [body["id"], title["id"]]
    assert await found(**{"from": "2020-01-01", "to": "2020-01-02"}) == []
    assert await found(sort="title") == [german["id"], body["id"], title["id"]]
    await app.post(f"{HERE}/{title['id']}/publication")
    await app.patch(f"{HERE}/{title['id']}", json={"title": "Compasses", "body": "Of brass."})
    seen = (await app.get("/api/v1/publications", params={"q": "printed map"})).json()["items"]
    assert [one["title"] for one in seen] == ["How we print maps"], "readers search what they see"
    assert await found(q="print") == []


async def test_words_that_are_no_words_find_nothing_and_break_nothing(tenant_client: Clients) -> None:
    app = await tenant_client()
    await post(app, title="Harbours", body="Many ships lie there.")
    odd = (
        '"',
        "- - -",
        "or or",
        "' & | ! ( ) : * <->",
        "\\",
        "%",
        "_",
        "-" * 200,
        "- " * 100,
        "- !" * 60,
        '-"' * 100,
        "\u200c",
        "\uffff",
        "🐟" * 200,
        "a:*b\\'",
    )
    for words in odd:
        for here in (HERE, "/api/v1/publications"):
            answer = await app.get(here, params={"q": words})
            assert (answer.status_code, answer.json()["items"]) == (200, []), (words, answer.text)
    for words in ("x" * 201, "a\0b", "a\nb"):
        answer = await app.get(HERE, params={"q": words})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "q")
    assert len((await app.get(HERE, params={"q": "   "})).json()["items"]) == 1, "none is asked for"


async def test_each_verb_wants_its_own_permission(tenant_client: Clients, client: AsyncClient) -> None:
    writer, reader = await tenant_client("articles:write"), await tenant_client("articles:read")
    here = f"{HERE}/{(await post(writer))['id']}"
    assert (await reader.get(here)).status_code == 200
    assert (await writer.get(here)).json()["code"] == "permission_missing"
    for answer in (
        await reader.post(HERE, json={"title": "Tides", "body": BODY}),
        await reader.patch(here, json={}),
        await reader.delete(here),
        await writer.post(f"{here}/publication"),
        await writer.delete(f"{here}/publication"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "permission_missing")
    assert (await client.get(here)).status_code == 401


async def test_a_repeat_under_one_idempotency_key_writes_one_article(tenant_client: Clients) -> None:
    app = await tenant_client()
    key = {"Idempotency-Key": "tides-1"}
    first = await app.post(HERE, json={"title": "Tides", "body": BODY}, headers=key)
    again = await app.post(HERE, json={"title": "Tides", "body": BODY}, headers=key)
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["location"] == first.headers["location"]
    other = await app.post(HERE, json={"title": "Tides", "body": "Other"}, headers=key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert len((await app.get(HERE)).json()["items"]) == 1


async def test_the_audit_row_tells_what_changed_without_the_body(
    tenant_client: Clients, admin: asyncpg.Connection
) -> None:
    app = await tenant_client()
    made = await post(app)
    await app.patch(f"{HERE}/{made['id']}", json={"title": "Neap tides", "body": "A body of its own."})
    row = await admin.fetchrow("SELECT * FROM audit_log WHERE action = 'article.update'")
    assert row["resource_id"] == made["id"]
    assert row["changed_fields"] == '["body", "title"]'
    assert "Neap tides" in row["after"]
    assert "A body of its own" not in row["after"]
    assert row["actor_kind"] == "token"


async def test_a_text_of_which_too_much_would_come_is_refused_by_its_field(
    tenant_client: Clients, admin: asyncpg.Connection
) -> None:
    app = await tenant_client()
    made = await post(app)
    table = "|a" * 300 + "|\n" + "|-" * 300 + "|\n" + "|x|\n" * 80
    links = "[x]: " + "y" * 5_000 + "\n\n" + "[x] " * 300
    for body in (table, links):
        refused = [await app.post(HERE, json={"title": "Wide", "body": body})]
        refused.append(await app.patch(f"{HERE}/{made['id']}", json={"body": body}))
        assert [(answer.status_code, fields(answer)) for answer in refused] == [(422, ["body"])] * 2
    assert await admin.fetchval("SELECT count(*) FROM article_version") == 1


async def test_whoever_waits_for_the_rendering_thread_keeps_no_transaction(
    tenant_client: Clients, admin: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, open_then = await tenant_client(), list[int]()
    begun = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in tr%'"

    async def looking(markdown: str, of: Any) -> Rendered:
        open_then.append(await admin.fetchval(begun))
        return render(markdown)

    monkeypatch.setattr("app.modules.articles.service.rendered", looking)
    made = await post(app)
    assert (await app.patch(f"{HERE}/{made['id']}", json={"body": "New."})).status_code == 200
    assert open_then == [0, 0]


SHOWN = [
    "id",
    "workspaceId",
    "slug",
    "title",
    "excerpt",
    "language",
    "status",
    "draftVersion",
    "publishedVersion",
    "publishedAt",
    "createdAt",
    "updatedAt",
    "version",
    "tags",
    "categories",
]
SEEN = [
    "articleId",
    "version",
    "slug",
    "title",
    "excerpt",
    "language",
    "publishedAt",
    "updatedAt",
    "tags",
    "categories",
]


async def test_lists_show_what_each_article_shows_by_itself_field_by_field_in_one_order(
    tenant_client: Clients, owner: AsyncClient
) -> None:
    app = await tenant_client("articles:read", "articles:write", "articles:publish", "taxonomy:write")
    tree = (await app.post("/api/v1/categories", json={"name": "Printing"})).json()
    under = {"categories": [tree["slug"]]}
    made = [await post(app, title="Ebb", tags=["Tides", "Maps", "Currents"], **under)]
    made += [await post(app, title="Flood", language="pt-BR", tags=["Maps"]), await post(app, title="Spring", **under)]
    made.append(await post(app, title="Neap"))
    for one in made[:3]:
        assert (await app.post(f"{HERE}/{one['id']}/publication")).status_code == 200
    assert (await app.patch(f"{HERE}/{made[1]['id']}", json={"title": "High water"})).status_code == 200
    alone = {one["id"]: (await app.get(f"{HERE}/{one['id']}")).json() for one in made}
    for params in ({"sort": "createdAt"}, {"sort": "title"}, {"q": "tides", "sort": "-updatedAt"}, {"q": "Spring"}):
        listed: list[dict[str, Any]] = []
        more: dict[str, Any] = {"limit": 3}
        while more:
            page = (await app.get(HERE, params=params | more)).json()
            listed += page["items"]
            more = {"limit": 3, "cursor": page["nextCursor"]} if page["nextCursor"] else {}
        assert {one["id"] for one in listed} == ({made[2]["id"]} if params.get("q") == "Spring" else alone.keys())
        for one in listed:
            assert [*one.items()] == [(name, alone[one["id"]][name]) for name in SHOWN]
    terms = alone[made[0]["id"]]["tags"]
    assert [term["name"] for term in terms] == ["Currents", "Maps", "Tides"]
    for one in (await app.get("/api/v1/publications")).json()["items"]:
        by_itself = (await app.get(f"{HERE}/{one['articleId']}/publication")).json()
        assert [*one.items()] == [(name, by_itself[name]) for name in SEEN]
    of_all = (await owner.get("/api/owner/articles")).json()["items"]
    assert {one["id"]: [one[name] for name in SHOWN] for one in of_all} == {
        id_: [one[name] for name in SHOWN] for id_, one in alone.items()
    }
