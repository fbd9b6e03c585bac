"""The load: deeds asked for over HTTP, each until it has a definite answer, and the list of what was accepted."""

import asyncio
import random
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import httpx2

from tests.faults.stage import Stage

PLACE = "/api/v1/faults"
GIVE_UP_S = 90.0
CLIENTS = 8
AGAIN_S = 0.2
NOT_YET = (409, 429, 503)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One deed. `expect` is its right end: `effect`, `dead`, `either`, or `later` for one that must not run yet."""

    mark: str
    what: str
    queue: str = "faults:quick"
    seconds: float = 0.0
    delay_s: float = 0.0
    expect: str = "effect"

    def body(self) -> dict[str, Any]:
        return {
            "queue": self.queue, "mark": self.mark, "what": self.what, "seconds": self.seconds, "delayS": self.delay_s,
        }  # fmt: skip


@dataclass(slots=True)
class Accepted:
    """What the load generator knows of a deed that was accepted: the job's id and when the answer came."""

    wanted: Wanted
    id: str
    at: float


@dataclass
class Load:
    """Accepted and unknown deeds by mark, and how many answers of each status there were."""

    stage: Stage
    per_s: float
    accepted: dict[str, Accepted] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)
    statuses: Counter[str] = field(default_factory=Counter)

    async def send(self, plan: list[Wanted]) -> None:
        """Ask for every deed of the plan, several at a time and no more than `per_s` a second."""
        line = iter(plan)
        begun, sent = time.monotonic(), 0

        async def one(client: httpx2.AsyncClient) -> None:
            nonlocal sent
            for wanted in line:
                sent += 1
                await asyncio.sleep(max(0.0, begun + sent / self.per_s - time.monotonic()))
                await self._ask(client, wanted)

        async with self.stage.client("asking") as client:
            await asyncio.gather(*(one(client) for _ in range(CLIENTS)))

    async def _ask(self, client: httpx2.AsyncClient, wanted: Wanted) -> None:
        deadline = time.monotonic() + GIVE_UP_S
        self.unknown.add(wanted.mark)
        while time.monotonic() < deadline:
            with suppress(httpx2.HTTPError):
                # The key makes asking again safe, so the answer to the first one may get lost.
                answer = await client.post(PLACE, json=wanted.body(), headers={"Idempotency-Key": wanted.mark})
                self._count(answer)
                if answer.status_code == 202:
                    self.unknown.discard(wanted.mark)
                    self.accepted[wanted.mark] = Accepted(wanted, answer.json()["id"], time.time())
                    self.stage.accepted.add(answer.json()["id"])
                    return
                if answer.status_code not in NOT_YET and answer.status_code < 500:
                    self.unknown.discard(wanted.mark)
                    return
            await asyncio.sleep(AGAIN_S)

    def _count(self, answer: httpx2.Response) -> None:
        bare = answer.status_code == 503 and "retry-after" not in answer.headers
        self.statuses["503 without Retry-After" if bare else str(answer.status_code)] += 1

    async def reached(self, count: int) -> None:
        """Wait until this many were accepted."""
        while len(self.accepted) < count:
            await asyncio.sleep(0.01)


Mix = tuple[tuple[str, int], ...]
MIX: Mix = (
    ("effect", 35), ("step", 20), ("plain", 10), ("call", 10), ("call:slow", 2), ("call:drip", 2), ("call:reset", 3),
    ("call:busy", 3), ("flaky", 8), ("fail", 7),
)  # fmt: skip
PROVIDERS = tuple((f"call:{manner}", 1) for manner in ("ok", "slow", "drip", "reset", "busy", "broken"))
EXPECT = {"fail": "dead", "call:broken": "dead"}


def plan(name: str, count: int, rng: random.Random, mix: Mix = MIX, *, seconds: float = 0.05) -> list[Wanted]:
    """`count` deeds of the mix, each taking up to `seconds`; the same for the same seed."""
    whats = rng.choices([what for what, _ in mix], [weight for _, weight in mix], k=count)
    return [
        Wanted(f"{name}-{n}", what, seconds=round(rng.uniform(0, seconds), 3), expect=EXPECT.get(what, "effect"))
        for n, what in enumerate(whats)
    ]
