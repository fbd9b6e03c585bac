"""What goes into Redis and what is asked of it, in BullMQ's terms. Names and ids are translated here.

What takes jobs out stands in `consumer`, the lists of the dead in `deadletter`, strangers' jobs in `adopt`.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

import bullmq
import msgspec
from bullmq.redis_connection import RedisConnection
from redis.asyncio import Redis

from app.queues.clock import clock
from app.queues.consumer import Consumer
from app.queues.deadletter import FAILED_SOURCE, failed_keys_and_args
from app.queues.limits import PARKED, parked_key
from app.queues.models import JobRow
from app.queues.spec import QueueSpec

WAITING_LISTS = ("wait", "paused")
ANSWER_S = 5.0
AGED_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Counts:
    """Jobs of one queue that Redis holds, by what they wait for."""

    waiting: int
    delayed: int
    active: int


class Engine:
    """BullMQ's queues over one client. The client is shared and stays open when queues close.

    Every call raises `redis.exceptions.RedisError` or `OSError` when Redis is away.
    """

    def __init__(self, client: Redis, prefix: str, specs: Mapping[str, QueueSpec]) -> None:
        self.client = client
        self.prefix = prefix
        self.specs = specs
        self._queues: dict[str, bullmq.Queue] = {}
        self._bury_failed = client.register_script(FAILED_SOURCE)

    def over(self, client: Redis) -> "Engine":
        """The same queues over another client."""
        return Engine(client, self.prefix, self.specs)

    async def answer(self) -> None:
        """Wait until Redis answers, for ANSWER_S at most.

        Raises:
            TimeoutError: it does not.
        """
        try:
            async with asyncio.timeout(ANSWER_S):
                await self.client.ping()
        except TimeoutError as error:
            raise TimeoutError(f"Redis has not answered for {ANSWER_S:g} s") from error

    def queue(self, engine_name: str) -> bullmq.Queue:
        if engine_name not in self._queues:
            self._queues[engine_name] = bullmq.Queue(engine_name, {"connection": self.client, "prefix": self.prefix})
        return self._queues[engine_name]

    def consumers(self, client: Redis, specs: Iterable[QueueSpec]) -> list[Consumer]:
        """The worker's side of the queues, over a client of its own that waits for Redis for ever."""
        connection = RedisConnection(client)
        return [Consumer(client, connection, self.prefix, spec) for spec in specs]

    def wake_key(self, worker: UUID) -> str:
        """What ends the blocking wait of one worker process."""
        return f"{self.prefix}:wake:{worker}"

    def key(self, engine_name: str, what: str) -> str:
        return f"{self.prefix}:{engine_name}:{what}"

    async def push(self, rows: Sequence[JobRow]) -> None:
        """Add the jobs; an id that BullMQ still has is left as it is, so pushing twice is harmless."""
        async with self.client.pipeline(transaction=True) as pipe:
            for row in rows:
                spec = self.specs[row.queue]
                queue = self.queue(spec.engine_name)
                job = bullmq.Job(queue, row.kind, row.payload, _options(row, spec))
                await queue.backend.scripts.addJob(job, pipe)
                if row.attempts_made:
                    # Only where the add was new: a job that Redis lost does not get its attempts back.
                    pipe.hsetnx(self.key(spec.engine_name, row.engine_id), "atm", row.attempts_made)
            await pipe.execute()

    async def counts(self, names: Iterable[str]) -> dict[str, Counts]:
        """All queues in one round trip."""
        names = list(names)
        # BullMQ's score is the millisecond with twelve bits behind it. What is due waits for a worker to look.
        due = round(clock.now() * 1000) << 12 | 0xFFF
        async with self.client.pipeline(transaction=False) as pipe:
            for name in names:
                base = self.specs[name].engine_name
                for waiting in WAITING_LISTS:
                    pipe.llen(self.key(base, waiting))
                pipe.zcard(self.key(base, "prioritized"))
                pipe.zcard(self.key(base, "delayed"))
                pipe.zcount(self.key(base, "delayed"), 0, due)
                pipe.llen(self.key(base, "active"))
                pipe.hvals(self.key(base, PARKED))
            found = iter(await pipe.execute())
        return {name: _counts(*(next(found) for _ in range(7))) for name in names}

    async def pause(self, name: str, paused: bool) -> None:
        await self.queue(self.specs[name].engine_name).backend.pause(paused)

    async def paused(self) -> dict[str, bool]:
        """Which queues do not start jobs, in one round trip."""
        async with self.client.pipeline(transaction=False) as pipe:
            for spec in self.specs.values():
                pipe.hexists(self.key(spec.engine_name, "meta"), "paused")
            found = await pipe.execute()
        return dict(zip(self.specs, map(bool, found), strict=True))

    async def promote(self, row: JobRow) -> None:
        """Make a delayed job due; one that is not delayed any more is left alone."""
        # BullMQ raises a TypeError for "not in the delayed state".
        with contextlib.suppress(TypeError):
            await self.queue(self.specs[row.queue].engine_name).backend.promote(row.engine_id)

    async def forget(self, name: str, engine_id: str) -> None:
        """Take a job, or its dead letter, out of Redis together with its hash."""
        spec = self.specs[name]
        for place in (spec.engine_name, spec.dead_letters_engine_name):
            await self.take_out(place, engine_id)

    async def places(self, rows: Sequence[JobRow]) -> list[str]:
        """Where Redis has each job: `completed`, `failed`, `dead`, `delayed`, `here` or `unknown`.

        A job that its limits keep waiting is delayed in BullMQ's eyes only, and so it is `here`.
        """
        async with self.client.pipeline(transaction=False) as pipe:
            for row in rows:
                spec = self.specs[row.queue]
                pipe.exists(self.key(spec.dead_letters_engine_name, row.engine_id))
                pipe.zscore(parked_key(self.key(spec.engine_name, ""), row), row.engine_id)
                pipe.zscore(self.key(spec.engine_name, "completed"), row.engine_id)
                pipe.zscore(self.key(spec.engine_name, "failed"), row.engine_id)
                pipe.zscore(self.key(spec.engine_name, "delayed"), row.engine_id)
                pipe.exists(self.key(spec.engine_name, row.engine_id))
            found = await pipe.execute()
        names = ("dead", "here", "completed", "failed", "delayed", "here")
        answers = (found[i : i + len(names)] for i in range(0, len(found), len(names)))
        # A score of 0.0 would be falsy, and is not a time that BullMQ writes.
        return [next((name for name, hit in zip(names, each, strict=True) if hit), "unknown") for each in answers]

    async def waiting(self, name: str, first: int, count: int) -> list[str]:
        """Ids of dead letters and of jobs that wait or are delayed: of each list `count`, from the place `first`."""
        spec, last = self.specs[name], first + count - 1
        async with self.client.pipeline(transaction=False) as pipe:
            pipe.lrange(self.key(spec.dead_letters_engine_name, "wait"), first, last)
            for waiting in WAITING_LISTS:
                pipe.lrange(self.key(spec.engine_name, waiting), first, last)
            for ordered in ("prioritized", "delayed"):
                pipe.zrange(self.key(spec.engine_name, ordered), first, last)
            return [engine_id for ids in await pipe.execute() for engine_id in ids]

    async def aged(self, name: str, before_s: float) -> list[tuple[str, str]]:
        """Dead letters, and what other programs have failed, from before that moment in seconds since 1970.

        Returns:
            for some of the oldest, the queue in which BullMQ has it, by BullMQ's name, and the id.
        """
        spec, before_ms = self.specs[name], round(before_s * 1000)
        places, letters = (spec.engine_name, spec.dead_letters_engine_name), spec.dead_letters_engine_name
        async with self.client.pipeline(transaction=False) as pipe:
            for place in places:
                pipe.zrange(self.key(place, "failed"), "-inf", before_ms, byscore=True, offset=0, num=AGED_AT_ONCE)
            for waiting in WAITING_LISTS:
                pipe.lrange(self.key(letters, waiting), -AGED_AT_ONCE, -1)
            *failed, waits, paused = await pipe.execute()
        found = [(place, one) for place, ids in zip(places, failed, strict=True) for one in ids]
        async with self.client.pipeline(transaction=False) as pipe:
            for one in (*waits, *paused):
                pipe.hget(self.key(letters, one), "timestamp")
            stamps = await pipe.execute()
        # What has lost its hash says nothing to anybody.
        dated = zip((*waits, *paused), stamps, strict=True)
        return found + [(letters, one) for one, stamp in dated if stamp is None or int(stamp) < before_ms]

    async def take_out(self, place: str, engine_id: str) -> None:
        """Take a job out of one queue, by BullMQ's name for it, together with its hash."""
        await self.queue(place).backend.remove(engine_id, True)

    async def field(self, row: JobRow, name: str, *, dead: bool = False) -> str | None:
        spec = self.specs[row.queue]
        base = spec.dead_letters_engine_name if dead else spec.engine_name
        return cast("str | None", await self.client.hget(self.key(base, row.engine_id), name))

    async def reason(self, row: JobRow, place: str) -> str | None:
        """Why it is `failed` or `dead` there."""
        if place == "failed":
            return await self.field(row, "failedReason")
        letter = await self.field(row, "data", dead=True)
        return str(msgspec.json.decode(letter).get("lastError", "")) if letter else None

    async def bury_failed(self, row: JobRow, reason: str) -> None:
        """Move a job that another program's worker has failed for good to the dead letters, in one step."""
        spec = self.specs[row.queue]
        job = await bullmq.Job.fromId(self.queue(spec.engine_name), row.engine_id)
        # Redis may have lost what it is; then the row alone is the letter.
        if job is not None and job.name:
            letters = self.queue(spec.dead_letters_engine_name)
            keys, args = failed_keys_and_args(job, letters, spec.name, reason)
            await self._bury_failed(keys=keys, args=args)

    async def epoch(self) -> bool:
        """Whether this Redis still holds what we put there; False once it was emptied."""
        return bool(await self.client.exists(f"{self.prefix}:epoch"))

    async def begin_epoch(self) -> None:
        await self.client.set(f"{self.prefix}:epoch", clock.moment().isoformat())


def _counts(*found: Any) -> Counts:
    wait, paused, prioritized, delayed, due, active, parked_by_tenant = found
    waiting = min(due + sum(map(int, parked_by_tenant)), delayed)
    return Counts(wait + paused + prioritized + waiting, delayed - waiting, active)


def _options(row: JobRow, spec: QueueSpec) -> dict[str, Any]:
    # By the time that all share: a relay whose host is ahead must not push early what is due later.
    now = clock.now()
    delay_ms = max(0, round((row.run_at.timestamp() - now) * 1000))
    return {
        **spec.engine_options(),
        "jobId": row.engine_id,
        "attempts": row.max_attempts,
        "delay": delay_ms,
        "timestamp": round(now * 1000),
        "priority": row.priority,
        # For the limits: BullMQ hands it through.
        "tenant": str(row.tenant_id),
    }
