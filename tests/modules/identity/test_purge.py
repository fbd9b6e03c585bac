"""Housekeeping deletes what has expired, and nothing else."""

from collections.abc import Awaitable, Callable

import asyncpg
from httpx2 import AsyncClient

from app.core.database import Database
from app.core.policy import Actor
from app.modules.identity.jobs import PurgeExpired
from app.queues.enqueue import enqueue


async def test_what_has_expired_goes(
    owner: AsyncClient,
    admin: asyncpg.Connection,
    database: Database,
    operator: Actor,
    drain: Callable[..., Awaitable[int]],
) -> None:
    await owner.post("/api/owner/tenants", json={"name": "Kept"}, headers={"Idempotency-Key": "kept"})
    await owner.post("/api/owner/tenants", json={"name": "Old"}, headers={"Idempotency-Key": "old"})
    await admin.execute("UPDATE idempotency_key SET created_at = now() - interval '25 hours' WHERE key = 'old'")
    await admin.execute(
        "INSERT INTO session (id, token_hash, user_id, expires_at) "
        "SELECT gen_random_uuid(), '\\x00', id, now() - interval '1 second' FROM \"user\""
    )
    await admin.execute(
        "INSERT INTO owner_link (id, token_hash, expires_at) VALUES "
        "(gen_random_uuid(), '\\x01', now() - interval '2 days'), (gen_random_uuid(), '\\x02', now())"
    )
    await admin.execute(
        "INSERT INTO sign_in_counter VALUES "
        "('a', '*', 3, now() - interval '1 second'), ('b', '*', 3, now() + interval '1 hour')"
    )
    async with database.transaction(operator.scope) as session:
        await enqueue(session, PurgeExpired())
    await drain()

    job = await admin.fetchrow("SELECT state, result, error_message FROM job WHERE kind = 'purge_expired'")
    assert job["state"] == "completed", job["error_message"]
    assert (
        job["result"]
        == '{"sessions": 1, "owner_links": 1, "one_time_codes": 0, "idempotency_keys": 1, "sign_in_counters": 1}'
    )
    assert [row["key"] for row in await admin.fetch("SELECT key FROM idempotency_key")] == ["kept"]
    assert await admin.fetchval("SELECT token_hash FROM owner_link") == b"\x02"
    assert (await owner.get("/api/owner/tenants")).status_code == 200
