"""Secrets that pass through the whole of it stay nowhere: not in logs, tables, Redis or later answers."""

from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from httpx2 import AsyncClient
from litestar import Litestar

from app.core.models import Base
from tests.conftest import ORIGIN, OWNER_EMAIL, OWNER_PASSWORD, Made

DEEP = 10


def canary(name: str) -> str:
    return f"canary-{name}-8d1f0c37a95e4b62"


def nested(value: Any) -> Any:
    for level in range(DEEP):
        value = [value] if level % 2 else {"settings": value}
    return value


async def everything_kept(app: Litestar, admin: asyncpg.Connection) -> dict[str, str]:
    """All that is stored, as text, by table and by key."""
    kept = {}
    for table in Base.metadata.sorted_tables:
        rows = await admin.fetch(f'SELECT t::text FROM "{table.name}" t')
        kept[f"table {table.name}"] = "\n".join(row[0] for row in rows)
    redis = app.state.process.queue_redis
    async for key in redis.scan_iter("*"):
        kind = await redis.type(key)
        read = {
            "string": lambda k: redis.get(k),
            "hash": lambda k: redis.hgetall(k),
            "list": lambda k: redis.lrange(k, 0, -1),
            "set": lambda k: redis.smembers(k),
            "zset": lambda k: redis.zrange(k, 0, -1),
            "stream": lambda k: redis.xrange(k),
        }[kind]
        kept[f"key {key}"] = repr(await read(key))
    return kept


@pytest.mark.promise("S4-62")
async def test_what_is_secret_is_found_nowhere_afterwards(
    app: Litestar,
    owner: AsyncClient,
    client: AsyncClient,
    tenant: Made,
    admin: asyncpg.Connection,
    drain: Callable[..., Awaitable[int]],
    capfd: pytest.CaptureFixture[str],
) -> None:
    secrets = {"password": OWNER_PASSWORD, "session": owner.cookies["teknav_session"]}
    secrets |= {name: canary(name) for name in ("wrong", "next", "bearer", "deep", "query", "form", "header", "url")}
    tokens = f"/api/owner/tenants/{tenant.id}/tokens"
    # Through every door: right, refused, unknown, deep within what is not understood, in addresses and headers.
    made = await owner.post(
        tokens, json={"name": "App", "scopes": ["articles:read"]}, headers={"Idempotency-Key": "k1"}
    )
    secrets["token"] = made.json()["token"]
    again = await owner.post(
        tokens, json={"name": "App", "scopes": ["articles:read"]}, headers={"Idempotency-Key": "k1"}
    )
    assert again.status_code == 409
    change = {"current": OWNER_PASSWORD, "password": secrets["next"]}
    assert (await owner.put("/api/account/password", json=change)).is_success
    for password in (secrets["wrong"], OWNER_PASSWORD):
        form = {"email": OWNER_EMAIL, "password": password}
        assert (await client.post("/signin", data=form, headers={"Origin": ORIGIN})).status_code == 401
    bearer = {"Authorization": f"Bearer {secrets['bearer']}"}
    assert (await client.get("/api/v1/articles", headers=bearer)).status_code == 401
    deep = {"name": "X", "password": secrets["deep"], "more": nested({"apiKey": secrets["deep"]})}
    assert (await owner.post("/api/owner/tenants", json=deep)).status_code == 422
    assert (await owner.get(f"/api/owner/tenants?token={secrets['query']}")).status_code == 422
    headers = {"X-Api-Key": secrets["header"], "Cookie": f"teknav_session={secrets['header']}"}
    assert (await client.post("/api/owner/tenants", json={}, headers=headers)).status_code == 401
    form = {"_csrf_token": secrets["form"], "name": "X"}
    del owner.headers["X-CSRF-Token"]
    assert (await owner.post("/dashboard/owner/tenants", data=form)).status_code == 403
    assert (await client.get(f"/setup/own_{secrets['url']}{secrets['url']}")).status_code == 410
    using = {"Authorization": f"Bearer {secrets['token']}"}
    assert (await client.get("/api/v1/articles", headers=using)).status_code == 200
    await drain(retries=True)
    kept = await everything_kept(app, admin)
    kept["the log"] = capfd.readouterr().err
    for place in ("/api/owner/logs/audit", tokens, "/dashboard/owner/logs/audit", "/dashboard/owner/account"):
        kept[place] = (await owner.get(place)).text
    found = [f"{name} in {place}" for name, secret in secrets.items() for place, text in kept.items() if secret in text]
    assert found == []
    assert "owner.token.create" in kept["table audit_log"], "it was looked at"
