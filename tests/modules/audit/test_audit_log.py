"""The audit log: what is written, what is found again, and that nobody can change it."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from httpx2 import AsyncClient
from sqlalchemy import text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Plane, Scope
from app.core.ids import new_id
from app.core.paging import Pager
from app.core.policy import Actor
from app.core.secrets import Secret, Signer
from app.core.settings import Settings
from app.modules.audit.models import AuditLog
from app.modules.audit.repository import fitting
from app.modules.audit.schemas import AuditFilter, changes
from app.modules.audit.service import AuditTrail, record

Transaction = Callable[[Scope], AbstractAsyncContextManager[AsyncSession]]
PATH = "/api/owner/logs/audit"


async def write(transaction: Transaction, actor: Actor, action: str, **more: Any) -> None:
    async with transaction(actor.scope) as session:
        await record(session, actor, action, resource=more.pop("resource", ("thing", "1", "One")), **more)


async def found(owner: AsyncClient, **params: Any) -> list[dict[str, Any]]:
    answer = await owner.get(PATH, params=params)
    assert answer.status_code == 200, answer.text
    items: list[dict[str, Any]] = answer.json()["items"]
    return [item for item in items if item["actorKind"] == "cli" and item["action"] != "owner.create"]


@pytest.mark.promise("S4-5")
async def test_only_what_changed_is_kept_and_secrets_are_hidden(
    owner: AsyncClient, transaction: Transaction, operator: Actor
) -> None:
    id_, moment = uuid4(), datetime(2026, 1, 2, tzinfo=UTC)
    before = {"name": "A", "same": 1, "password": "old", "settings": {"deep": [{"apiKey": "k1"}]}, "at": None}
    after = {"name": "B", "same": 1, "password": "new", "settings": {"deep": [{"apiKey": "k2"}]}, "at": moment}
    more = {"key": Secret("by type"), "owner": id_}
    await write(transaction, operator, "thing.change", before=before, after=after | more, reason="because")
    (row,) = await found(owner)
    assert row["changedFields"] == ["at", "key", "name", "owner", "password", "settings"]
    assert row["before"] == {"name": "A", "password": "***", "settings": {"deep": [{"apiKey": "***"}]}, "at": None}
    assert row["after"] == {
        "name": "B",
        "password": "***",
        "settings": {"deep": [{"apiKey": "***"}]},
        "at": "2026-01-02T00:00:00Z",
        "key": "***",
        "owner": str(id_),
    }
    assert (row["reason"], row["outcome"], row["resourceLabel"]) == ("because", "success", "One")


async def test_a_row_is_written_with_its_change_or_not_at_all(
    owner: AsyncClient, transaction: Transaction, operator: Actor
) -> None:
    with pytest.raises(RuntimeError):
        async with transaction(operator.scope) as session:
            await record(session, operator, "thing.change", resource=("thing", "1", None))
            raise RuntimeError
    assert await found(owner) == []


async def test_rows_carry_the_request_they_came_with(owner: AsyncClient, admin: asyncpg.Connection) -> None:
    headers = {"X-Request-Id": "my-own-request", "User-Agent": "a browser"}
    await owner.post("/api/owner/tenants", json={"name": "A"}, headers=headers)
    row = await admin.fetchrow("SELECT * FROM audit_log WHERE action = 'owner.tenant.create'")
    assert (row["request_id"], row["ip"], row["user_agent"]) == ("my-own-request", "127.0.0.1", "a browser")
    assert row["correlation_id"] is not None


@pytest.mark.parametrize(
    ("method", "path", "body", "outcome", "status"),
    [
        ("POST", "/api/owner/tenants", {"name": ""}, "invalid", 422),
        ("PATCH", f"/api/owner/tenants/{UUID(int=7)}", {"name": "A"}, "invalid", 404),
        ("POST", "/api/owner/tenants", {"name": "A"}, "denied", 403),
    ],
)
async def test_an_attempt_that_failed_leaves_a_row_too(
    owner: AsyncClient,
    admin: asyncpg.Connection,
    method: str,
    path: str,
    body: dict[str, str],
    outcome: str,
    status: int,
) -> None:
    headers = {"X-CSRF-Token": "wrong"} if outcome == "denied" else {}
    answer = await owner.request(method, path, json=body, headers=headers)
    assert answer.status_code == status, answer.text
    row = await admin.fetchrow("SELECT * FROM audit_log ORDER BY id DESC LIMIT 1")
    assert (row["outcome"], row["status"], row["path"]) == (outcome, status, path)
    assert row["actor_label"] == "owner@example.org"


async def test_anonymous_attempts_leave_no_row(client: AsyncClient, admin: asyncpg.Connection) -> None:
    assert (await client.post("/api/owner/tenants", json={"name": "A"})).status_code == 401
    assert await admin.fetchval("SELECT count(*) FROM audit_log") == 0


@pytest.mark.parametrize("plane", list(Plane))
@pytest.mark.parametrize("statement", ["UPDATE audit_log SET action = 'x'", "DELETE FROM audit_log"])
async def test_no_role_can_change_a_row(
    transaction: Transaction, operator: Actor, plane: Plane, statement: str
) -> None:
    await write(transaction, operator, "thing.change")
    with pytest.raises(DBAPIError, match="permission denied"):
        async with transaction(Scope(plane, operator.tenant_id)) as session:
            await session.execute(text(statement))


async def test_a_tenant_sees_its_own_rows_only(
    transaction: Transaction, operator: Actor, make_tenant: Callable[[str], Awaitable[Any]]
) -> None:
    one, two = await make_tenant("One"), await make_tenant("Two")
    for tenant in (one, two):
        member = Actor("token", uuid4(), "app", frozenset(), Plane.TENANT, tenant.id)
        await write(transaction, member, "thing.change", resource=("thing", tenant.slug, None))
    async with transaction(Scope(Plane.TENANT, one.id)) as session:
        seen = (await session.execute(text("SELECT resource_id FROM audit_log ORDER BY id"))).scalars().all()
    assert seen == [str(one.id), "one"], "the platform made it, and told of that there"


@pytest.mark.promise("S4-33")
async def test_filters_find_what_they_name(owner: AsyncClient, transaction: Transaction, operator: Actor) -> None:
    for n, action in enumerate(("article.create", "article.publish", "articles.import", "tenant.create")):
        await write(transaction, operator, action, resource=(action.split(".")[0], str(n), None))
    assert [r["action"] for r in await found(owner, action="article")] == ["article.publish", "article.create"]
    assert [r["action"] for r in await found(owner, action="article.create")] == ["article.create"]
    assert [r["action"] for r in await found(owner, action="%")] == []
    assert [r["action"] for r in await found(owner, resource="article:1")] == ["article.publish"]
    assert [r["action"] for r in await found(owner, resource="tenant")] == ["tenant.create"]
    assert await found(owner, outcome="denied") == []
    assert await found(owner, tenantId=str(uuid4())) == []
    assert len(await found(owner, actor="CLI:T")) == 4
    assert await found(owner, actor="li:test") == [] == await found(owner, actor="%")
    mine = (await owner.get(PATH)).json()["items"]
    me = next(row["actorId"] for row in mine if row["actorKind"] == "user")
    by_me = (await owner.get(PATH, params={"actorId": me})).json()["items"]
    assert {row["actorId"] for row in by_me} == {me}
    assert len(by_me) == len([row for row in mine if row["actorId"] == me])


async def test_a_text_finds_the_start_of_a_name_and_any_id(
    owner: AsyncClient, transaction: Transaction, operator: Actor
) -> None:
    thing = uuid4()
    await write(transaction, operator, "thing.change", resource=("thing", thing, "Harbour Press"))
    await write(transaction, operator, "thing.change", resource=("thing", "2", "50% of it"))
    for text_, count in (("harb", 1), ("press", 0), (str(thing), 1), ("50%", 1), ("%", 0), (str(uuid4()), 0)):
        assert len(await found(owner, q=text_)) == count, text_
    headers = {"X-Request-Id": "a-request-of-mine"}
    await owner.post("/api/owner/tenants", json={"name": "A"}, headers=headers)
    (row,) = (await owner.get(PATH, params={"q": "a-request-of-mine"})).json()["items"]
    for params in (
        {"q": row["correlationId"]},
        {"correlationId": row["correlationId"]},
        {"requestId": "a-request-of-mine"},
        {"q": row["actorId"], "action": "owner.tenant.create"},
    ):
        assert [one["id"] for one in (await owner.get(PATH, params=params)).json()["items"]] == [row["id"]], params
    first = (await owner.get(PATH, params={"q": row["actorId"], "limit": 1})).json()
    second = (await owner.get(PATH, params={"q": row["actorId"], "limit": 1, "cursor": first["nextCursor"]})).json()
    assert first["items"][0]["id"] > second["items"][0]["id"]


MANY = """
INSERT INTO audit_log (id, tenant_id, actor_kind, actor_label, action, resource_type, resource_label, changed_fields)
SELECT (substr(teknav_floor_id(now() - interval '1 hour' * (1 - n / 30000.0))::text, 1, 14) || '7000-8000-'
        || lpad(n::text, 12, '0'))::uuid, $1, 'user', 'person' || n % 50 || '@example.org',
       CASE WHEN n < 4 THEN 'seldom.thing.done' ELSE 'often.thing.' || n % 9 END, 'thing', 'Thing ' || n, '[]'
FROM generate_series(1, 30000) n
"""


@pytest.mark.parametrize("plane", [Plane.PLATFORM, Plane.TENANT])
@pytest.mark.parametrize(
    ("wanted", "count"), [({"action": "seldom"}, 3), ({"action": "seldom.thing.done"}, 3), ({"action": "nothing"}, 0)]
)
async def test_what_is_rare_in_a_long_log_is_found_without_reading_the_rest(
    transaction: Transaction,
    admin: asyncpg.Connection,
    tenant: Any,
    settings: Settings,
    plane: Plane,
    wanted: dict[str, str],
    count: int,
) -> None:
    """In both planes: row-level security keeps PostgreSQL from using what it knows of LIKE."""
    async with admin.transaction():
        await admin.execute("SET LOCAL session_replication_role = replica")  # rows that are sealed wait for no seal
        await admin.execute(MANY, tenant.id)
    await admin.execute("ANALYZE audit_log")
    pager = Pager(Signer(settings.secret_key))
    explain, plans = "EXPLAIN (ANALYZE, FORMAT JSON) ", list[Any]()
    for _ in range(8):  # beyond the fifth time PostgreSQL might settle for one plan for all values
        async with transaction(Scope(plane, tenant.id)) as session:
            page = await AuditTrail(session).search(pager, AuditFilter(**wanted))
            assert len(page.items) == count
            kept = text("SELECT coalesce(sum(generic_plans), 0) FROM pg_prepared_statements WHERE statement ~ :of")
            assert not (await session.execute(kept, {"of": r"^SELECT.*audit_log\.action = \$"})).scalar_one()
            query = fitting(AuditFilter(**wanted)).order_by(AuditLog.id.desc()).limit(26)
            whole = query.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True})
            plans.append((await session.execute(text(explain + str(whole).replace(":", "\\:")))).scalar_one())
    assert [passed_over(plan[0]["Plan"]) for plan in plans] == [0] * 8, plans[0]


def passed_over(plan: dict[str, Any]) -> int:
    """How many rows were read for nothing."""
    here = int(plan.get("Rows Removed by Filter", 0))
    return here + sum(passed_over(part) for part in plan.get("Plans", ()))


def test_a_difference_is_told_value_by_value() -> None:
    before = {"name": "A", "limits": {"rate": {"jobs": 5, "perS": 1.0}, "running": 3}, "scopes": ["a", "b"], "gone": 1}
    after = {"name": "B", "limits": {"rate": {"jobs": 6, "perS": 1.0}, "running": None}, "scopes": ["a"], "new": [1]}
    told = [(one.path, one.kind, one.before, one.after) for one in changes(before, after)]
    assert told == [
        ("gone", "removed", 1, None),
        ("limits.rate.jobs", "changed", 5, 6),
        ("limits.running", "changed", 3, None),
        ("name", "changed", "A", "B"),
        ("new", "added", None, [1]),
        ("scopes[1]", "removed", "b", None),
    ]
    assert changes(None, None) == [] and len(changes(None, {str(n): n for n in range(500)})) == 200


@pytest.mark.promise("S4-33")
async def test_days_and_moments_bound_the_list(owner: AsyncClient, transaction: Transaction, operator: Actor) -> None:
    await write(transaction, operator, "thing.change")
    now = datetime.now(UTC)
    today, tomorrow = now.date().isoformat(), (now + timedelta(days=1)).date().isoformat()
    yesterday = (now - timedelta(days=1)).date().isoformat()
    soon, just = now + timedelta(minutes=1), now - timedelta(minutes=1)
    for params, count in (
        ({"from": yesterday, "to": tomorrow}, 1),
        ({"from": tomorrow}, 0),
        ({"to": yesterday}, 0 if now - timedelta(minutes=1) > datetime.fromisoformat(today).replace(tzinfo=UTC) else 1),
        ({"from": just.isoformat(), "to": soon.isoformat()}, 1),
        ({"from": soon.isoformat()}, 0),
        ({"to": just.isoformat()}, 0),
    ):
        assert len(await found(owner, **params)) == count, params


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"from": "yesterday"}, "from"),
        ({"to": "2026-02-30"}, "to"),
        ({"to": "9999-12-31"}, "to"),
        ({"from": "0001-01-01"}, "from"),
        ({"actorId": "7"}, "actorId"),
        ({"tenantId": "x"}, "tenantId"),
        ({"correlationId": "x"}, "correlationId"),
        ({"requestId": "a\0"}, "requestId"),
        ({"q": "x" * 201}, "q"),
        ({"outcome": "fine"}, "outcome"),
        ({"action": "a\0"}, "action"),
        ({"limit": "101"}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"cursor": "x.y"}, "cursor"),
    ],
)
async def test_a_bad_filter_is_named(owner: AsyncClient, params: dict[str, str], field: str) -> None:
    answer = await owner.get(PATH, params=params)
    assert answer.status_code in (400, 422), answer.text
    assert field in answer.text


async def test_an_entry_is_read_by_its_id(owner: AsyncClient) -> None:
    first = (await owner.get(PATH)).json()["items"][0]
    assert (await owner.get(f"{PATH}/{first['id']}")).json() == first
    assert (await owner.get(f"{PATH}/{new_id()}")).status_code == 404


async def test_the_log_is_the_owners(tenant_client: Callable[..., Awaitable[AsyncClient]]) -> None:
    assert (await (await tenant_client("articles:read")).get(PATH)).status_code == 403
