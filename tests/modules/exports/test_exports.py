"""Exports: a list's filters become a file, made by a job, piece by piece."""

import asyncio
import csv
import io
import json
import re
import threading
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from httpx2 import AsyncClient
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Plane, Scope
from app.core.errors import Forbidden
from app.core.policy import Actor
from app.modules.audit.service import record
from app.modules.exports import service
from app.modules.exports.jobs import PurgeExports
from app.modules.exports.schemas import cell
from app.modules.exports.service import Exports
from app.queues.enqueue import enqueue
from tests.modules.conftest import Teknav

Transaction = Callable[[Scope], AbstractAsyncContextManager[AsyncSession]]
Drain = Callable[..., Awaitable[int]]
PATH, PAGE = "/api/owner/exports", "/dashboard/owner/exports"
LOG = "/api/owner/logs/audit"


async def fill(transaction: Transaction, operator: Actor, count: int, label: str = "Thing") -> None:
    async with transaction(operator.scope) as session:
        for n in range(count):
            after = {"n": n, "deep": {"is": [n]}}
            await record(session, operator, "thing.change", resource=("thing", n, label), after=after)


async def made(owner: AsyncClient, drain: Drain, **body: Any) -> dict[str, Any]:
    answer = await owner.post(PATH, json={"list": "audit", "filter": {"action": "thing"}} | body)
    assert answer.status_code == 202, answer.text
    assert answer.headers["location"] == f"{PATH}/{answer.json()['id']}" and answer.json()["state"] == "queued"
    assert await drain() == 1
    found: dict[str, Any] = (await owner.get(answer.headers["location"])).json()
    return found


async def test_ndjson_has_every_row_as_the_api_tells_it(
    owner: AsyncClient, transaction: Transaction, operator: Actor, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "AT_ONCE", 3)
    where: set[str] = set()
    lines = service.lines

    def seen(*args: Any, **options: Any) -> bytes:
        where.add(threading.current_thread().name.partition("_")[0])
        return lines(*args, **options)

    monkeypatch.setattr(service, "lines", seen)
    await fill(transaction, operator, 7)
    export = await made(owner, drain)
    assert where == {"cpu"}, "beside the event loop"
    assert (export["state"], export["total"], export["rowCount"]) == ("completed", 7, 7)
    file = await owner.get(f"{PATH}/{export['id']}/file")
    assert file.headers["content-type"] == "application/x-ndjson" and len(file.content) == export["byteCount"]
    assert 'filename="audit-' in file.headers["content-disposition"]
    rows = [json.loads(line) for line in file.text.splitlines()]
    assert all(row.pop("seal")["salt"] for row in rows)
    assert rows == (await owner.get(LOG, params={"action": "thing"})).json()["items"]


async def test_csv_begins_with_its_columns_once_and_holds_no_formula(
    owner: AsyncClient, transaction: Transaction, operator: Actor, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "AT_ONCE", 2)
    await fill(transaction, operator, 2, label='=HYPERLINK("http://evil.example","a, b")')
    await fill(transaction, operator, 1, label="Grüße, 日本")
    export = await made(owner, drain, format="csv")
    file = await owner.get(f"{PATH}/{export['id']}/file")
    table = [*csv.DictReader(io.StringIO(file.text))]
    assert [row["resourceLabel"] for row in table] == [
        "Grüße, 日本",
        *['\'=HYPERLINK("http://evil.example","a, b")'] * 2,
    ]
    assert table[1]["after"] == '{"n":1,"deep":{"is":[1]}}' and table[1]["before"] == ""


def test_a_spreadsheet_finds_no_formula_in_a_cell() -> None:
    for text in ("=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\r=1"):
        assert cell(text) == f"'{text}"
    assert [cell(value) for value in (None, "a=b", -5, True, ["=1"])] == ["", "a=b", "-5", "true", '["=1"]']


async def test_whoever_fetches_a_file_is_in_the_access_log(
    owner: AsyncClient, transaction: Transaction, operator: Actor, drain: Drain
) -> None:
    await fill(transaction, operator, 4)
    export = await made(owner, drain)
    for where in (PATH, PAGE):
        assert (await owner.get(f"{where}/{export['id']}/file")).status_code == 200
    rows = (await owner.get("/api/owner/logs/access", params={"exported": "true"})).json()["items"]
    assert [(row["action"], row["resourceId"], row["rowCount"]) for row in rows] == [
        ("owner.read.export", export["id"], 4)
    ] * 2


async def test_an_attempt_that_ends_early_is_taken_up_where_it_stopped(
    owner: AsyncClient, transaction: Transaction, operator: Actor, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "AT_ONCE", 2)
    await fill(transaction, operator, 5)
    real, calls = service.next_rows, []

    async def failing(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise OSError("the disk is full")
        return await real(*arguments)

    monkeypatch.setattr(service, "next_rows", failing)
    answer = await owner.post(PATH, json={"list": "audit", "filter": {"action": "thing"}})
    await drain(retries=True)
    export = (await owner.get(answer.headers["location"])).json()
    assert (export["state"], export["rowCount"]) == ("completed", 5) and len(calls) == 4
    file = await owner.get(f"{PATH}/{export['id']}/file")
    assert [json.loads(line)["resourceId"] for line in file.text.splitlines()] == ["4", "3", "2", "1", "0"]


async def test_too_many_rows_fail_with_a_sentence(
    owner: AsyncClient, transaction: Transaction, operator: Actor, drain: Drain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.modules.exports.processor.MOST_ROWS", 3)
    await fill(transaction, operator, 4)
    export = await made(owner, drain)
    assert export["state"] == "failed" and "choose a shorter time" in export["error"]
    assert (await owner.get(f"{PATH}/{export['id']}/file")).json()["code"] == "export_unfinished"
    assert "choose a shorter time" in (await owner.get(PAGE)).text


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"list": "nothing"}, "list"),
        ({"format": "xlsx"}, "format"),
        ({"filter": {"nothing": "x"}}, "nothing"),
        ({"filter": {"tenantId": "x"}}, "tenantId"),
        ({"filter": {"from": "soon"}}, "from"),
    ],
)
async def test_what_cannot_be_exported_is_named(owner: AsyncClient, body: dict[str, Any], field: str) -> None:
    answer = await owner.post(PATH, json={"list": "audit"} | body)
    assert answer.status_code == 422 and field in answer.text


async def test_who_may_not_read_a_list_cannot_export_or_fetch_it(
    transaction: Transaction, operator: Actor, drain: Drain
) -> None:
    some = Actor("token", None, "some", frozenset({"exports:read", "exports:write"}), Plane.PLATFORM)
    async with transaction(operator.scope) as session:
        with pytest.raises(Forbidden):
            await Exports(session, some).create("audit", "csv", {})
        export = await Exports(session, operator).create("audit", "csv", {"action": "thing"})
    await drain()
    async with transaction(operator.scope) as session:
        assert (await Exports(session, operator).file(export.id)).state == "completed"
        with pytest.raises(Forbidden):
            await Exports(session, some).file(export.id)


async def test_a_tenants_export_holds_its_own_rows_only(
    transaction: Transaction, operator: Actor, make_tenant: Callable[[str], Awaitable[Any]], drain: Drain
) -> None:
    one, two = await make_tenant("One"), await make_tenant("Two")
    exports = []
    for each in (one, two):
        member = Actor("token", None, "app", frozenset({"audit:read"}), Plane.TENANT, each.id)
        async with transaction(member.scope) as session:
            await record(session, member, "thing.change", resource=("thing", each.slug, None))
        async with transaction(member.scope) as session:
            exports.append((member, await Exports(session, member).create("audit", "ndjson", {"action": "thing"})))
    await drain()
    (member, mine), (_, theirs) = exports
    async with transaction(member.scope) as session:
        file = await Exports(session, member).file(mine.id)
        assert file.row_count == 1
        with pytest.raises(Exception, match="no such export"):
            await Exports(session, member).file(theirs.id)


async def test_an_export_goes_after_a_day_or_when_it_is_removed(
    owner: AsyncClient, transaction: Transaction, operator: Actor, drain: Drain, admin: asyncpg.Connection
) -> None:
    await fill(transaction, operator, 1)
    old, removed = await made(owner, drain), await made(owner, drain)
    assert (await owner.delete(f"{PATH}/{removed['id']}")).status_code == 204
    past = datetime.now(UTC) - timedelta(seconds=1)
    await admin.execute("UPDATE export SET expires_at = $1 WHERE id = $2", past, UUID(old["id"]))
    for gone in (old, removed):
        assert (await owner.get(f"{PATH}/{gone['id']}")).status_code == 404
        assert (await owner.get(f"{PATH}/{gone['id']}/file")).status_code == 404
    assert (await owner.get(PATH)).json()["items"] == []
    async with transaction(operator.scope) as session:
        await enqueue(session, PurgeExports())
    await drain()
    assert await admin.fetchval("SELECT count(*) FROM export_chunk") == 0


async def test_the_pages_make_list_and_remove(
    owner: AsyncClient, transaction: Transaction, operator: Actor, drain: Drain
) -> None:
    assert "There is no export" in (await owner.get(PAGE)).text
    assert 'name="list" value="audit"' in (await owner.get("/dashboard/owner/logs/audit")).text
    await fill(transaction, operator, 2)
    form = {"list": "audit", "format": "csv", "query": "action=thing&outcome=&sort=createdAt&cursor=x.y"}
    answer = await owner.post(PAGE, data=form, headers={"HX-Request": "true"})
    assert answer.headers["hx-redirect"] == PAGE
    await drain()
    page = (await owner.get(PAGE)).text
    assert "action: thing" in page and "/file" in page
    export = (await owner.get(PATH)).json()["items"][0]
    removed = await owner.post(f"{PAGE}/{export['id']}/removal", headers={"HX-Request": "true"})
    assert "There is no export" in removed.text and "is removed" in removed.headers["hx-trigger"]


async def test_an_export_is_made_saved_and_removed_by_commands(
    teknav: Teknav, owner: AsyncClient, transaction: Transaction, operator: Actor, drain: Drain, tmp_path: Path
) -> None:
    await fill(transaction, operator, 3)
    made = json.loads(await teknav("export", "create", "audit", "--where", "action=thing", "--json"))
    file = tmp_path / "audit.ndjson"
    assert "is queued" in await teknav("export", "save", made["id"], str(file), code=1) and not file.exists()
    assert await drain() == 1
    assert json.loads(await teknav("export", "list", "--json")) == (await owner.get(PATH)).json()
    assert "3 rows" in await teknav("export", "save", made["id"], str(file))
    assert file.read_bytes() == (await owner.get(f"{PATH}/{made['id']}/file")).content
    assert "list: must be one of" in await teknav("export", "create", "nonsense", code=1)
    assert "is removed" in await teknav("export", "remove", made["id"])
    assert "no such export" in await teknav("export", "remove", made["id"], code=1)


async def test_many_exports_at_once_are_no_more_than_may_be(
    owner: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "MOST_UNFINISHED", 2)
    body = {"list": "audit", "filter": {"action": "thing"}}
    answers = await asyncio.gather(*(owner.post(PATH, json=body) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [202] * 2 + [409] * 6


async def test_exports_are_filtered_searched_and_sorted_by_api_page_and_command(
    owner: AsyncClient,
    transaction: Transaction,
    operator: Actor,
    drain: Drain,
    admin: asyncpg.Connection,
    teknav: Teknav,
) -> None:
    await fill(transaction, operator, 3)
    names = {}
    for name, wanted, who in (
        ("audit", {"action": "thing"}, "ann@example.org"),
        ("audit", {"action": "nothing"}, "bob@example.org"),
        ("access", {"action": "nothing"}, "100%@example.org"),
    ):
        export = await made(owner, drain, list=name, filter=wanted)
        names[export["id"]] = who
        await admin.execute("UPDATE export SET actor_label = $1 WHERE id = $2", who, UUID(export["id"]))
    assert (await owner.post(PATH, json={"list": "access"})).status_code == 202
    mine = "owner@example.org"
    ann, bob, all_of = names.values()
    for query, whose in (
        ("", [mine, all_of, bob, ann]),
        ("q=BOB", [bob]),
        ("q=0%25", [all_of]),
        ("list=audit", [bob, ann]),
        ("state=queued", [mine]),
        ("state=completed&list=audit&sort=createdAt", [ann, bob]),
        ("list=audit&sort=-rowCount", [ann, bob]),
        ("list=audit&sort=byteCount", [bob, ann]),
        ("q=nobody", []),
    ):
        items = (await owner.get(f"{PATH}?{query}")).json()["items"]
        assert [item["actorLabel"] for item in items] == whose, query
        page = (await owner.get(f"{PAGE}?{query}", headers={"HX-Request": "true"})).text
        assert re.findall(r'data-label="Who"><span[^>]*>([^<]+)<', page) == whose and "<html" not in page, query
        assert whose or "No export fits" in page
    found = json.loads(await teknav("export", "list", "--list", "audit", "--search", "ann", "--json"))
    assert [item["actorLabel"] for item in found["items"]] == [ann]
    first = (await owner.get(f"{PATH}?sort=rowCount&limit=3")).json()
    rest = (await owner.get(f"{PATH}?sort=rowCount&limit=3&cursor={first['nextCursor']}")).json()
    rows = [item["rowCount"] for item in first["items"] + rest["items"]]
    assert rows == sorted(rows) and len(rows) == 4
    for wrong in ("list=nonsense", "state=nonsense", "sort=nonsense"):
        field = wrong.partition("=")[0]
        assert [error["field"] for error in (await owner.get(f"{PATH}?{wrong}")).json()["errors"]] == [field]
        assert (await owner.get(f"{PAGE}?{wrong}")).status_code == 422
    # What is removed from a list leaves the list as the reader had it.
    seen = {"HX-Request": "true", "HX-Current-URL": f"http://testserver{PAGE}?list=audit&sort=createdAt"}
    gone = next(id_ for id_, who in names.items() if who == bob)
    left = await owner.post(f"{PAGE}/{gone}/removal", headers=seen)
    assert re.findall(r'data-label="Who"><span[^>]*>([^<]+)<', left.text) == [ann]
