"""API tokens by `/api/owner/tenants/{id}/tokens` and `/api/owner/tokens`."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from httpx2 import ASGITransport, AsyncClient
from litestar import Litestar

from app.core.ids import new_id
from app.core.secrets import digest

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


OFFERED = "ai:read, ai:run, articles:publish, articles:read, articles:write"


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
