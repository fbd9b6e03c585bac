"""One queue as a worker sees it: BullMQ's own scripts hand jobs out, locked, and take them back."""

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import bullmq
import msgpack
from bullmq.backends import RedisBackend
from bullmq.redis_connection import RedisConnection
from redis.asyncio import Redis

from app.queues.clock import clock
from app.queues.deadletter import SOURCE, letter_keys_and_args
from app.queues.limits import Gate
from app.queues.spec import QueueSpec

LAYOUTS_OF = "3.4.4"
LOCK_MS = 6_000
STALL_CHECK_MS = 2_000
"""A killed worker's jobs are taken up after a lock and a check; a loop that is blocked for longer loses its own."""
STALLS_ALLOWED = 20
"""A job that stalled once runs alone, in a process of its own: only what ends its worker each time gets this far."""
_THERE_ALREADY, _GONE = -100, -1
_FETCH_KEYS = ["wait", "active", "prioritized", "events", "stalled", "limiter", "delayed", "paused", "meta", "pc"]


@dataclass(slots=True, eq=False)
class Delivery:
    """A job in hand. It is locked under `token` until it is settled, or until nobody renewed the lock."""

    engine_id: str
    fields: dict[str, str]
    token: str
    queue: str = ""
    """Its name as people know it."""
    job_id: UUID | None = None
    """Its row in the record, once that is known."""

    @property
    def known(self) -> bool:
        """False for what is left of a job whose hash Redis has lost."""
        return "name" in self.fields

    @property
    def first(self) -> bool:
        """Whether Redis hands it out for the first time."""
        return self.fields.get("ats") == "1"

    @property
    def suspect(self) -> bool:
        """Whether a worker was lost while it had the job, perhaps by the job."""
        return self.fields.get("stc", "0") != "0"

    @property
    def doomed(self) -> str | None:
        """Why it is to be failed without being run: it stalled too often."""
        return self.fields.get("defa")


@dataclass(frozen=True, slots=True)
class Done:
    """The job is completed, or there was nothing to do."""


@dataclass(frozen=True, slots=True)
class Retry:
    """This attempt failed and the next one is due in `wait_s` seconds."""

    wait_s: float
    message: str
    stack: str


@dataclass(frozen=True, slots=True)
class HandBack:
    """The attempt counts as none; anybody may take the job in `wait_s` seconds."""

    wait_s: float = 0


@dataclass(frozen=True, slots=True)
class Dead:
    """The job is over and becomes a dead letter. `then` runs once Redis has it among them."""

    message: str
    then: Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Refused:
    """Redis no longer knows what the job is: it is taken out, and the record pushes it again if it is unfinished."""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """Somebody wanted the job to stop, and the record says so: it is taken out."""


Verdict = Done | Retry | HandBack | Dead | Refused | Cancelled


class LockLost(Exception):
    """The job is no longer this worker's, or no longer in Redis."""


class Consumer:
    """Every call raises `redis.exceptions.RedisError` or `OSError` when Redis is away."""

    def __init__(self, client: Redis, connection: RedisConnection, prefix: str, spec: QueueSpec) -> None:
        self.spec = spec
        self.due_at: float | None = None
        """When a delayed job is due, as of the last answer that held no job; seconds since 1970."""
        self._client = client
        self.gate = Gate(client, f"{prefix}:{spec.engine_name}:", spec.limits)
        self._backend = RedisBackend(spec.engine_name, connection, prefix=prefix, owns_connection=False)
        self._letters = RedisBackend(spec.dead_letters_engine_name, connection, prefix=prefix, owns_connection=False)
        self._scripts = self._backend.scripts
        self._fetch = connection.commands["moveToActive"]
        self._finish = connection.commands["moveToFinished"]
        self._bury = client.register_script(SOURCE)
        keys = self._scripts.getKeys(_FETCH_KEYS)
        self._prefix = self._scripts.keys[""]
        self.marker: str = self._scripts.keys["marker"]
        self._fetch_keys = [*keys, self.marker]
        self._finish_keys = [*keys, self._scripts.keys["completed"]]
        self._finish_tail = [self._scripts.toKey("metrics:completed"), self.marker]
        self._finish_options = {
            "keepJobs": {"count": spec.completed_kept, "age": spec.completed_kept_for.total_seconds()},
            "limiter": None,
            "lockDuration": LOCK_MS,
            "attempts": spec.attempts,
            "attemptsMade": 0,
            "maxMetricsSize": "",
            "fpof": False,
            "cpof": False,
            "idof": False,
            "rdof": False,
        }

    async def fetch(self, token: str) -> Delivery | None:
        """The next job that its queue's limits let start, locked under `token`; None leaves `due_at`."""
        if not self.gate.open:
            return self._read(await self.gate.fetch(token, _now_ms(), LOCK_MS), token)
        options = msgpack.packb({"token": token, "lockDuration": LOCK_MS, "limiter": None})
        answer = await self._fetch(keys=self._fetch_keys, args=[self._prefix, _now_ms(), options])
        return self._read(answer, token)

    async def complete(self, delivery: Delivery, *, fetch_next: bool) -> Delivery | None:
        """Finish the job; with `fetch_next`, the next one comes back under the same token.

        Raises:
            LockLost: nothing was changed.
        """
        return await self._finished(delivery, self._finish_options, fetch_next)

    async def drop(self, delivery: Delivery) -> None:
        """Take the job out of Redis without a trace.

        Raises:
            LockLost: nothing was changed.
        """
        await self._finished(delivery, self._finish_options | {"keepJobs": {"count": 0}}, False)

    async def retry(self, delivery: Delivery, wait_s: float, message: str, stack: str) -> None:
        """Count the attempt and let the job wait.

        Raises:
            LockLost: nothing was changed.
        """
        stacks = [*json.loads(delivery.fields.get("stacktrace", "[]")), stack]
        told = {"fieldsToUpdate": {"failedReason": message, "stacktrace": json.dumps(stacks)}}
        if wait_s > 0:
            await self._delay(delivery, wait_s, told)
            return
        keys, args = self._scripts.retryJobArgs(delivery.engine_id, False, delivery.token, told)
        _accepted(await self._scripts.commands["retryJob"](keys=keys, args=args))

    async def hand_back(self, delivery: Delivery, wait_s: float) -> None:
        """
        Raises:
            LockLost: nothing was changed.
        """
        await self._delay(delivery, wait_s, {"skipAttempt": True})

    async def bury(self, delivery: Delivery, message: str) -> None:
        """Move the job into its dead-letter queue, in one step.

        Raises:
            LockLost: nothing was changed; the lock is another's, and so is the job.
        """
        job = bullmq.Job.fromJSON(self._queue(self._backend), delivery.fields, delivery.engine_id)
        keys, args = letter_keys_and_args(
            job,
            self._queue(self._letters),
            self.spec.name,
            delivery.token,
            message or "the job failed without a message",
        )
        answer = await self._bury(keys=keys, args=args)
        # -100: the letter is there, so an earlier call arrived whose answer was lost. -1: Redis was emptied in the
        # meantime; the row is the letter.
        if answer not in (_THERE_ALREADY, _GONE):
            _accepted(answer)

    async def renew(self, deliveries: Sequence[Delivery]) -> list[str]:
        """Keep the locks; returns the ids of the jobs whose lock is gone or another's."""
        ids, tokens = [each.engine_id for each in deliveries], [each.token for each in deliveries]
        lost: list[str] = await self._scripts.extendJobLocks(ids, tokens, LOCK_MS)
        return lost

    async def free_stalled(self) -> list[str]:
        """Let jobs wait again that a worker took along when it died; returns their ids."""
        stalled: list[str] = await self._scripts.moveStalledJobsToWait(STALLS_ALLOWED, STALL_CHECK_MS)
        return stalled

    async def mark(self) -> None:
        """Tell whoever waits for this queue that there may be a job."""
        await self._client.zadd(self.marker, {"0": 0})

    async def _finished(self, delivery: Delivery, options: dict[str, Any], fetch_next: bool) -> Delivery | None:
        token, engine_id = delivery.token, delivery.engine_id
        answer = await self._finish(
            keys=[*self._finish_keys, self._prefix + engine_id, *self._finish_tail],
            args=[
                engine_id,
                _now_ms(),
                "returnvalue",
                "null",
                "completed",
                "1" if fetch_next else "",
                self._prefix,
                msgpack.packb({"token": token, **options}),
            ],
        )
        return self._read(_accepted(answer), token)

    async def _delay(self, delivery: Delivery, wait_s: float, options: dict[str, Any]) -> None:
        keys, args = self._scripts.moveToDelayedArgs(
            delivery.engine_id, _now_ms(), delivery.token, round(wait_s * 1000), options
        )
        _accepted(await self._scripts.commands["moveToDelayed"](keys=keys, args=args))

    def _read(self, answer: Any, token: str) -> Delivery | None:
        """BullMQ's answer: fields, id, milliseconds of a limit, milliseconds of the next delayed job."""
        self.due_at = None
        if not isinstance(answer, list):
            return None
        fields, engine_id, limited_ms, due_ms = answer
        if fields:
            return Delivery(engine_id, dict(zip(fields[::2], fields[1::2], strict=True)), token, self.spec.name)
        if limited_ms:
            self.due_at = clock.now() + limited_ms / 1000
        elif due_ms:
            self.due_at = due_ms / 1000
        return None

    @staticmethod
    def _queue(backend: RedisBackend) -> Any:
        """What BullMQ's Job wants to know of its queue."""
        options = {"lockDuration": LOCK_MS}
        return SimpleNamespace(name=backend.name, backend=backend, qualifiedName=backend.qualifiedName, opts=options)


def check_layouts() -> None:
    """We hand BullMQ's scripts their arguments ourselves, so their order has to be the one we know.

    Raises:
        RuntimeError: another version of bullmq is installed.
    """
    found = version("bullmq")
    if found != LAYOUTS_OF:
        raise RuntimeError(f"bullmq {found} is installed; its scripts are known for {LAYOUTS_OF} only")


def _accepted(answer: Any) -> Any:
    if isinstance(answer, int) and answer < 0:
        raise LockLost(f"BullMQ answered {answer}")
    return answer


def _now_ms() -> int:
    return round(clock.now() * 1000)
