"""The cache on the wire."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from msgspec import Meta

from app.core.wire import Incoming, Outgoing

Word = Annotated[str, Meta(min_length=1, max_length=80)]


class Dropped(Outgoing):
    """What was dropped. `keys` is null for a tag: its values are invalid from now on, and go when their time is up."""

    what: str
    keys: int | None


class CacheClear(Incoming):
    """What to drop: one of these. `all` has to be said."""

    key: Annotated[str, Meta(min_length=1, max_length=1000)] | None = None
    tag: Word | None = None
    area: Word | None = None
    all: bool = False


class RedisRead(Outgoing):
    """The Redis of the cache. What it does not tell while it is away is null. `maxBytes` is 0 without a limit."""

    ok: bool
    latency_ms: float
    apart: bool
    name: str | None = None
    version: str | None = None
    uptime_s: int | None = None
    used_bytes: int | None = None
    max_bytes: int | None = None
    policy: str | None = None
    keys: int | None = None
    clients: int | None = None
    commands_per_s: int | None = None
    evicted: int | None = None
    warnings: Sequence[str] = ()


class KindRead(Outgoing):
    """One kind of cached value, with what became of it in the last 24 hours in all processes.

    Hits are of a process's memory, of Redis, and of those who waited for another's load. `hitRate` is from 0 to 1, and
    null where nobody asked. `loadMs` and `bytes` are averages.
    """

    name: str
    module: str
    about: str
    ttl_s: float
    tags: Sequence[str]
    local_hits: int
    redis_hits: int
    shared_hits: int
    misses: int
    hit_rate: float | None
    loads: int
    load_ms: float | None
    failed: int
    bytes: int | None
    too_large: int


class SlowRead(Outgoing):
    """A key whose load took long, at worst today and yesterday (UTC)."""

    key: str
    ms: float


class OutageRead(Outgoing):
    """A time without Redis; `endedAt` is null while it lasts."""

    began_at: datetime
    ended_at: datetime | None
    error: str


class CacheStats(Outgoing):
    """`alone` counts what was asked for while Redis did not serve; `memory…` is of the process that answers."""

    redis: RedisRead
    kinds: Sequence[KindRead]
    alone: int
    memory_entries: int
    memory_bytes: int
    slow: Sequence[SlowRead]
    outages: Sequence[OutageRead]


class KeyRead(Outgoing):
    """A key in Redis. `kind` names the cached value it is of; null for all else, such as jobs."""

    key: str
    bytes: int
    kind: str | None


class KeySample(Outgoing):
    """The largest of the `sampled` keys."""

    sampled: int
    items: Sequence[KeyRead]
