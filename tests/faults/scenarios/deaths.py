"""Processes that die, and processes that are told to stop."""

import asyncio
from contextlib import AsyncExitStack

from tests.faults.judge import traces_of
from tests.faults.run import Run, Scenario

LONG_QUEUE = "faults:long"
END_WITHIN_S, WEB_ENDS_WITHIN_S = 25.0, 10.0
VIEWERS = 20
DEAF_S = 30.0
"""Beyond all that a worker waits for at its end."""


async def web_killed(run: Run) -> None:
    await run.dress()
    async with run.under_load() as points:
        for point in points:
            await run.load.reached(point)
            assert run.stage.web is not None
            run.stage.web.kill()
            run.over()


async def web_deployed(run: Run) -> None:
    """Web gets SIGTERM under load, with viewers' streams open; a new one comes up in its place."""
    await run.dress()
    async with run.under_load() as points, run.stage.client("watching") as viewer:
        for point in points:
            await run.load.reached(point)
            assert run.stage.web is not None
            await run.stage.ready()  # the web process that the round before started
            async with AsyncExitStack() as streams:
                for _ in range(VIEWERS):
                    stream = await streams.enter_async_context(viewer.stream("GET", "/dashboard/live?topics=queues"))
                    if stream.status_code != 200:
                        run.complain(f"a stream was answered {stream.status_code}")
                took = await run.stage.web.stop()
            run.stage.web.start()
            run.over()
            if took > WEB_ENDS_WITHIN_S:
                run.complain(f"late: web took {took:.0f} s to end")


async def workers_killed(run: Run) -> None:
    await run.dress()
    async with run.under_load(run.plan(seconds=0.3)) as points:
        for point in points:
            await run.load.reached(point)
            run.rng.choice(run.stage.workers).kill()
            run.over()


async def leader_killed(run: Run) -> None:
    await run.dress()
    async with run.under_load() as points:
        for point in points:
            await run.load.reached(point)
            (await run.stage.leader()).kill()
            run.over()


async def everything_killed(run: Run) -> None:
    """Web and all workers at once, as when a machine goes down."""
    await run.dress()
    async with run.under_load() as points:
        for point in points:
            await run.load.reached(point)
            assert run.stage.web is not None
            for each in (run.stage.web, *run.stage.workers):
                each.kill()
            run.over()


async def deploys(run: Run) -> None:
    """Workers get SIGTERM while each has jobs that take longer than it may wait, among them two that do not let
    themselves be stopped; new ones come up beside them."""
    await run.dress()
    count, seconds = (4, 22.0) if run.size.short else (18, 30.0)
    wanted = [run.wanted(f"long-{n}", "effect", queue=LONG_QUEUE, seconds=seconds) for n in range(count)]
    wanted += [run.wanted(f"deaf-{n}", "deaf", queue=LONG_QUEUE, seconds=DEAF_S) for n in range(2)]
    await run.load.send(wanted)
    # Without its hand-back a job is lost after the third worker that it outlives.
    rounds = 4 if run.scenario.off else 1 if run.size.short else 10
    for n in range(rounds):
        if not await _begun(run):
            break
        fresh = [await run.stage.another_worker(10 + 2 * n + m) for m in range(len(run.stage.workers))]
        old, run.stage.workers = run.stage.workers, fresh
        took = max(await asyncio.gather(*(each.stop() for each in old)))
        run.over()
        if took > END_WITHIN_S:
            run.complain(f"late: a worker took {took:.0f} s to end")
    await run.stage.ready()


async def _begun(run: Run) -> bool:
    """Wait until every job that has not ended is in some worker's hand; False when all have ended."""
    before: dict[str, int] = run.seen_tries
    async with asyncio.timeout(run.size.drain_s):
        while True:
            traces = await traces_of(run.stage, run.prefix)
            left = [mark for mark, one in run.load.accepted.items() if not traces.ended(one)]
            if all(traces.tries[mark] > before.get(mark, 0) for mark in left):
                run.seen_tries = dict(traces.tries)
                return bool(left)
            await asyncio.sleep(0.2)


SCENARIOS = (
    Scenario("deploys", "SIGTERM to workers during long jobs", deploys, queues=(LONG_QUEUE,)),
    Scenario("web-deployed", "SIGTERM to web with streams open", web_deployed, goal_s=15),
    Scenario("web-killed", "kill -9 of web", web_killed, goal_s=15),
    Scenario("workers-killed", "kill -9 of a worker", workers_killed, goal_s=15),
    Scenario("leader-killed", "kill -9 of the worker that leads", leader_killed, goal_s=15),
    Scenario("all-killed", "kill -9 of web and all workers at once", everything_killed, goal_s=15),
)
