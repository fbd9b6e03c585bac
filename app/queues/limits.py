"""Limits of a queue that hold over all worker processes: starts in a time, jobs at once, jobs of one tenant at once.

All of it is one script of ours around BullMQ's own that hands out a job, so asking and starting are one step. A job
whose tenant has no place is parked: delayed as BullMQ sees it, and brought back to the front when a place is free,
so that the jobs behind it start and nothing is asked twice. A place is a lease, which ends with the worker that dies.
"""

from pathlib import Path
from typing import Any

import msgpack
from bullmq.redis_connection import loadScript
from redis.asyncio import Redis

from app.core.ids import PLATFORM_TENANT
from app.queues.models import JobRow
from app.queues.spec import UNLIMITED, Limits

LEASE_MS = 10_000
PARKED_MS = 600_000
PARKED = "limit:parked"
_FETCH_KEYS = (
    "wait",
    "active",
    "prioritized",
    "events",
    "stalled",
    "limiter",
    "delayed",
    "paused",
    "meta",
    "pc",
    "marker",
)
_SOURCE = f"""
local function fetch(KEYS, ARGV)
{loadScript("moveToActive-11.lua")}
end
{(Path(__file__).parent / "limits.lua").read_text()}
"""


class Gate:
    """One queue's limits within a worker process, which may change at any time.

    Args:
        prefix: of all the queue's keys, with the colon at its end.

    Every call raises `redis.exceptions.RedisError` or `OSError` when Redis is away.
    """

    def __init__(self, client: Redis, prefix: str, limits: Limits) -> None:
        self.limits = limits
        self._script = client.register_script(_SOURCE)
        self._prefix = prefix
        self._keys = [prefix + name for name in (*_FETCH_KEYS, "limit:rate", "limit:running", PARKED)]
        self._leases: dict[str, str] = {}
        self._some_parked = True  # for all that is known

    @property
    def open(self) -> bool:
        """Whether nothing is limited, so that nobody need ask."""
        return self.limits == UNLIMITED

    async def fetch(self, token: str, now_ms: int, lock_ms: int) -> list[Any]:
        """The next job that may start, locked under `token`, as BullMQ's own script answers it.

        Where the limits let none start, that answer holds the milliseconds after which it is worth asking again; a
        place that becomes free before sets the queue's marker.
        """
        options = msgpack.packb({"token": token, "lockDuration": lock_ms, "limiter": None})
        *answer, tenant = await self._run("fetch", token, now_ms, options, str(PLATFORM_TENANT))
        if answer[0] and (self.limits.running or self.limits.running_per_tenant):
            self._leases[token] = tenant
        return answer

    async def release(self, token: str) -> None:
        """The job under `token` runs no more; whoever waits for its place is told."""
        if (tenant := self._leases.pop(token, None)) is not None:
            await self._run("release", token, tenant)

    async def renew(self) -> None:
        """Keep the places of all that runs here."""
        if self._leases:
            await self._run("renew", *(part for lease in self._leases.items() for part in lease))

    async def wake(self) -> None:
        """Bring back parked jobs for which there is a place now: a worker died with its leases, or limits changed."""
        if self.open and not self._some_parked:
            return
        self._some_parked = bool(await self._run("wake"))

    async def _run(self, action: str, *args: Any) -> list[Any]:
        limits = self.limits
        rate = (limits.rate.jobs, round(limits.rate.per_s * 1000)) if limits.rate else (0, 0)
        most = (limits.running or 0, limits.running_per_tenant or 0)
        args = (action, *rate, *most, LEASE_MS, PARKED_MS, self._prefix, *args)
        answer: list[Any] = await self._script(keys=self._keys, args=args)
        return answer


def parked_key(prefix: str, row: JobRow) -> str:
    """Where the job is listed while it is parked."""
    return f"{prefix}{PARKED}:{row.tenant_id}"
