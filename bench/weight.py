"""What one job weighs: in Redis while it waits, in PostgreSQL when it is finished, and in what is written ahead."""

from typing import Any

import asyncpg
from redis.asyncio import Redis

from bench.contest import drained, programs
from bench.environments import CONTENDERS
from bench.servers import GROWING, Ground

TABLES = "SELECT sum(pg_total_relation_size(relid)) FROM unnest($1::text[]) name, pg_partition_tree(name::regclass)"


async def bytes_per_job(ground: Ground, jobs: int) -> dict[str, Any]:
    """Jobs with a payload of one number. `record` counts rows, attempts and indexes of finished jobs; `wal` what
    PostgreSQL wrote ahead from their enqueueing to their end."""
    await ground.empty()
    contender = next(contender for contender in CONTENDERS if contender.name == "ours_record")
    admin = await asyncpg.connect(ground.urls.admin_database_url)
    async with Redis.from_url(ground.urls.redis_url) as redis, programs(contender, ground.environment) as sides:
        producer, worker = sides
        empty, log = await _memory(redis), await admin.fetchval("SELECT pg_current_wal_lsn()")
        await producer.ask("add_bulk", first=0, jobs=jobs)
        waiting = await _memory(redis)
        await drained(producer, worker, jobs)
        record = await admin.fetchval(TABLES, GROWING.split(", "))
        written = await admin.fetchval("SELECT pg_current_wal_lsn() - $1::pg_lsn", log)
    await admin.close()
    return {
        "jobs": jobs,
        "redis_waiting": round((waiting - empty) / jobs),
        "record": round(int(record) / jobs),
        "wal": round(int(written) / jobs),
    }


async def _memory(redis: Redis) -> int:
    return int((await redis.info("memory"))["used_memory"])
