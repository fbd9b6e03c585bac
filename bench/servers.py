"""The servers of one benchmark run: PostgreSQL and Valkey from the wheels, on loopback, thrown away at the end."""

import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
from redis.asyncio import Redis

from app import migrate
from app.core.settings import load
from app.embedded.servers import Servers, Urls

# Every table of the record of work that grows with the jobs.
GROWING = "job, job_attempt, job_effect, job_key, job_ended"


class Ground:
    """The servers' addresses, and how to empty them between two turns."""

    def __init__(self, urls: Urls, environment: dict[str, str]) -> None:
        self.urls = urls
        self.environment = environment
        """What a process of TekNav needs to find them."""

    async def empty(self) -> None:
        async with Redis.from_url(self.urls.redis_url) as redis:
            await redis.flushall()
        connection = await asyncpg.connect(self.urls.admin_database_url)
        try:
            await connection.execute(f"TRUNCATE {GROWING}")
        finally:
            await connection.close()


@asynccontextmanager
async def ground() -> AsyncIterator[Ground]:
    """Servers as `teknav up` starts them: PostgreSQL with fsync, Valkey with an append-only file."""
    folder = Path(tempfile.mkdtemp(prefix="teknav-bench-"))
    servers = Servers()
    try:
        urls = servers.start(folder)
        environment = urls.environment() | {
            "APP_ENV": "test",
            "LOG_LEVEL": "error",
            "ENABLE_RATE_LIMIT": "false",
            "SECRET_KEY": "k" * 40,
            "JWT_SECRET": "j" * 40,
            "ENCRYPTION_KEY": "e" * 40,
        }
        await migrate.migrate(load(environment))
        yield Ground(urls, environment)
    finally:
        servers.stop()
        shutil.rmtree(folder, ignore_errors=True)
