"""Handlers that misbehave, and what they depend on."""

import asyncio

from app.queues.consumer import LOCK_MS
from app.queues.core import CORE_QUEUES
from tests.faults.deeds import SINS
from tests.faults.load import PROVIDERS
from tests.faults.run import Run, Scenario
from tests.faults.stage import PLACES

LOCK_S = LOCK_MS / 1000
BOTH = ("faults:quick", "faults:long")
EVERY_QUEUE = tuple(spec.name for spec in CORE_QUEUES)


async def poison(run: Run, concurrency: int) -> None:
    """Some deeds kill the process that runs them. They die; what was in hand beside them does not."""
    # As the stage has them anyway where that is enough.
    await run.dress(**{} if concurrency == PLACES else {"WORKER_CONCURRENCY": str(concurrency)})
    innocents, bad = (60, 2) if run.size.short else (500, 5)
    wanted = run.plan((("effect", 1), ("step", 1)), jobs=innocents, seconds=0.3)
    for n in range(bad):
        place = run.rng.randrange(len(wanted))
        wanted.insert(place, run.wanted(f"poison-{n}", "die", seconds=0.05, expect="dead"))
    await run.load.send(wanted)
    await run.drained()
    if sum(each.deaths for each in run.stage.workers) == 0:
        run.complain("no worker died: the poison was none")


async def poison_1(run: Run) -> None:
    await poison(run, 1)


async def poison_10(run: Run) -> None:
    await poison(run, 10)


async def poison_50(run: Run) -> None:
    await poison(run, 50)


async def sins(run: Run) -> None:
    """Every sin in every queue; afterwards the same processes still work on every queue."""
    await run.dress()
    before = [each.pid for each in run.stage.workers]
    queues = EVERY_QUEUE if not run.size.short else EVERY_QUEUE[:1]
    wanted = [
        run.wanted(f"{what}-{queue}", what, queue=queue, expect="either" if what == "huge" else "dead")
        for queue in EVERY_QUEUE
        for what in SINS
        if what != "huge" or queue in queues
    ]
    run.rng.shuffle(wanted)
    await run.load.send(wanted)
    await run.drained()
    run.over()
    after = [(queue, n) for queue in EVERY_QUEUE for n in range(5)]
    await run.load.send([run.wanted(f"after-{queue}-{n}", "effect", queue=queue) for queue, n in after])
    await run.drained()
    if [each.pid for each in run.stage.workers] != before:
        run.complain("a worker ended over a sin")


async def loop_blocked(run: Run) -> None:
    """A handler that keeps the loop for longer than a lock lasts, with others in hand beside it."""
    # The watchdog would end a worker after 60 s.
    await run.dress(WORKER_HANG_S="120")
    before = [each.pid for each in run.stage.workers]
    seconds = LOCK_S * 2 if run.size.short else 60.0
    async with run.under_load(run.plan(seconds=1.0)) as points:
        await run.load.reached(points[0])
        await run.load.send([run.wanted("block", "block", queue="faults:long", seconds=seconds, expect="either")])
        await asyncio.sleep(seconds)
        run.over()
    await run.drained()
    if [each.pid for each in run.stage.workers] != before:
        run.complain("a worker ended over a blocked loop")


async def providers(run: Run) -> None:
    """Somebody else's service: slow, dripping, silent, busy, broken."""
    await run.dress()
    await run.load.send(run.plan(PROVIDERS, jobs=60 if run.size.short else 600))


SCENARIOS = (
    Scenario("poison-1", "poison among innocents, concurrency 1", poison_1, long_only=True),
    Scenario("poison-10", "poison among innocents, concurrency 10", poison_10),
    Scenario("poison-50", "poison among innocents, concurrency 50", poison_50, long_only=True),
    Scenario("sins", "every sin of a handler in every queue", sins, queues=EVERY_QUEUE),
    Scenario("loop-blocked", "the loop blocked past a lock", loop_blocked, goal_s=15, queues=BOTH),
    Scenario("providers", "slow, dripping, silent and failing providers", providers),
)
