"""What Redis tells of itself, in a form that people and programs can use; every look is bounded."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from redis.asyncio import Redis

SCANNED, SCANS = 500, 4


@dataclass(frozen=True, slots=True)
class Insight:
    """The server behind a link. `most_bytes` is 0 where memory has no limit; `policy` is None where it is not told."""

    name: str
    version: str
    uptime_s: int
    used_bytes: int
    most_bytes: int
    policy: str | None
    keys: int
    clients: int
    per_s: int
    evicted: int
    kept_on_disk: bool
    role: str


@dataclass(frozen=True, slots=True)
class Large:
    """A key and the bytes it takes in Redis' memory."""

    key: str
    bytes: int


async def look(client: Redis) -> Insight:
    """
    Raises:
        RedisError: Redis does not serve.
    """
    found: dict[str, Any] = await client.info()
    keys = sum(int(value["keys"]) for name, value in found.items() if name.startswith("db") and isinstance(value, dict))
    return Insight(
        name="Valkey" if "valkey_version" in found else "Redis",
        version=str(found.get("valkey_version") or found.get("redis_version", "")),
        uptime_s=int(found.get("uptime_in_seconds", 0)),
        used_bytes=int(found.get("used_memory", 0)),
        most_bytes=int(found.get("maxmemory", 0)),
        policy=found.get("maxmemory_policy"),
        keys=keys,
        clients=int(found.get("connected_clients", 0)),
        per_s=int(found.get("instantaneous_ops_per_sec", 0)),
        evicted=int(found.get("evicted_keys", 0)),
        kept_on_disk=bool(found.get("aof_enabled", 0)),
        role=str(found.get("role", "")),
    )


def warnings(found: Insight, *, apart: bool) -> list[str]:
    """What is wrong with how this Redis is set up; `apart` says that queues have another one."""
    told = []
    if found.role not in ("", "master"):
        told.append("This is a replica: nothing can be written to it. Point the address at the primary.")
    if not apart and found.policy not in (None, "noeviction"):
        told.append(
            f"The eviction policy is {found.policy}, and the queues lie here too: it drops jobs. "
            "Set maxmemory-policy noeviction, or name another Redis in CACHE_REDIS_URL."
        )
    if apart and found.policy == "noeviction" and found.most_bytes:
        told.append("The eviction policy is noeviction: once memory is full, nothing more is kept. Use allkeys-lru.")
    if apart and not found.most_bytes:
        told.append("maxmemory is not set: the cache may grow until the machine has no memory left.")
    if found.most_bytes and found.used_bytes > found.most_bytes * 0.9:
        told.append("More than nine tenths of the memory are in use.")
    if found.evicted and not apart:
        told.append(f"{found.evicted} keys have been evicted since it started.")
    return told


async def largest(client: Redis, most: int) -> tuple[int, Sequence[Large]]:
    """The largest of a sample of keys, by SCAN: how many were looked at, and `most` of them.

    Raises:
        RedisError: Redis does not serve.
    """
    names: list[str] = []
    cursor = 0
    for _ in range(SCANS):
        cursor, some = await client.scan(cursor, count=SCANNED)
        names += cast("list[str]", some)
        if cursor == 0:
            break
    names = names[: SCANNED * SCANS]
    async with client.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.memory_usage(name)
        sizes = await pipe.execute(raise_on_error=False)
    found = [Large(name, size) for name, size in zip(names, sizes, strict=True) if isinstance(size, int)]
    return len(names), sorted(found, key=lambda one: -one.bytes)[:most]
