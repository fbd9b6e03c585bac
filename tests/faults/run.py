"""One scenario on a stage: load, faults, drain, verdict."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import asyncpg
import httpx2
from redis.asyncio import Redis

from tests.faults.judge import BARE, Traces, Verdict, judge, traces_of, unfinished
from tests.faults.load import MIX, Load, Mix, Wanted, plan
from tests.faults.stage import Stage

LOOK_S, STUCK_S = 0.5, 10.0
FIRST, LAST = 0.15, 0.7  # the part of the load during which faults happen


@dataclass(frozen=True, slots=True)
class Size:
    """How much: deeds and their rate, seconds that an outage lasts, rounds of a fault, seconds to wait for the ends.

    `bound_s` ends a scenario, and `total_s` begins no further one.
    """

    jobs: int
    per_s: float
    outage_s: float
    rounds: int
    drain_s: float
    bound_s: float
    total_s: float
    short: bool = False


SHORT = Size(jobs=160, per_s=40, outage_s=3, rounds=1, drain_s=100, bound_s=240, total_s=900, short=True)
LONG = Size(jobs=1500, per_s=60, outage_s=30, rounds=5, drain_s=120, bound_s=420, total_s=4500)
LONGEST_OUTAGES = 2
"""So many rounds have an outage as long as `outage_s`; more of them say no more, and take minutes."""


TOLD = 3
STANDS = """
    SELECT state, delayed, run, attempt, attempts_made, worker::text, error_message, run_at::text, started_at::text,
        updated_at::text, now()::text AS now
    FROM job WHERE id::text = $1
"""


class Skipped(Exception):
    """This machine cannot play the scenario; the message says why."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A fault and what has to hold. `goal_s` is the time after which work goes on; it is shown, and never fails.

    With `off`, a guard is switched off and the judge has to find a complaint for each of the beginnings in `finds`.
    """

    name: str
    title: str
    play: Callable[["Run"], Awaitable[None]]
    goal_s: float | None = None
    off: str = ""
    finds: str = ""
    drain_s: float | None = None
    queues: tuple[str, ...] = ("faults:quick",)
    allowed: tuple[str, ...] = ()
    """Answers of 500 and more that are right here."""
    long_only: bool = False
    """The short set has another scenario of this kind."""


@dataclass(slots=True)
class Result:
    """One line of the table."""

    scenario: str
    seed: int
    accepted: int = 0
    effects: int = 0
    lost: int = 0
    doubled: int = 0
    dead_expected: int = 0
    dead_found: int = 0
    back_s: float | None = None
    goal_s: float | None = None
    took_s: float = 0
    verdict: str = ""
    complaints: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return self.verdict in ("ok", "skipped")


class Run:
    """What a scenario's function gets."""

    def __init__(self, scenario: Scenario, stage: Stage, size: Size, seed: int) -> None:
        self.scenario, self.stage, self.size, self.seed = scenario, stage, size, seed
        self.rng = random.Random(f"{scenario.name} {seed}")
        self.load = Load(stage, size.per_s)
        self.prefix = f"{scenario.name}:"
        self.complaints: list[str] = []
        self.result = Result(scenario.name, seed, goal_s=scenario.goal_s)
        self.closed = False
        self.seen_tries: dict[str, int] = {}
        self._over: list[float] = []
        self._back: list[float] = []
        self._left_before = 0
        self._stuck = False

    async def dress(self, workers: int = 2, **worker_environment: str) -> None:
        """Two workers and a web process that are ready; see `Stage.dress`."""
        await self.stage.dress(workers, off=self.scenario.off, **worker_environment)
        self._left_before = await unfinished(self.stage, self.scenario.queues)

    def wanted(self, mark: str, what: str, **more: object) -> Wanted:
        return Wanted(f"{self.prefix}{mark}", what, **more)  # type: ignore[arg-type]

    def plan(self, mix: Mix = MIX, *, jobs: int | None = None, seconds: float = 0.05) -> list[Wanted]:
        return plan(self.prefix + "load", jobs or self.size.jobs, self.rng, mix, seconds=seconds)

    @asynccontextmanager
    async def under_load(self, wanted: list[Wanted] | None = None) -> AsyncIterator[list[int]]:
        """The load runs during the block, and has its answers after it; gives the counts at which faults happen."""
        wanted = wanted or self.plan()
        first, last = int(len(wanted) * FIRST), int(len(wanted) * LAST)
        points = sorted(self.rng.randrange(first, last) for _ in range(self.size.rounds))
        sending = asyncio.create_task(self.load.send(wanted))
        try:
            yield points
            await sending
        finally:
            sending.cancel()

    def over(self) -> None:
        """The fault has just ended; from here on counts how long it takes until all is as it should be."""
        self._over.append(time.time())

    def back(self, seconds: float) -> None:
        """A fault ended so long ago and all is as it should be; for a scenario that sees that by itself."""
        self._back.append(seconds)

    def complain(self, text: str) -> None:
        self.complaints.append(text)

    async def play(self) -> Result:
        """Never raises for what the product does; a scenario that cannot go on has the verdict FAILED."""
        began, result = time.monotonic(), self.result
        try:
            async with asyncio.timeout(self.size.bound_s):
                await self.scenario.play(self)
                if not self.closed:
                    await self.drained()
                    await self.judge()
            # What a proof has broken is mended by the next scenario's processes.
            self.closed = self.closed or bool(self.scenario.off)
        except Skipped as why:
            result.verdict, result.complaints = "skipped", [str(why)]
        except Exception as error:
            result.verdict, result.complaints = "FAILED", [f"{type(error).__name__}: {error}", *self.complaints]
        result.took_s = round(time.monotonic() - began, 1)
        return result

    async def drained(self) -> None:
        """Wait until everything that was accepted has ended, for so long as the size says."""
        bound = STUCK_S if self._stuck else self.scenario.drain_s or self.size.drain_s
        deadline = time.monotonic() + bound
        while time.monotonic() < deadline:
            with suppress(httpx2.HTTPError, OSError, asyncpg.PostgresError):
                traces = await traces_of(self.stage, self.prefix)
                ended = all(traces.ended(one) for one in self.load.accepted.values() if one.wanted.expect != "later")
                if ended and await self._left() <= 0:
                    return
            await asyncio.sleep(LOOK_S)
        with suppress(httpx2.HTTPError):
            left = await self._left()
            if left > 0 and not self._stuck:
                self.complain(f"left unfinished: {left}")
        if not self._stuck:
            await self._tell_where_they_stand()
        self._stuck = True

    async def _tell_where_they_stand(self) -> None:
        """What the record and Redis have of jobs that did not end: without it nobody finds out why."""
        traces = await traces_of(self.stage, self.prefix)
        open_ones = [one for one in self.load.accepted.values() if one.wanted.expect != "later"]
        open_ones = [one for one in open_ones if not traces.ended(one)][:TOLD]
        async with self.stage.admin() as admin, self.stage.redis() as redis:
            for one in open_ones:
                row = await admin.fetchrow(STANDS, one.id)
                places = {
                    key.decode(): found async for key in redis.scan_iter() if (found := await _of(redis, key, one.id))
                }
                self.complain(f"{one.wanted.mark} has not ended: {dict(row) if row else 'no row'}, Redis has {places}")

    async def _left(self) -> int:
        """Unfinished jobs that should have ended by now; those of an earlier scenario do not count."""
        waiting = sum(one.wanted.expect == "later" for one in self.load.accepted.values())
        return await unfinished(self.stage, self.scenario.queues) - self._left_before - waiting

    async def close(self) -> None:
        """The last verdict comes now, because what follows changes the traces."""
        await self.judge()
        self.closed = True

    async def judge(self) -> None:
        """The verdict over what the traces say now. Asked again at the end, when late doubles have come too."""
        result = self.result
        traces = await traces_of(self.stage, self.prefix, letters=True)
        accepted = self.load.accepted
        verdict = judge(accepted, self.load.unknown, traces, self.stage.accepted)
        bare = sum(one.wanted.what in BARE and traces.worked(one) for one in accepted.values())
        result.accepted = len(accepted)
        result.effects = sum(len(traces.effects.get(mark, ())) for mark in accepted) + bare
        result.lost, result.doubled = len(verdict.lost), len(verdict.doubled)
        result.dead_expected = sum(one.wanted.expect == "dead" for one in accepted.values())
        result.dead_found = sum(one.id in traces.letters for one in accepted.values())
        result.back_s = round(max(self._back), 1) if self._back else self._last_effect(traces)
        result.complaints = [*verdict.complaints(), *self._answers(), *self.complaints]
        result.verdict = self._verdict(verdict, result.complaints)

    def _verdict(self, verdict: Verdict, complaints: list[str]) -> str:
        if not self.scenario.off:
            return "FAILED" if complaints else "ok"
        # The guard is off: a judge who finds nothing is blind.
        wanted = self.scenario.finds.split(",")
        seen = all(any(each.startswith(start) for each in complaints) for start in wanted)
        return "ok" if seen else "BLIND"

    def _answers(self) -> list[str]:
        bad = {
            status: count
            for status, count in self.load.statuses.items()
            if status >= "5" and status not in self.scenario.allowed
        }
        unsure = [f"never answered: {len(self.load.unknown)}"] if self.load.unknown else []
        return [f"answers {status}: {count}" for status, count in bad.items()] + unsure

    def _last_effect(self, traces: Traces) -> float | None:
        """From the end of a fault to the last effect of what was accepted before it; the worst of all rounds."""
        if not self._over:
            return None
        worst = 0.0
        for mark, one in self.load.accepted.items():
            for at in (*traces.effects.get(mark, ()), *traces.deaths.get(mark, ())):
                before = [over for over in self._over if one.at < over < at]
                worst = max(worst, at - max(before)) if before else worst
        return round(worst, 1)


async def _of(redis: Redis, key: bytes, job_id: str) -> object:
    """What this key has of a job; the payload is left out."""
    kind = await redis.type(key)
    if job_id in key.decode():
        found = await redis.hgetall(key) if kind == b"hash" else kind
        return {name: value for name, value in found.items() if name != b"data"} if isinstance(found, dict) else found
    if kind == b"list":
        return (place := await redis.lpos(key, job_id)) is not None and f"at {place}"
    if kind == b"zset":
        return await redis.zscore(key, job_id)
    return kind == b"set" and await redis.sismember(key, job_id)
