"""API tokens by `/api/owner/tenants/{id}/tokens` and `/api/owner/tokens`."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, get_args
from uuid import UUID

import asyncpg
import pytest
from httpx2 import ASGITransport, AsyncClient
from litestar import Litestar

from app.core.ids import new_id
from app.core.limits import PLANS
from app.core.secrets import digest
from app.modules.tokens.schemas import Plan
from tests.architecture.test_routes import OF_TENANTS

MINE = {"name": "Website", "scopes": ["articles:read"]}


@dataclass(frozen=True)
class Made:
    id: UUID
    name: str
    slug: str


def path(tenant: Made) -> str:
    return f"/api/owner/tenants/{tenant.id}/tokens"


@asynccontextmanager
async def holding(app: Litestar, token: str) -> AsyncIterator[AsyncClient]:
    transport = ASGITransport(app=app, raise_app_exceptions=False)  # type: ignore[arg-type]
    headers = {"Authorization": f"Bearer {token}"}
    async with AsyncClient(transport=transport, base_url="http://testserver", headers=headers) as client:
        yield client


async def test_a_token_is_shown_once_and_works(
    app: Litestar, owner: AsyncClient, tenant: Made, admin: asyncpg.Connection
) -> None:
    made = await owner.post(path(tenant), json=MINE)
    assert made.status_code == 201, made.text
    body = made.json()
    secret = body.pop("token")
    assert secret.startswith("tn_") and body["prefix"] == secret[:8]
    read = await owner.get(made.headers["location"])
    assert read.json() == body
    assert secret not in (await owner.get(path(tenant))).text
    assert await admin.fetchval("SELECT token_hash FROM api_token") == digest(secret)
    async with holding(app, secret) as program:
        assert (await program.get("/api/v1/articles")).status_code == 200
        refused = await program.post("/api/v1/articles", json={"title": "A", "body": "b"})
        assert (refused.status_code, refused.json()["code"]) == (403, "permission_missing")
        assert (await program.get("/api/owner/tenants")).status_code == 403
    assert (await owner.get(made.headers["location"])).json()["lastUsedAt"] is not None


async def test_a_token_lasts_ninety_days_unless_told_otherwise(
    owner: AsyncClient, tenant: Made, admin: asyncpg.Connection
) -> None:
    for more in ({}, {"expiresInDays": 1}, {"expiresInDays": None}):
        assert (await owner.post(path(tenant), json=MINE | more)).status_code == 201
    rows = await admin.fetch("SELECT extract(epoch FROM expires_at - created_at) AS lasts FROM api_token ORDER BY id")
    days = [None if row["lasts"] is None else round(float(row["lasts"]) / 86400, 2) for row in rows]
    assert days == [90, 1, None]


@pytest.mark.parametrize("change", ["revoked_at = now()", "expires_at = now()"])
async def test_a_revoked_or_expired_token_is_refused(
    app: Litestar, owner: AsyncClient, tenant: Made, admin: asyncpg.Connection, change: str
) -> None:
    secret = (await owner.post(path(tenant), json=MINE)).json()["token"]
    await admin.execute(f"UPDATE api_token SET {change}")
    async with holding(app, secret) as program:
        answer = await program.get("/api/v1/articles")
    assert (answer.status_code, answer.json()["code"]) == (401, "bad_token")


async def test_revoking_twice_is_one_revocation(
    app: Litestar, owner: AsyncClient, tenant: Made, admin: asyncpg.Connection
) -> None:
    made = (await owner.post(path(tenant), json=MINE)).json()
    for _ in range(2):
        assert (await owner.delete(f"{path(tenant)}/{made['id']}")).status_code == 204
    rows = await admin.fetch("SELECT action FROM audit_log WHERE resource_type = 'token' ORDER BY id")
    actions = [row["action"] for row in rows]
    assert actions == ["owner.token.create", "owner.token.revoke"]
    async with holding(app, made["token"]) as program:
        assert (await program.get("/api/v1/articles")).status_code == 401


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"scopes": ["articles:read", "tenants:write", "nonsense"]}, "scopes"),
        ({"scopes": []}, "scopes"),
        ({"scopes": "articles:read"}, "scopes"),
        ({"name": " "}, "name"),
        ({"expiresInDays": 0}, "expiresInDays"),
        ({"expiresInDays": 3651}, "expiresInDays"),
        ({"workspaceId": str(new_id())}, "workspaceId"),
        ({"workspaceId": "main"}, "workspaceId"),
        ({"addresses": ["fe80::1%eth0"]}, "addresses"),
        ({"admin": True}, "admin"),
    ],
)
async def test_a_bad_field_is_named_and_no_token_is_made(
    owner: AsyncClient, tenant: Made, admin: asyncpg.Connection, change: dict[str, Any], field: str
) -> None:
    answer = await owner.post(path(tenant), json=MINE | change)
    assert answer.status_code in (400, 422), answer.text
    assert field in answer.text
    assert await admin.fetchval("SELECT count(*) FROM api_token") == 0


OFFERED = ", ".join(sorted(OF_TENANTS))


async def test_refused_scopes_are_named(owner: AsyncClient, tenant: Made) -> None:
    answer = await owner.post(path(tenant), json=MINE | {"scopes": ["articles:read", "tenants:write", "nonsense"]})
    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {"field": "scopes", "message": f"a tenant's token cannot be given nonsense, tenants:write, but: {OFFERED}"}
    ]


async def test_another_tenants_workspace_and_token_are_not_there(
    owner: AsyncClient, tenant: Made, make_tenant: Callable[[str], Awaitable[Made]]
) -> None:
    other = await make_tenant("Other")
    foreign = (await owner.get(f"/api/owner/tenants/{other.id}/workspaces")).json()["items"][0]["id"]
    assert (await owner.post(path(tenant), json=MINE | {"workspaceId": foreign})).status_code == 422
    token = (await owner.post(path(other), json=MINE)).json()
    assert (await owner.get(f"{path(tenant)}/{token['id']}")).status_code == 404
    assert (await owner.delete(f"{path(tenant)}/{token['id']}")).status_code == 404
    missing = Made(new_id(), "", "")
    assert (await owner.get(path(missing))).status_code == 404
    assert (await owner.post(path(missing), json=MINE)).status_code == 404


async def test_a_platform_token_reaches_the_owners_api_within_its_scopes(app: Litestar, owner: AsyncClient) -> None:
    made = await owner.post("/api/owner/tokens", json={"name": "Monitoring", "scopes": ["tenants:read"]})
    assert made.status_code == 201, made.text
    assert (await owner.get(made.headers["location"])).json()["name"] == "Monitoring"
    async with holding(app, made.json()["token"]) as program:
        assert (await program.get("/api/owner/tenants")).status_code == 200
        assert (await program.post("/api/owner/tenants", json={"name": "X"})).status_code == 403
        assert (await program.get("/api/v1/articles")).status_code == 403


async def test_a_platform_token_cannot_give_away_more_than_it_has(
    app: Litestar, owner: AsyncClient, tenant: Made
) -> None:
    scopes = ["tokens:write", "tokens:read", "articles:read"]
    made = await owner.post("/api/owner/tokens", json={"name": "Issuer", "scopes": scopes})
    async with holding(app, made.json()["token"]) as issuer:
        more = await issuer.post("/api/owner/tokens", json={"name": "More", "scopes": ["tenants:write"]})
        assert (more.status_code, more.json()["errors"][0]["field"]) == (422, "scopes")
        wider = await issuer.post(path(tenant), json=MINE | {"scopes": ["articles:write"]})
        assert (wider.status_code, wider.json()["errors"][0]["field"]) == (422, "scopes")
        assert (await issuer.post(path(tenant), json=MINE)).status_code == 201


async def test_a_scope_that_somebody_else_gave_stays_while_others_change(
    app: Litestar, owner: AsyncClient, tenant: Made
) -> None:
    made = await owner.post(path(tenant), json=MINE | {"scopes": ["articles:read", "articles:write", "ai:run"]})
    here = made.headers["location"]
    scopes = ["tokens:write", "tokens:read", "articles:read"]
    issuer = (await owner.post("/api/owner/tokens", json={"name": "Issuer", "scopes": scopes})).json()["token"]
    async with holding(app, issuer) as program:
        fewer = await program.patch(here, json={"scopes": ["articles:read", "articles:write"]})
        assert (fewer.status_code, fewer.json()["scopes"]) == (200, ["articles:read", "articles:write"])
        more = await program.patch(here, json={"scopes": ["articles:read", "articles:write", "ai:run"]})
        assert (more.status_code, more.json()["errors"][0]["field"]) == (422, "scopes")
        assert (await program.post(f"{here}/rotation", json={})).status_code == 422


async def test_a_search_takes_every_sign_as_it_is(owner: AsyncClient, tenant: Made) -> None:
    await owner.post(path(tenant), json=MINE)
    assert len((await owner.get(path(tenant), params={"q": "tn_"})).json()["items"]) == 1
    for words in ("%", "t__", "\u0645\u06cc\u200c\u062e"):  # the last as Persian is written, with a joiner
        assert (await owner.get(path(tenant), params={"q": words})).json()["items"] == []
    refused = await owner.get(path(tenant), params={"q": "a\0b"})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "q")


async def test_the_secret_is_kept_nowhere(
    owner: AsyncClient, tenant: Made, admin: asyncpg.Connection, capfd: pytest.CaptureFixture[str]
) -> None:
    headers = {"Idempotency-Key": "one"}
    made = await owner.post(path(tenant), json=MINE, headers=headers)
    again = await owner.post(path(tenant), json=MINE, headers=headers)
    assert (again.status_code, again.json()["code"]) == (409, "secret_already_shown")
    assert again.headers["location"] == made.headers["location"]
    secret = made.json()["token"]
    for table in ("audit_log", "idempotency_key", "api_token", "job"):
        rows = await admin.fetch(f"SELECT t::text AS row FROM {table} t")
        assert all(secret not in row["row"] for row in rows), table
    assert secret not in "".join(capfd.readouterr())


async def test_cookie_and_token_together_are_refused(app: Litestar, owner: AsyncClient, tenant: Made) -> None:
    secret = (await owner.post(path(tenant), json=MINE)).json()["token"]
    answer = await owner.get("/api/v1/articles", headers={"Authorization": f"Bearer {secret}"})
    assert (answer.status_code, answer.json()["code"]) == (400, "two_credentials")


async def test_a_rotated_token_has_two_secrets_for_a_while(
    app: Litestar, owner: AsyncClient, tenant: Made, admin: asyncpg.Connection
) -> None:
    async def status(secret: str) -> int:
        async with holding(app, secret) as program:
            return (await program.get("/api/v1/articles")).status_code

    made = await owner.post(path(tenant), json=MINE)
    here, first = made.headers["location"], made.json()["token"]
    rotated = await owner.post(f"{here}/rotation", json={"overlapHours": 24})
    assert rotated.status_code == 201 and rotated.json()["id"] == made.json()["id"]
    second = rotated.json()["token"]
    assert [await status(first), await status(second)] == [200, 200]
    assert (await owner.get(here)).json()["overlapUntil"] is not None
    await admin.execute("UPDATE api_token SET previous_until = now() - interval '1 second'")
    assert [await status(first), await status(second)] == [401, 200]
    assert (await owner.get(here)).json()["overlapUntil"] is None
    third = (await owner.post(f"{here}/rotation", json={"overlapHours": 0})).json()["token"]
    assert [await status(second), await status(third)] == [401, 200]
    await owner.delete(here)
    assert await status(third) == 401
    again = await owner.post(f"{here}/rotation", json={})
    assert (again.status_code, again.json()["code"]) == (409, "not_active")
    entries = await admin.fetch(
        "SELECT before, after FROM audit_log WHERE action = 'owner.token.rotate' AND outcome = 'success'"
    )
    assert len(entries) == 2 and first not in str(entries) and second not in str(entries)


@pytest.mark.parametrize(
    ("addresses", "status"),
    [(["127.0.0.1"], 200), (["10.0.0.0/8", "127.0.0.0/8"], 200), (["::1"], 403), (["203.0.113.7"], 403), ([], 200)],
)
async def test_a_token_is_good_from_its_addresses_only(
    app: Litestar, owner: AsyncClient, tenant: Made, addresses: list[str], status: int, admin: asyncpg.Connection
) -> None:
    secret = (await owner.post(path(tenant), json=MINE | {"addresses": addresses})).json()["token"]
    async with holding(app, secret) as program:
        answer = await program.get("/api/v1/articles")
    assert answer.status_code == status, answer.text
    assert status == 200 or answer.json()["code"] == "address_refused"
    used = await admin.fetchval("SELECT last_used_at FROM api_token")
    assert (used is not None) == (status == 200)


async def test_a_token_is_changed_as_long_as_nobody_else_has(
    app: Litestar, owner: AsyncClient, tenant: Made, admin: asyncpg.Connection
) -> None:
    made = await owner.post(path(tenant), json=MINE)
    here, tag = made.headers["location"], made.headers["etag"]
    change = {"name": "Shop", "scopes": ["articles:write"], "plan": "plus", "expiresInDays": None}
    changed = await owner.patch(here, json=change, headers={"If-Match": tag})
    assert changed.status_code == 200, changed.text
    body = changed.json()
    assert (body["name"], body["scopes"], body["plan"], body["expiresAt"]) == ("Shop", ["articles:write"], "plus", None)
    assert (await owner.patch(here, json=change, headers={"If-Match": tag})).status_code == 412
    same = await owner.patch(here, json=change)
    assert same.headers["etag"] == changed.headers["etag"]
    async with holding(app, made.json()["token"]) as program:
        assert (await program.get("/api/v1/articles")).status_code == 403
        assert (await program.post("/api/v1/articles", json={"title": "A", "body": "b"})).status_code == 201
    fields = await admin.fetchval(
        "SELECT changed_fields FROM audit_log WHERE action = 'owner.token.update' AND changed_fields <> '[]'"
    )
    assert fields == '["expires_at", "name", "plan", "scopes"]'
    for wrong, field in (
        ({"addresses": ["somewhere"]}, "addresses"),
        ({"scopes": ["tenants:read"]}, "scopes"),
        ({"plan": "free"}, "plan"),
        ({"expiresInDays": 0}, "expiresInDays"),
    ):
        refused = await owner.patch(here, json=wrong)
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, field), refused.text
    await owner.delete(here)
    assert (await owner.patch(here, json={"name": "Late"})).json()["code"] == "not_active"


async def test_tokens_are_found_by_name_state_and_beginning_and_sorted(owner: AsyncClient, tenant: Made) -> None:
    made = [(await owner.post(path(tenant), json=MINE | {"name": name})).json() for name in ("beta", "Alpha", "gamma")]
    await owner.delete(f"{path(tenant)}/{made[0]['id']}")

    async def names(query: str) -> list[str]:
        found = (await owner.get(f"{path(tenant)}?{query}")).json()
        return [item["name"] for item in found["items"]]

    assert await names("") == ["gamma", "Alpha", "beta"]
    assert await names("sort=createdAt") == ["beta", "Alpha", "gamma"]
    assert await names("state=revoked") == ["beta"]
    assert await names("state=active&q=A") == ["gamma", "Alpha"]
    assert await names(f"q={made[2]['prefix']}") == ["gamma"]
    ordered = await names("sort=name")
    assert sorted(ordered) == sorted(["Alpha", "beta", "gamma"]) and await names("sort=-name") == ordered[::-1]
    walked, query = [], "sort=name&limit=1"
    for _ in range(3):
        page = (await owner.get(f"{path(tenant)}?{query}")).json()
        walked += [item["name"] for item in page["items"]]
        query = f"sort=name&limit=1&cursor={page['nextCursor']}"
    assert walked == ordered
    back = (await owner.get(f"{path(tenant)}?sort=name&limit=1&cursor={page['prevCursor']}")).json()
    assert [item["name"] for item in back["items"]] == ordered[1:2]
    assert (await owner.get(f"{path(tenant)}?sort=-name&cursor={page['prevCursor']}")).json()["code"] == "bad_cursor"


async def test_several_are_revoked_at_once_and_none_of_another_tenant(
    owner: AsyncClient, tenant: Made, make_tenant: Callable[[str], Awaitable[Made]], admin: asyncpg.Connection
) -> None:
    other = await make_tenant("Other")
    mine = [(await owner.post(path(tenant), json=MINE)).json()["id"] for _ in range(3)]
    theirs = (await owner.post(path(other), json=MINE)).json()["id"]
    answer = await owner.post(f"{path(tenant)}/revocations", json={"ids": [*mine[:2], theirs]})
    assert (answer.status_code, answer.json()) == (200, {"revoked": 2})
    active = await admin.fetch("SELECT id FROM api_token WHERE revoked_at IS NULL")
    assert {str(row["id"]) for row in active} == {mine[2], theirs}
    assert await admin.fetchval("SELECT count(*) FROM audit_log WHERE action = 'owner.token.revoke'") == 2


async def test_a_platform_token_holds_what_is_of_tenants_only_to_give_it_away(
    app: Litestar, owner: AsyncClient, tenant: Made
) -> None:
    refused = await owner.post("/api/owner/tokens", json={"name": "CI", "scopes": ["queues:read", "events:write"]})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "scopes")
    maker = {"name": "CI", "scopes": ["tokens:write", "events:write"]}
    secret = (await owner.post("/api/owner/tokens", json=maker)).json()["token"]
    async with holding(app, secret) as program:
        assert (await program.get("/api/v1/articles")).status_code == 403
        assert (await program.post(path(tenant), json={"name": "Sub", "scopes": ["events:write"]})).status_code == 201
        assert (await program.post(path(tenant), json={"name": "Sub", "scopes": ["articles:read"]})).status_code == 422


def test_every_plan_that_can_be_given_has_its_limits() -> None:
    assert set(get_args(Plan)) == set(PLANS)


async def test_a_token_of_a_workspace_reads_no_readers_and_no_mails_of_the_whole_tenant(
    owner: AsyncClient, client: AsyncClient, tenant: Made
) -> None:
    api = f"/api/owner/tenants/{tenant.id}"
    workspace = (await owner.post(f"{api}/workspaces", json={"name": "Desk"})).json()["id"]
    scopes = ["events:read", "events:write", "emails:read", "emails:open", "email_preferences:read"]
    wanted = {"name": "desk", "scopes": scopes, "workspaceId": workspace}
    client.headers["Authorization"] = f"Bearer {(await owner.post(f'{api}/tokens', json=wanted)).json()['token']}"
    assert (await client.post("/api/v1/events", json={"events": [{"name": "read"}]})).status_code == 202
    for path in ("events", f"events/{tenant.id}?day=2026-01-31", "emails", "email-preferences", "email-suppressions"):
        refused = await client.get(f"/api/v1/{path}")
        assert (refused.status_code, refused.json()["code"]) == (403, "workspace_token"), path
