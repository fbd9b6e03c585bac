"""A clock that is wrong, fingers that are quick, bodies that are large."""

import asyncio
from collections import Counter

import httpx2

from tests.faults.judge import traces_of
from tests.faults.load import PLACE
from tests.faults.run import Run, Scenario

TWO_HOURS_S = 7200
IDLE_S = 12.0
TOO_LARGE = 10 * 1024 * 1024 + 1


async def clock_ahead(run: Run) -> None:
    """Both workers are two hours ahead. What is to run in an hour waits; the rest runs as ever."""
    await run.dress(FAULTS_CLOCK_S=str(TWO_HOURS_S))
    later = [run.wanted(f"later-{n}", "effect", delay_s=3600, expect="later") for n in range(5)]
    await run.load.send(later)
    async with run.under_load(run.plan(jobs=run.size.jobs // 2)):
        pass
    await run.drained()
    await run.close()
    async with run.stage.client("watching") as client:
        for one in later:
            accepted = run.load.accepted[one.mark]
            await client.delete(f"/api/owner/queues/faults:quick/jobs/{accepted.id}")


async def idle(run: Run) -> None:
    """Nothing happens for longer than any read may block; then what is due runs at once."""
    await run.dress()
    wanted = [run.wanted(f"delayed-{n}", "effect", delay_s=IDLE_S) for n in range(5)]
    await run.load.send(wanted)
    await asyncio.sleep(IDLE_S)
    run.over()
    await run.load.send([run.wanted(f"after-{n}", "effect") for n in range(5)])


async def replays_doubled(run: Run) -> None:
    """Every dead letter is replayed by a double click: one run each."""
    await run.dress()
    mended = run.stage.folder / "mended"
    mended.unlink(missing_ok=True)
    count = 100 if run.size.short else 1000
    await run.load.send([run.wanted(f"letter-{n}", "mend") for n in range(count)])
    async with asyncio.timeout(run.size.drain_s):
        while len((await traces_of(run.stage, run.prefix)).deaths) < count:
            await asyncio.sleep(0.3)
    died = await traces_of(run.stage, run.prefix)
    async with run.stage.admin() as admin:
        # Their first deaths were wanted; from here on none is.
        await admin.execute("DELETE FROM ledger WHERE starts_with(mark, $1)", run.prefix)
    mended.touch()
    answers: Counter[str] = Counter()
    turns = asyncio.Semaphore(8)
    async with run.stage.client("watching") as client:

        async def click(place: str) -> int:
            return (await client.post(place)).status_code

        async def double_click(job_id: str) -> None:
            place = f"/api/owner/queues/faults:quick/dlq/{job_id}/replay"
            async with turns:
                both = await asyncio.gather(click(place), click(place))
            answers[str(sorted(both))] += 1

        await asyncio.gather(*(double_click(one.id) for one in run.load.accepted.values()))
    run.over()
    if answers != {"[200, 409]": count}:
        run.complain(f"double clicks answered {dict(answers)}")
    await run.drained()
    tries = (await traces_of(run.stage, run.prefix)).tries
    runs = sum(tries.values()) - sum(died.tries.values())
    if runs != count:
        run.complain(f"runs: {runs} for {count} double clicks")


async def payload_too_large(run: Run) -> None:
    """A body over 10 MB is refused before it does anything; work goes on beside it."""
    await run.dress()
    async with run.under_load(run.plan(jobs=run.size.jobs // 4)), run.stage.client("asking") as client:
        for n in range(5):
            body = run.wanted(f"large-{n}", "effect").body() | {"filler": "x" * TOO_LARGE}
            try:
                status = (await client.post(PLACE, json=body)).status_code
            except httpx2.HTTPError as error:
                run.complain(f"a body of 10 MB: {type(error).__name__}")
                continue
            if status != 413:
                run.complain(f"a body of 10 MB was answered {status}")


SCENARIOS = (
    Scenario("clock-ahead", "workers whose clock is two hours ahead", clock_ahead),
    Scenario("idle", "workers that had nothing to do", idle, goal_s=2),
    Scenario("replays-doubled", "every dead letter replayed by a double click", replays_doubled),
    Scenario("payload-too-large", "bodies over 10 MB", payload_too_large),
)
