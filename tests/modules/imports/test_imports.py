"""A folder of Markdown becomes drafts: each file once, and whoever asks is told what became of it."""

import asyncio
import io
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import asyncpg
import nh3
import pytest
from httpx2 import AsyncClient

from app.modules.imports.client import Unreadable, _Posts, entries, markdown_entry
from app.modules.imports.service import Importing
from tests.conftest import Made

Drain = Callable[..., Awaitable[int]]
Client = Callable[..., Awaitable[AsyncClient]]
PATH = "/api/v1/imports"
SCOPES = ("imports:read", "imports:write", "articles:read", "articles:write")
TIDES = """---
title: Tides of the North Sea
slug: Tides
language: en-GB
date: 2019-05-04
tags: [sea, "moon", sea]
categories: [Water, [Places, North Sea]]
---

Twice a **day**.
"""
FOLDER = {
    "blog/tides.md": TIDES,
    "blog/2020/harbour.md": "# The harbour\n\nShips.",
    "blog/untitled.markdown": "Only words.",
    "blog/bad.md": "---\ntitle: [open\n---\nText",
    "blog/taken.md": "---\ntitle: Another\nslug: tides\n---\nText",
    "blog/odd.md": "---\ntitle: Odd\nlanguage: Klingon!\n---\nText",
    "blog/latin.md": b"caf\xe9",
    "blog/image.png": b"\x89PNG",
    "__MACOSX/blog/._tides.md": "x",
}


def packed(files: dict[str, Any]) -> bytes:
    data = io.BytesIO()
    with ZipFile(data, "w", ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return data.getvalue()


async def imported(client: AsyncClient, drain: Drain, data: bytes, **params: Any) -> dict[str, Any]:
    answer = await client.post(PATH, content=data, params=params, headers={"Content-Type": "application/zip"})
    assert answer.status_code == 202, answer.text
    assert await drain() >= 1
    found: dict[str, Any] = (await client.get(answer.headers["location"])).json()
    return found


async def report(client: AsyncClient, run: dict[str, Any]) -> dict[str, tuple[str, str | None]]:
    items = (await client.get(f"{PATH}/{run['id']}/items", params={"limit": 100})).json()["items"]
    return {item["source"].removeprefix("markdown:"): (item["outcome"], item["reason"]) for item in items}


def counts(run: dict[str, Any]) -> tuple[str, int, int, int, int]:
    return run["status"], run["total"], run["created"], run["skipped"], run["failed"]


async def test_a_folder_becomes_drafts_once_with_a_report_of_each_file(
    tenant_client: Client, drain: Drain, admin: asyncpg.Connection
) -> None:
    client = await tenant_client(*SCOPES)
    dry = await imported(client, drain, packed(FOLDER), fileName="../../blog.zip", dryRun="true")
    assert (dry["fileName"], dry["dryRun"]) == ("blog.zip", True)
    assert counts(dry) == ("completed", 7, 4, 0, 3)
    assert (await report(client, dry))["tides.md"] == ("ready", None)
    assert (await client.get("/api/v1/articles")).json()["items"] == []
    assert await admin.fetchval("SELECT count(*) FROM audit_log WHERE action = 'article.create'") == 0

    first = await imported(client, drain, packed(FOLDER), fileName="blog.zip")
    assert counts(first) == ("completed", 7, 3, 0, 4)
    found = await report(client, first)
    assert {name for name, (outcome, _) in found.items() if outcome == "created"} == {
        *("tides.md", "2020/harbour.md", "untitled.markdown")
    }
    assert "front matter" in (found["bad.md"][1] or "") and "slug" in (found["taken.md"][1] or "")
    assert "language" in (found["odd.md"][1] or "") and "UTF-8" in (found["latin.md"][1] or "")
    articles = {one["title"]: one for one in (await client.get("/api/v1/articles")).json()["items"]}
    assert articles.keys() == {"Tides of the North Sea", "The harbour", "untitled"}
    tides = articles["Tides of the North Sea"]
    assert (tides["slug"], tides["language"], tides["status"]) == ("tides", "en-GB", "draft")
    items = (await client.get(f"{PATH}/{first['id']}/items", params={"outcome": "created", "limit": 100})).json()[
        "items"
    ]
    (item,) = [one for one in items if one["articleId"] == tides["id"]]
    assert (item["dated"], item["tags"]) == ("2019-05-04", ["sea", "moon"])
    assert [tag["name"] for tag in tides["tags"]] == ["moon", "sea"]
    assert [each["slug"] for each in tides["categories"]] == ["north-sea", "water"]
    assert await admin.fetchval("SELECT path FROM category WHERE slug = 'north-sea'") == "places north-sea"
    whole = (await client.get(f"/api/v1/articles/{tides['id']}")).json()
    assert whole["body"] == "Twice a **day**.\n" and "<strong>" in whole["html"]
    assert await admin.fetchval("SELECT actor_label FROM audit_log WHERE action = 'article.create' LIMIT 1") == "test"

    await client.delete(f"/api/v1/articles/{articles['untitled']['id']}")
    changed = {name.removeprefix("blog/"): text for name, text in FOLDER.items()} | {"2020/harbour.md": "# Changed"}
    again = await imported(client, drain, packed(changed))
    assert counts(again) == ("completed", 7, 1, 2, 4), "what was deleted since comes again"
    found = await report(client, again)
    assert found["tides.md"] == ("skipped", "was imported before")
    assert "differs" in (found["2020/harbour.md"][1] or "") and found["untitled.markdown"][0] == "created"
    assert await admin.fetchval("SELECT count(*) FROM import_run WHERE data IS NOT NULL") == 0


async def test_an_attempt_that_ends_early_is_taken_up_where_it_stopped(
    tenant_client: Client, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = Importing.create, []

    async def failing(self: Importing, *arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise OSError("the cable is out")
        return await real(self, *arguments)

    monkeypatch.setattr(Importing, "create", failing)
    client = await tenant_client(*SCOPES)
    answer = await client.post(PATH, files={"file": ("notes.zip", packed({f"{n}.md": f"# {n}" for n in range(4)}))})
    assert answer.status_code == 202 and answer.json()["fileName"] == "notes.zip"
    await drain(retries=True)
    run = (await client.get(answer.headers["location"])).json()
    assert counts(run) == ("completed", 4, 4, 0, 0) and len(calls) == 5


async def test_a_dead_import_that_is_replayed_goes_on_where_it_stopped(
    tenant_client: Client,
    drain: Drain,
    owner: AsyncClient,
    admin: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = Importing.create

    async def failing(self: Importing, run: Any, entry: Any) -> Any:
        if entry.source.endswith("2.md"):
            raise OSError("the cable is out")
        return await real(self, run, entry)

    client = await tenant_client(*SCOPES)
    with monkeypatch.context() as broken:
        broken.setattr(Importing, "create", failing)
        answer = await client.post(PATH, files={"file": ("a.zip", packed({f"{n}.md": f"# {n}" for n in range(4)}))})
        await drain(retries=True)
    dead = (await client.get(answer.headers["location"])).json()
    assert counts(dead) == ("failed", 4, 2, 0, 0)
    job = await admin.fetchval("SELECT id FROM job WHERE state = 'dead'")
    assert (await owner.post(f"/api/owner/queues/platform:tasks/dlq/{job}/replay")).status_code == 200
    await drain()
    assert counts((await client.get(answer.headers["location"])).json()) == ("completed", 4, 4, 0, 0)


async def test_what_cannot_be_read_is_said_and_others_see_nothing(
    tenant_client: Client, make_tenant: Callable[[str], Awaitable[Made]], drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await tenant_client(*SCOPES)
    for sent in ({"content": b"no archive"}, {"content": b""}, {"files": {"other": ("a.zip", b"PK\x03\x04")}}):
        answer = await client.post(PATH, **sent)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "file")
    broken = await imported(client, drain, packed(FOLDER)[:200])
    assert broken["status"] == "failed" and "not a whole ZIP archive" in broken["error"]
    for _ in range(3):
        assert (await client.post(PATH, content=packed({}))).status_code == 202
    assert (await client.post(PATH, content=packed({}))).json()["code"] == "too_many_imports"
    other = await tenant_client(*SCOPES, of=await make_tenant("Stranger"))
    assert (await other.get(f"{PATH}/{broken['id']}")).status_code == 404
    assert (await other.get(f"{PATH}/{broken['id']}/items")).status_code == 404
    reader = await tenant_client("imports:read")
    assert (await reader.post(PATH, content=packed(FOLDER))).status_code == 403


def test_what_is_read_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = markdown_entry("a.md", "---\na: &a [x, x]\nb: &b [*a, *a]\n---\n")
    assert bomb.problem == "its front matter cannot be read: aliases are not allowed in it"
    assert "recursion" in (markdown_entry("a.md", "---\na: " + "[" * 8_000 + "\n---\n").problem or "")
    assert "characters" in (markdown_entry("a.md", "---\na: " + "x" * 20_000 + "\n---\n").problem or "")
    assert markdown_entry("a.md", "---\n---\nText").body == "Text"
    (large,) = entries(packed({"a.md": "x" * 1_000_001}))
    assert large.problem == "has more than 1,000,000 bytes"
    monkeypatch.setattr("app.modules.imports.client.LARGEST_TOGETHER", 1_500_000)
    with pytest.raises(Unreadable, match="divide it"):
        entries(packed({f"{n}.md": "x" * 900_000 for n in range(2)}))
    monkeypatch.setattr("app.modules.imports.client.MOST_ITEMS", 2)
    with pytest.raises(Unreadable, match="more than 2 articles"):
        entries(packed({f"{n}.md": "" for n in range(3)}))


async def test_editors_import_on_their_page_and_the_owner_sees_it(
    member: Client, owner: AsyncClient, tenant: Made, drain: Drain, admin: asyncpg.Connection
) -> None:
    ann = await member("ann@example.org", "editor")
    page = f"/dashboard/t/{tenant.slug}/imports"
    empty = await ann.get(page)
    assert "No imports yet" in empty.text and 'enctype="multipart/form-data"' in empty.text
    sent = {"files": {"file": ("blog.zip", packed(FOLDER))}, "data": {"dryRun": "true"}}
    answer = await ann.post(page, headers={"HX-Request": "true"}, **sent)
    assert answer.status_code == 200 and "blog.zip" in answer.text and "is being read" in answer.headers["hx-trigger"]
    await drain()
    (run,) = (await owner.get("/api/owner/imports", params={"tenantId": str(tenant.id)})).json()["items"]
    assert (run["dryRun"], run["tenantId"], run["created"]) == (True, str(tenant.id), 4)
    for client, prefix in ((ann, page), (owner, "/dashboard/owner/imports")):
        shown = await client.get(f"{prefix}/{run['id']}", params={"outcome": "failed"})
        assert "front matter" in shown.text and "tides.md" not in shown.text
    listed = await owner.get("/dashboard/owner/imports")
    assert "blog.zip" in listed.text and tenant.name in listed.text and "enctype" not in listed.text
    assert (await owner.get(f"/api/owner/imports/{run['id']}/items")).json()["items"]
    viewer = await member("vic@example.org", "viewer")
    assert (await viewer.get(page)).status_code == 403

    # The owner starts one in a tenant's name, having chosen it.
    acts = f"/dashboard/owner/tenants/{tenant.id}/imports"
    chosen = await owner.get("/dashboard/owner/imports", params={"tenantId": str(tenant.id)})
    assert f'hx-post="{acts}"' in chosen.text and f"Import articles for {tenant.name}" in chosen.text
    begun = await owner.post(acts, files={"file": ("more.zip", packed(FOLDER))}, headers={"HX-Request": "true"})
    assert begun.status_code == 200 and "more.zip is being read" in begun.headers["hx-trigger"]
    await drain()
    api = f"/api/owner/tenants/{tenant.id}/imports"
    done = (await owner.get(api)).json()["items"][0]
    assert (done["fileName"], done["created"]) == ("more.zip", 3)
    sent_too = await owner.post(api, content=packed(FOLDER), headers={"Content-Type": "application/zip"})
    assert sent_too.status_code == 202 and sent_too.headers["location"].startswith(f"{api}/")
    await drain()
    assert (await owner.get(sent_too.headers["location"])).json()["skipped"] == 3
    trace = await admin.fetchval("SELECT correlation_id FROM import_run ORDER BY id DESC LIMIT 1")
    told = (await owner.get(f"/api/owner/traces/{trace}")).json()["items"]
    step = next(one for one in told if one["kind"] == "import")
    assert (step["status"], step["note"]) == ("completed", "0 created, 3 skipped, 4 failed")
    assert "Tides of the North Sea" in (await ann.get(f"/dashboard/t/{tenant.slug}/articles")).text


async def test_the_command_imports_a_folder_and_tells_what_failed(
    teknav: Callable[..., Awaitable[str]], tenant: Made, owner: AsyncClient, tmp_path: Path, drain: Drain
) -> None:
    (tmp_path / "blog" / "deep").mkdir(parents=True)
    for name, text in {"tides.md": TIDES, "deep/harbour.md": "# The harbour", ".hidden.md": "x", "a.txt": "x"}.items():
        (tmp_path / "blog" / name).write_text(text)
    os.utime(tmp_path / "blog" / "tides.md", (0, 0))  # an archive has no time before 1980

    async def work() -> None:
        while await drain() == 0:
            await asyncio.sleep(0.05)

    command = ("import", str(tmp_path / "blog"), "--tenant", tenant.slug)
    worker = asyncio.create_task(work())
    found = json.loads(await teknav(*command, "--json"))
    await worker
    assert (found["import"]["created"], found["failed"]) == (2, [])
    (tmp_path / "blog" / "bad.md").write_text(FOLDER["blog/bad.md"])
    worker = asyncio.create_task(work())
    await teknav(*command, code=1)
    await worker
    (run, _) = (await owner.get("/api/owner/imports")).json()["items"]
    assert (run["created"], run["skipped"], run["failed"], run["actorLabel"][:4]) == (0, 2, 1, "cli:")


WXR = """<?xml version="1.0" encoding="UTF-8" ?>
<rss version="2.0" xmlns:excerpt="http://wordpress.org/export/1.2/excerpt/"
  xmlns:content="http://purl.org/rss/1.0/modules/content/" xmlns:wp="http://wordpress.org/export/1.2/">
<channel><title>Blog</title><language>en-US</language>
<wp:category><wp:term_id>1</wp:term_id><wp:category_nicename>press</wp:category_nicename>
<wp:category_parent></wp:category_parent><wp:cat_name><![CDATA[Press]]></wp:cat_name></wp:category>
<wp:category><wp:term_id>2</wp:term_id><wp:category_nicename>x</wp:category_nicename>
<wp:category_parent>press</wp:category_parent><wp:cat_name><![CDATA[News]]></wp:cat_name></wp:category>
{items}
</channel></rss>"""
POST = """<item><title>{title}</title><guid isPermaLink="false">https://example.org/?p={n}</guid>
<content:encoded><![CDATA[{html}]]></content:encoded><excerpt:encoded><![CDATA[no]]></excerpt:encoded>
<wp:post_id>{n}</wp:post_id><wp:post_date>2019-05-04 10:00:00</wp:post_date><wp:post_name>{slug}</wp:post_name>
<wp:status>{status}</wp:status><wp:post_type>{kind}</wp:post_type>
<category domain="category" nicename="x"><![CDATA[News]]></category>
<category domain="post_tag" nicename="sea"><![CDATA[Sea]]></category></item>"""


def post(n: int, html: str, title: str = "Tides &amp; ships", kind: str = "post", status: str = "publish") -> str:
    return POST.format(n=n, html=html, title=title, kind=kind, status=status, slug=f"post-{n}")


async def test_an_export_of_wordpress_becomes_drafts_of_markdown(
    tenant_client: Client, drain: Drain, admin: asyncpg.Connection
) -> None:
    blocks = "<!-- wp:heading --><h2>Twice a day</h2><!-- /wp:heading --><p>The <em>sea</em>.</p><script>x()</script>"
    items = [
        post(1, blocks),
        post(2, "First\n\nSecond <b>bold</b>\n\n<blockquote>Said</blockquote>", "Classic"),
        post(3, "gone", status="trash"),
        post(4, "", kind="attachment"),
        post(5, "x" * 600_001, "Long"),
    ]
    client = await tenant_client(*SCOPES)
    data = WXR.format(items="".join(items)).encode()
    run = await imported(client, drain, data, fileName="blog.xml")
    assert (run["format"], *counts(run)) == ("wxr", "completed", 3, 2, 0, 1)
    listed = (await client.get("/api/v1/articles")).json()["items"]
    bodies = {}
    for one in listed:
        assert one["language"] == "en-US"
        assert ([tag["name"] for tag in one["tags"]], one["categories"]) == (
            ["Sea"],
            [{"name": "News", "slug": "news"}],
        )
        bodies[one["title"], one["slug"]] = (await client.get(f"/api/v1/articles/{one['id']}")).json()["body"]
    assert bodies == {
        ("Tides & ships", "post-1"): "## Twice a day\n\nThe *sea*.\n",
        ("Classic", "post-2"): "First\n\nSecond **bold**\n\n> Said\n",
    }
    assert await admin.fetchval("SELECT path FROM category WHERE slug = 'news'") == "press news"
    assert counts(await imported(client, drain, data)) == ("completed", 3, 0, 2, 1)
    for bad, why in (
        (b'<?xml version="1.0"?><!DOCTYPE rss [<!ENTITY a "b">]><rss><channel/></rss>', "document type"),
        (b"<rss><channel>", "not well-formed"),
        (b"<rss><other/></rss>", "no export of WordPress"),
    ):
        failed = await imported(client, drain, bad)
        assert failed["status"] == "failed" and why in failed["error"]
    deep = entries(WXR.format(items=post(1, "<div>" * 5_000)).encode())
    assert "cannot be converted" in (deep[0].problem or "")


@pytest.mark.parametrize(
    "html",
    [
        "<p>" + "".join(f"<b title={n}>" for n in range(60)) + "</p>" + "<p>x</p>" * 40,
        "<p>" + "".join(f"<b title='{n}></b>'>" for n in range(60)) + "</p>" + "<p>x</p>" * 40,
        "<b>" * 60 + "<table><td>" + "</b>" * 60 + "<i>" * 60 + "</table>" + "<p>x</p>" * 40,
        "<p><a href=" + "y" * 1_000 + "><p>" + "<p>x</p>" * 40,
        "<p>" * 20_001,
        "<i><b x='\"'><u>" * 30 + "<p>x</p>" * 40,
    ],
)
def test_what_is_never_closed_is_not_written_again_and_again(html: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[int] = []
    clean = nh3.clean

    def counting(text: str) -> str:
        made = clean(text)
        written.append(len(made))
        return made

    monkeypatch.setattr("app.modules.imports.client.nh3.clean", counting)
    monkeypatch.setattr("app.modules.imports.client.MOST_WRITTEN", 6_000)
    found = entries(WXR.format(items=post(1, html) + post(2, "<p>Fine</p>")).encode())
    assert max(written) < 8_000
    assert found[1].body == "Fine\n", "the others go on"
    if len(written) == 1:
        assert "cannot be converted" in (found[0].problem or "")


def test_what_html_says_is_kept_whole() -> None:
    html = (
        "<P class=x>It is <b>bold <i>and</b> so</i> &amp; a &lt;b&gt;, 3 < 4 <br/>"
        "<a href=\"/x?a=1&amp;b=2\" title='t \"q\"'>there</a><!-- <b> --><script>'</p>'</script></P>"
        '<ul><li>one<li>two</ul><img src=a.png alt="it\'s > that"><pre>a  <b</pre>'
    )
    (found,) = entries(WXR.format(items=post(1, html)).encode())
    assert found.body == (
        'It is **bold *and*** *so* & a <b>, 3 < 4   \n[there](/x?a=1&b=2 "t \\"q\\"")\n\n'
        "- one\n- two\n\n![it's > that](a.png)\n\n```\na\n```\n"
    )


@pytest.mark.parametrize("domain", ["category", "post_tag"])
def test_of_terms_no_more_are_read_than_an_article_may_have(domain: str) -> None:
    posts = _Posts()
    for tag in ("rss", "channel", "item"):
        posts.start(tag, {})
    for n in range(200):
        posts.start("category", {"domain": domain, "nicename": "n"})
        posts.data(f"t{n}\nu")
        posts.end("category")
    for name, value in (("post_type", "post"), ("status", "publish")):
        posts.start(f"{{http://wordpress.org/export/1.2/}}{name}", {})
        posts.data(value)
        posts.end(f"{{http://wordpress.org/export/1.2/}}{name}")
    posts.end("item")
    assert len(posts.found[0]["tags"] + posts.found[0]["categories"]) < 1_000


async def test_many_imports_at_once_are_no_more_than_may_be(tenant_client: Client) -> None:
    client = await tenant_client(*SCOPES)
    answers = await asyncio.gather(*(client.post(PATH, content=packed({f"{n}.md": "x"})) for n in range(8)))
    assert sorted(answer.status_code for answer in answers) == [202] * 3 + [409] * 5
