"""The judge can see: the same faults with one guard switched off have to be found out."""

import asyncio
import signal

from tests.faults.judge import traces_of
from tests.faults.run import Run, Scenario
from tests.faults.scenarios import deaths, edges, handlers, outages, viewers

SHORT_S = 25.0


async def kills_between_effect_and_end(run: Run) -> None:
    """Workers die while many deeds have taken their step and have not ended."""
    await run.dress()
    await run.load.send([run.wanted(f"step-{n}", "step", seconds=10.0) for n in range(16)])
    await _written(run, 8)
    for each in run.stage.workers:
        each.kill()
    run.over()
    await run.drained()


async def _written(run: Run, count: int) -> None:
    async with asyncio.timeout(30):
        while len((await traces_of(run.stage, run.prefix)).effects) < count:
            await asyncio.sleep(0.05)


async def web_killed_while_redis_is_frozen(run: Run) -> None:
    """Requests have committed and wait for their push when web dies: their callers ask again."""
    await run.dress()
    async with run.under_load(run.plan((("effect", 1),), jobs=80)):
        for count in (10, 20, 30):
            await run.load.reached(count)
            run.stage.signal_server("valkey", signal.SIGSTOP)
            try:
                await run.load.reached(count + 4)
                assert run.stage.web is not None
                run.stage.web.kill()
            finally:
                run.stage.signal_server("valkey", signal.SIGCONT)
            run.over()


SCENARIOS = (
    Scenario(
        "no-relay", "Redis killed, and no relay", outages.redis_killed, off="relay", finds="lost", drain_s=SHORT_S,
    ),
    Scenario(
        "no-reconciler", "FLUSHALL, and no reconciler", outages.redis_emptied, off="reconciler",
        finds="lost,not refilled", drain_s=SHORT_S,
    ),
    Scenario(
        "no-effect-rows", "workers killed, and no effect rows", kills_between_effect_and_end, off="effect-rows",
        finds="doubled",
    ),
    Scenario(
        "no-idempotency", "web killed, and no idempotency keys", web_killed_while_redis_is_frozen, off="idempotency",
        finds="doubled",
    ),
    Scenario(
        "no-compare-and-set", "double clicks, and no compare-and-set", edges.replays_doubled, off="compare-and-set",
        finds="double clicks",
    ),
    Scenario(
        "no-hand-back", "SIGTERM, and no hand-back", deaths.deploys, off="hand-back,patience", finds="dead wrong",
        queues=("faults:long",),
    ),
    Scenario(
        "no-quarantine", "poison among innocents, and no quarantine", handlers.poison_10, off="quarantine,patience",
        finds="dead wrong",
    ),
    Scenario("no-clock", "a clock ahead, and nobody asks Redis", edges.clock_ahead, off="clock", finds="early"),
    Scenario(
        "no-new-readings", "a page that is looked at, and readings are kept", viewers.looked_at, off="new-readings",
        finds="a viewer sees",
    ),
)  # fmt: skip
