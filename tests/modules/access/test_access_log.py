"""The access log: every sensitive read leaves its row before the answer leaves, or there is no answer."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from httpx2 import AsyncClient
from litestar import Controller, Litestar, get
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.access import COVERED_S, MOST_LOOKS, Access, Looks, check_reads, sensitive_in
from app.core.database import Plane, Scope
from app.core.ids import new_id
from app.core.policy import PUBLIC, Actor
from app.modules.access.service import record_read
from app.modules.ai.jobs import SummarizeArticle
from app.modules.queues.schemas import JobPage, JobRead
from app.modules.runs.schemas import AiMessagePage
from app.queues.enqueue import enqueue

Transaction = Callable[[Scope], AbstractAsyncContextManager[AsyncSession]]
Teknav = Callable[..., Awaitable[str]]
PATH = "/api/owner/logs/access"
QUEUE = SummarizeArticle.queue


@pytest.fixture
async def job(transaction: Transaction, tenant: Any) -> UUID:
    async with transaction(Scope(Plane.PLATFORM, tenant.id)) as session:
        return await enqueue(session, SummarizeArticle(task_id=new_id()))


async def found(owner: AsyncClient, **params: Any) -> list[dict[str, Any]]:
    answer = await owner.get(PATH, params=params)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return items


@pytest.mark.promise("S4-34", "S4-63", "S4-5")
async def test_who_reads_a_job_is_in_the_log_with_what_was_seen(owner: AsyncClient, tenant: Any, job: UUID) -> None:
    headers = {"User-Agent": "a browser", "X-Request-Id": "the-request", "X-Purpose": "a customer asked"}
    assert (await owner.get(f"/api/owner/queues/{QUEUE}/jobs/{job}", headers=headers)).status_code == 200
    (row,) = await found(owner)
    assert row["action"] == "owner.read.queue_job"
    assert (row["resourceType"], row["resourceId"], row["rowCount"]) == ("job", str(job), 1)
    assert row["fields"] == ["payload", "result", "error", "attempts"]
    assert (row["actorLabel"], row["actorKind"], row["tenantId"]) == ("owner@example.org", "user", str(tenant.id))
    assert (row["ip"], row["userAgent"], row["requestId"]) == ("127.0.0.1", "a browser", "the-request")
    assert (row["purpose"], row["cached"], row["exported"]) == ("a customer asked", False, False)
    assert row["correlationId"] and row["query"] is None
    assert (await owner.get(f"{PATH}/{row['id']}")).json() == row
    assert (await owner.get(f"{PATH}/{new_id()}")).status_code == 404


async def test_a_page_and_its_drawer_leave_a_row_each(owner: AsyncClient, tenant: Any, job: UUID) -> None:
    for headers in ({}, {"HX-Request": "true"}):
        page = await owner.get(f"/dashboard/owner/queues/{QUEUE}/jobs/{job}", headers=headers)
        assert f"/logs/access/of/job/{job}" in page.text
    rows = await found(owner, resource=f"job:{job}")
    assert [(row["action"], row["tenantId"]) for row in rows] == [("owner.read.queue_job", str(tenant.id))] * 2


async def test_a_list_is_known_by_its_question_and_counts_its_rows(owner: AsyncClient, teknav: Teknav) -> None:
    for params in ({"limit": 1}, {}, {"action": "nothing.of.this"}):
        assert (await owner.get("/api/owner/logs/audit", params=params)).status_code == 200
    other, second, first = await found(owner, action="owner.read.audit")
    assert first["query"] == second["query"] != other["query"]
    assert (first["rowCount"], other["rowCount"]) == (1, 0) and second["rowCount"] > 1
    assert first["resourceId"] is None
    told = await teknav("access", "list", "--where", "action=owner.read.audit", "--limit", "1")
    assert "owner.read.audit" in told and "--cursor" in told and "None" not in told


async def test_what_was_refused_was_not_seen(owner: AsyncClient, admin: asyncpg.Connection) -> None:
    for path in (f"/api/owner/queues/{QUEUE}/jobs/{new_id()}", "/api/owner/logs/audit?actorId=x"):
        assert (await owner.get(path)).status_code in (404, 422)
    assert await admin.fetchval("SELECT count(*) FROM data_access_log") == 0


async def test_without_the_row_there_is_no_answer(owner: AsyncClient, admin: asyncpg.Connection, job: UUID) -> None:
    await admin.execute("REVOKE INSERT ON data_access_log FROM teknav_platform")
    try:
        answer = await owner.get(f"/api/owner/queues/{QUEUE}/jobs/{job}")
    finally:
        await admin.execute("GRANT INSERT ON data_access_log TO teknav_platform")
    assert answer.status_code == 500 and "payload" not in answer.text


async def test_an_answer_from_the_cache_leaves_its_row_too(owner: AsyncClient, tenant: Any, job: UUID) -> None:
    where = f"/api/owner/queues/{QUEUE}/jobs/{job}"
    made, kept = [await owner.get(where, headers={"Cache-Control": ""}) for _ in range(2)]
    assert (made.headers["X-Cache"], kept.headers["X-Cache"]) == ("MISS", "HIT")
    late, early = await found(owner)
    assert (early["cached"], late["cached"]) == (False, True)
    told = ("action", "resourceId", "rowCount", "tenantId", "fields", "actorLabel")
    assert [late[name] for name in told] == [early[name] for name in told]


async def test_a_command_leaves_its_row_by_itself(
    owner: AsyncClient, transaction: Transaction, operator: Actor
) -> None:
    access = Access("owner.read.thing", "thing", fields=("all",), exported=True)
    async with transaction(operator.scope) as session:
        await record_read(session, operator, access, resource_id=7, rows=3, purpose="a test")
    (row,) = await found(owner, exported="true")
    assert (row["resourceId"], row["rowCount"], row["purpose"]) == ("7", 3, "a test")
    assert await found(owner, exported="false") == []


@pytest.mark.promise("S4-34")
async def test_reads_are_found_by_what_they_say(
    owner: AsyncClient, transaction: Transaction, operator: Actor, tenant: Any
) -> None:
    async with transaction(operator.scope) as session:
        for name in ("job", "jobs"):
            access = Access(f"owner.read.{name}", name, of="id")
            await record_read(session, operator, access, resource_id=name, tenant_id=tenant.id)
    row = (await found(owner, action="owner.read.job"))[0]
    for params, count in (
        ({"resource": "job"}, 1),
        ({"resource": "jobs:jobs"}, 1),
        ({"action": "owner.read"}, 2),
        ({"action": "owner.read.j"}, 0),
        ({"actor": "CLI:"}, 2),
        ({"actor": operator.label}, 2),
        ({"actor": operator.label, "action": "owner.read.jobs"}, 1),
        ({"actor": "%"}, 0),
        ({"tenantId": str(tenant.id)}, 2),
        ({"tenantId": str(uuid4())}, 0),
        ({"actorId": str(uuid4())}, 0),
        ({"requestId": "none"}, 0),
        ({"correlationId": str(uuid4())}, 0),
        ({"from": "2020-01-01"}, 2),
        ({"to": "2020-01-01"}, 0),
    ):
        assert len(await found(owner, **params)) == count, params
    assert row["resourceId"] == "job"
    newest = [each["resourceId"] for each in await found(owner, action="owner.read")]
    assert newest == ["jobs", "job"]
    assert [each["resourceId"] for each in await found(owner, action="owner.read", sort="createdAt")] == newest[::-1]
    for params in (
        {"exported": "perhaps"},
        {"correlationId": "x"},
        {"from": "soon"},
        {"sort": "action"},
        {"nothing": "known"},
    ):
        answer = await owner.get(PATH, params=params)
        assert answer.status_code == 422 and next(iter(params)) in answer.text


async def test_a_tenant_sees_reads_of_its_own_things_only(
    transaction: Transaction, operator: Actor, make_tenant: Callable[[str], Awaitable[Any]]
) -> None:
    from app.modules.access.service import AccessTrail

    one, two = await make_tenant("One"), await make_tenant("Two")
    async with transaction(operator.scope) as session:
        for each in (one, two):
            access = Access("owner.read.thing", "thing", of="id")
            await record_read(session, operator, access, resource_id=each.slug, tenant_id=each.id)
    async with transaction(Scope(Plane.TENANT, one.id)) as session:
        assert [row.resource_id for row in await AccessTrail(session).latest(9)] == ["one"]


@pytest.mark.promise("S4-50")
async def test_the_pages_show_who_saw_what(owner: AsyncClient, job: UUID) -> None:
    where = "/dashboard/owner/logs/access"
    assert "Nothing sensitive has been read yet" in (await owner.get(where)).text
    seen = f"{where}/of/job/{job}"
    assert "Nobody so far" in (await owner.get(seen)).text
    for _ in range(6):
        await owner.get(f"/api/owner/queues/{QUEUE}/jobs/{job}")
    part = await owner.get(seen, headers={"HX-Request": "true"})
    assert part.text.count("owner@example.org") == 5 and "All of them" in part.text
    page = await owner.get(where, params={"resource": f"job:{job}"})
    assert page.text.count("data-drawer>") == 6 and '<option value="owner.read.audit">' in page.text
    both = (await owner.get("/dashboard/owner/logs")).text
    assert "owner.read.queue_job" in both and "owner.create" in both
    row = (await found(owner))[0]
    assert "payload, result" in (await owner.get(f"{where}/{row['id']}")).text
    refused = await owner.get(where, params={"tenantId": "x"})
    assert refused.status_code == 422 and "must be a UUID" in refused.text


def test_a_route_that_shows_something_sensitive_without_saying_so_stops_the_boot() -> None:
    assert sensitive_in(dict[str, list[JobRead] | None]) == {"JobRead"}
    assert sensitive_in(AiMessagePage) == {"AiMessageRead"}
    assert sensitive_in(JobPage) == set()

    class Leaky(Controller):
        path = "/leaky"

        @get("/", permission=PUBLIC)
        async def show(self) -> list[JobRead]:
            return []

    with pytest.raises(RuntimeError, match="/leaky answers with JobRead"):
        check_reads(Litestar([Leaky], openapi_config=None).routes)


@pytest.mark.parametrize(
    ("path", "action"),
    [("logs/audit", "owner.read.audit"), ("emails", "owner.read.email"), ("users", "owner.read.user")],
)
async def test_a_list_that_keeps_itself_current_is_one_look(
    owner: AsyncClient, admin: asyncpg.Connection, path: str, action: str
) -> None:
    where = f"/dashboard/owner/{path}"
    live = {"HX-Request": "true", "HX-Source": "div#list", "HX-Target": "div#list"}
    turned = live | {"HX-Source": "a"}
    rows = "SELECT count(*) FROM data_access_log WHERE action = $1"

    async def seen(address: str, headers: dict[str, str]) -> int:
        before = await admin.fetchval(rows, action)
        assert (await owner.get(address, headers=headers)).status_code == 200
        return int(await admin.fetchval(rows, action) - before)

    assert await seen(where, live) == 1, "who opened no page has no row that stands for it"
    assert [await seen(where, headers) for headers in ({}, live, live, {}, turned)] == [1, 0, 0, 1, 1]
    assert await seen(f"{where}?q=owner", live) == 1, "another question"


async def test_whose_look_was_rolled_back_is_not_covered_by_it(owner: AsyncClient, admin: asyncpg.Connection) -> None:
    where, live = "/dashboard/owner/emails", {"HX-Request": "true", "HX-Source": "div", "HX-Target": "div"}
    await admin.execute("REVOKE INSERT ON data_access_log FROM teknav_platform")
    try:
        assert (await owner.get(where)).status_code == 500
        assert (await owner.get(where, headers=live)).status_code == 500
    finally:
        await admin.execute("GRANT INSERT ON data_access_log TO teknav_platform")


def test_looks_end_after_ten_minutes_and_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("app.core.access.time.monotonic", lambda: now)
    looks = Looks()
    looks.add(("me",))
    now = float(COVERED_S)
    assert looks.covers(("me",)) and not looks.covers(("you",))
    now += 1
    assert not looks.covers(("me",))
    for n in range(MOST_LOOKS + 1):
        looks.add((n,))
    assert not looks.covers((0,)) and looks.covers((1,))
