"""Every change of content is a version; readers see the one that was published."""

import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Plane, Scope
from app.core.errors import Stale
from app.core.ids import new_id
from app.core.policy import Actor
from app.modules.articles.schemas import ArticleChange
from app.modules.articles.service import ArticleService, ArticleVersion
from app.modules.history.service import MOST_PAIRS, compare
from tests.modules.articles.test_article_api import HERE, Clients, post

Transaction = Callable[[Scope], AbstractAsyncContextManager[AsyncSession]]


@pytest.mark.promise("S4-4")
async def test_readers_go_on_seeing_the_published_version_while_the_draft_goes_on(
    tenant_client: Clients, admin: asyncpg.Connection
) -> None:
    app = await tenant_client()
    made = await post(app, title="Tides", body="Twice a day.")
    here = f"{HERE}/{made['id']}"
    assert (made["draftVersion"], made["publishedVersion"]) == (1, None)
    assert (await app.get("/api/v1/publications")).json()["items"] == []
    first = (await app.post(f"{here}/publication")).json()
    assert (first["status"], first["publishedVersion"]) == ("published", 1)
    changed = await app.patch(here, json={"title": "Neap tides", "slug": "neap", "reason": "Only these"})
    assert [changed.json()[name] for name in ("status", "draftVersion", "publishedVersion")] == ["draft", 2, 1]
    seen = await app.get(f"{here}/publication")
    assert (seen.headers["etag"], seen.json()["title"], seen.json()["slug"]) == ('"1"', "Tides", "tides")
    assert seen.json()["html"] == "<p>Twice a day.</p>\n"
    listed = (await app.get("/api/v1/publications", params={"language": "en"})).json()["items"]
    assert [(one["articleId"], one["version"], one["title"]) for one in listed] == [(made["id"], 1, "Tides")]
    assert "html" not in listed[0]
    # The draft has left its slug, which readers still find it under.
    other = await post(app, title="Tides")
    assert other["slug"] == "tides"
    clash = await app.post(f"{HERE}/{other['id']}/publication")
    assert (clash.status_code, clash.json()["code"]) == (409, "slug_taken")
    second = (await app.post(f"{here}/publication")).json()
    assert (second["status"], second["publishedVersion"]) == ("published", 2)
    assert second["publishedAt"] == first["publishedAt"], "readers see it since then"
    back = (await app.post(f"{here}/publication", json={"version": 1})).json()
    assert (back["status"], back["draftVersion"], back["publishedVersion"]) == ("draft", 2, 1)
    assert (await app.get(f"{here}/publication")).json()["title"] == "Tides"
    assert (await app.post(f"{here}/publication", json={"version": 9})).status_code == 404
    assert (await app.post(f"{here}/publication", json={"version": 0})).status_code == 422
    assert (await app.delete(f"{here}/publication")).status_code == 204
    assert (await app.get(f"{here}/publication")).status_code == 404
    await app.post(f"{here}/publication")
    assert (await app.delete(here)).status_code == 204
    assert (await app.get("/api/v1/publications")).json()["items"] == []
    assert await admin.fetchval("SELECT count(*) FROM publication") == 0


@pytest.mark.promise("S4-4")
async def test_versions_are_listed_read_compared_and_restored(
    tenant_client: Clients, admin: asyncpg.Connection
) -> None:
    app = await tenant_client()
    lines = [f"Line {n}" for n in range(1, 31)]
    made = await post(app, title="Lines", body="\n".join(lines))
    here = f"{HERE}/{made['id']}"
    lines[1:2], lines[20] = [], "Another line"
    await app.patch(here, json={"body": "\n".join(lines), "title": "Other lines", "reason": "Shorter"})
    await app.patch(here, json={"body": "\n".join(lines)})  # nothing new
    assert (await app.patch(here, json={"reason": "two\nlines", "title": "x"})).status_code == 422
    page = (await app.get(f"{here}/versions", params={"limit": 1})).json()
    rest = (await app.get(f"{here}/versions", params={"limit": 1, "cursor": page["nextCursor"]})).json()
    assert [(one["number"], one["reason"]) for one in page["items"] + rest["items"]] == [(2, "Shorter"), (1, None)]
    assert page["items"][0]["author"].startswith("test")
    first = await app.get(f"{here}/versions/1")
    assert first.json()["body"].startswith("Line 1\nLine 2\n") and first.json()["sha256"] in first.headers["etag"]
    changes = (await app.get(f"{here}/versions/2/changes")).json()
    assert (changes["before"], changes["after"], changes["exact"]) == (1, 2, True)
    assert changes["fields"] == [{"field": "title", "before": "Lines", "after": "Other lines"}]
    told = [[(line["kind"], line["before"], line["after"]) for line in hunk] for hunk in changes["hunks"]]
    assert told[0] == [("same", 1, 1), ("removed", 2, None), ("same", 3, 2), ("same", 4, 3), ("same", 5, 4)]
    assert told[1][3:5] == [("removed", 22, None), ("added", None, 21)] and len(told[1]) == 8
    same = (await app.get(f"{here}/versions/2/changes", params={"since": 2})).json()
    assert (same["fields"], same["hunks"]) == ([], [])
    turned = (await app.get(f"{here}/versions/1/changes", params={"since": 2})).json()
    assert [line["kind"] for line in turned["hunks"][0]].count("added") == 1
    back = await app.post(f"{here}/versions/1/restoration", headers={"If-Match": '"2"'})
    assert (back.status_code, back.json()["title"], back.json()["draftVersion"]) == (201, "Lines", 3)
    assert (await app.post(f"{here}/versions/1/restoration", headers={"If-Match": '"2"'})).status_code == 412
    assert (await app.post(f"{here}/versions/9/restoration")).status_code == 404
    hashes = [(await app.get(f"{here}/versions/{n}")).json()["sha256"] for n in (1, 2, 3)]
    assert hashes[0] == hashes[2] != hashes[1]
    row = await admin.fetchrow("SELECT reason FROM audit_log WHERE action = 'article.restore' AND outcome = 'success'")
    assert row["reason"] == "Version 1 again"
    for path in ("versions/9", "versions/9/changes", "versions/1/changes?since=9"):
        assert (await app.get(f"{here}/{path}")).status_code == 404
        assert (await app.get(f"{HERE}/{new_id()}/{path}")).status_code == 404


async def test_a_revision_made_of_an_older_version_is_refused(
    tenant_client: Clients, tenant: Any, transaction: Transaction
) -> None:
    app = await tenant_client()
    made = await post(app)
    actor = Actor("token", new_id(), "writer", frozenset(), Plane.TENANT, tenant.id)
    run, change = new_id(), ArticleChange(body="By a machine.")
    async with transaction(actor.scope) as session:
        service = ArticleService(session, actor)
        await service.revise(made["id"], change, reason="Rewritten", ai_run_id=run, base_version=1)
    async with transaction(actor.scope) as session:
        with pytest.raises(Stale):
            change = ArticleChange(body="By another.")
            await ArticleService(session, actor).revise(made["id"], change, reason="Late", base_version=1)
    kept = (await app.get(f"{HERE}/{made['id']}/versions/2")).json()
    assert (kept["aiRunId"], kept["reason"], kept["body"]) == (str(run), "Rewritten", "By a machine.")
    for statement in ("UPDATE article_version SET number = 7", "DELETE FROM article_version"):
        with pytest.raises(DBAPIError, match="permission denied"):
            async with transaction(actor.scope) as session:
                await (await session.connection()).exec_driver_sql(statement)


async def test_bodies_too_long_to_compare_by_line_differ_as_a_whole() -> None:
    count = int(MOST_PAIRS**0.5) + 1

    def version(number: int) -> ArticleVersion:
        body = "\n".join(["same", *(f"{number} {n % 7}" for n in range(count)), "end"])
        return ArticleVersion(number=number, snapshot={"title": "t", "slug": "t", "language": "en", "body": body})

    began = time.perf_counter()
    found = await compare(version(1), version(2))
    assert time.perf_counter() - began < 2
    assert not found.exact
    kinds = [line.kind for line in found.hunks[0]]
    assert (len(found.hunks), kinds.count("removed"), kinds.count("added"), kinds.count("same")) == (1, count, count, 2)
