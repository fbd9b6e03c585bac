"""The fault harness: `python -m tests.faults [--short] [--only NAME,…] [--seed N] [--lanes N] [--json] [--list]`."""

import argparse
import asyncio
import dataclasses
import json
import signal
import sys
import time
from collections import deque

from tests.faults.run import LONG, SHORT, Result, Run, Scenario, Size
from tests.faults.scenarios import deaths, edges, handlers, outages, proofs
from tests.faults.stage import Stage

EVERY = (*deaths.SCENARIOS, *handlers.SCENARIOS, *outages.SCENARIOS, *edges.SCENARIOS)
PROOFS = proofs.SCENARIOS
COLUMNS = "{:<19} {:>6} {:>8} {:>7} {:>4} {:>7} {:>9} {:>10} {:>6}  {}"
HEAD = COLUMNS.format("scenario", "seed", "accepted", "effects", "lost", "doubled", "dead", "back after", "took", "verdict")


def line(one: Result) -> str:
    back = "" if one.back_s is None else f"{one.back_s:.1f} s"
    late = " (late)" if one.back_s is not None and one.goal_s is not None and one.back_s > one.goal_s else ""
    dead = f"{one.dead_found}/{one.dead_expected}"
    told = "; ".join(one.complaints)
    return COLUMNS.format(
        one.scenario, one.seed, one.accepted, one.effects, one.lost, one.doubled, dead, back, f"{one.took_s:.0f} s",
        f"{one.verdict}{late}{f': {told}' if told else ''}",
    )  # fmt: skip


async def lane(waiting: deque[Scenario], size: Size, seed: int, results: list[Result]) -> None:
    """Play what is waiting on one stage, one after the other; then ask the judge again about all of it."""
    played: list[Run] = []
    async with Stage() as stage:
        while waiting:
            run = Run(waiting.popleft(), stage, size, seed)
            print(line(await run.play()), file=sys.stderr, flush=True)
            played.append(run)
            results.append(run.result)
        for run in played:
            if run.result.accepted and not run.closed:
                await run.judge()


async def play(scenarios: list[Scenario], size: Size, seed: int, lanes: int) -> list[Result]:
    """All scenarios on so many stages side by side. Most of the time is spent waiting for locks to run out."""
    results: list[Result] = []
    waiting = deque(scenarios)
    async with asyncio.TaskGroup() as group:
        for _ in range(min(lanes, len(scenarios))):
            group.create_task(lane(waiting, size, seed, results))
    order = [one.name for one in scenarios]
    return sorted(results, key=lambda result: order.index(result.scenario))


async def main(scenarios: list[Scenario], size: Size, seed: int, lanes: int, as_json: bool) -> int:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    began = time.monotonic()
    print(HEAD, file=sys.stderr)
    results = await play(scenarios, size, seed, lanes)
    bad = [one for one in results if not one.good]
    if as_json:
        print(json.dumps({"seed": seed, "short": size.short, "results": [dataclasses.asdict(one) for one in results]}))
    else:
        print("\n".join([HEAD, *map(line, results)]))
    summary = f"{len(results) - len(bad)} of {len(results)} scenarios hold, seed {seed}, {time.monotonic() - began:.0f} s"
    print(summary, file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="Inject faults and judge what is left.")
    parser.add_argument("--short", action="store_true", help="every kind of fault in under five minutes")
    parser.add_argument("--only", default="", help="names of scenarios, with commas between; proofs too")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lanes", type=int, default=0, help="stages side by side; 3 in the short set, 1 in the long one")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--list", action="store_true", help="print the scenarios and end")
    asked = parser.parse_args()
    if asked.list:
        print("\n".join(f"{one.name:<19} {one.title}" for one in (*EVERY, *PROOFS)))
        sys.exit(0)
    names = asked.only.split(",") if asked.only else [one.name for one in (EVERY if asked.short else (*EVERY, *PROOFS))]
    known = {one.name: one for one in (*EVERY, *PROOFS)}
    if unknown := [name for name in names if name not in known]:
        parser.error(f"there is no scenario {', '.join(unknown)}; see --list")
    chosen = [known[name] for name in names]
    size = SHORT if asked.short else LONG
    sys.exit(asyncio.run(main(chosen, size, asked.seed, asked.lanes or (3 if asked.short else 1), asked.json)))
