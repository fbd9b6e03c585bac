"""Credentials that ended long ago go."""

from collections.abc import Awaitable, Callable

import asyncpg
from httpx2 import AsyncClient

from app.core.database import Database
from app.core.policy import Actor
from app.modules.tokens.jobs import PurgeCredentials
from app.queues.enqueue import enqueue
from tests.conftest import Made


async def test_what_ended_ninety_days_ago_goes_and_lets_go_of_its_workspace(
    owner: AsyncClient,
    tenant: Made,
    database: Database,
    operator: Actor,
    admin: asyncpg.Connection,
    drain: Callable[..., Awaitable[int]],
) -> None:
    here = f"/api/owner/tenants/{tenant.id}"
    workspace = (await owner.post(f"{here}/workspaces", json={"name": "Maps"})).json()["id"]
    for kind in ("tokens", "clients"):
        for name in ("old", "late", "young", "active"):
            wanted = {"name": name, "scopes": ["articles:read"], "expiresInDays": None, "workspaceId": workspace}
            await owner.post(f"{here}/{kind}", json=wanted)
    for table in ("api_token", "api_client"):
        await admin.execute(f"UPDATE {table} SET revoked_at = now() - interval '91 days' WHERE name = 'old'")
        await admin.execute(f"UPDATE {table} SET expires_at = now() - interval '91 days' WHERE name = 'late'")
        await admin.execute(f"UPDATE {table} SET revoked_at = now() - interval '89 days' WHERE name = 'young'")
    async with database.transaction(operator.scope) as session:
        await enqueue(session, PurgeCredentials())
    await drain()
    for table in ("api_token", "api_client"):
        assert {row["name"] for row in await admin.fetch(f"SELECT name FROM {table}")} == {"young", "active"}
        await admin.execute(f"UPDATE {table} SET revoked_at = now() - interval '91 days'")
    assert (await owner.delete(f"{here}/workspaces/{workspace}")).json()["code"] == "not_empty"
    async with database.transaction(operator.scope) as session:
        await enqueue(session, PurgeCredentials())
    await drain()
    assert (await owner.delete(f"{here}/workspaces/{workspace}")).status_code == 204
