"""The fault harness: `python -m tests.faults [--short] [--only NAME,…] [--seed N] [--lanes N] [--json] [--list]`."""

import argparse
import asyncio
import dataclasses
import json
import signal
import sys
import time
from collections import deque

from tests.faults.catalogue import EVERY, PROOFS
from tests.faults.run import LONG, SHORT, Result, Run, Scenario, Size
from tests.faults.stage import Stage

COLUMNS = "{:<19} {:>6} {:>8} {:>7} {:>4} {:>7} {:>9} {:>10} {:>6}  {}"
NAMES = ("scenario", "seed", "accepted", "effects", "lost", "doubled", "dead", "back after", "took", "verdict")
HEAD = COLUMNS.format(*NAMES)


def line(one: Result) -> str:
    back = "" if one.back_s is None else f"{one.back_s:.1f} s"
    late = " (late)" if one.back_s is not None and one.goal_s is not None and one.back_s > one.goal_s else ""
    dead = f"{one.dead_found}/{one.dead_expected}"
    told = "; ".join(one.complaints)
    return COLUMNS.format(
        one.scenario, one.seed, one.accepted, one.effects, one.lost, one.doubled, dead, back, f"{one.took_s:.0f} s",
        f"{one.verdict}{late}{f': {told}' if told else ''}",
    )  # fmt: skip


async def lane(waiting: deque[Scenario], size: Size, seed: int, results: list[Result], keep: bool) -> None:
    """Play what is waiting on one stage, one after the other; then ask the judge again about all of it."""
    played: list[Run] = []
    deadline = time.monotonic() + size.total_s
    async with Stage(keep=keep) as stage:
        if keep:
            print(f"logs and traces: {stage.folder}", file=sys.stderr)
        while waiting:
            scenario = waiting.popleft()
            # That the judge can see is shown by a small load as well as by a large one.
            run = Run(scenario, stage, SHORT if scenario.off else size, seed)
            if time.monotonic() < deadline:
                await run.play()
            else:
                run.result.verdict, run.result.complaints = "FAILED", ["not played: there is no time left"]
            print(line(run.result), file=sys.stderr, flush=True)
            played.append(run)
            results.append(run.result)
        for run in played:
            if run.result.accepted and not run.closed:
                await run.judge()


async def play(scenarios: list[Scenario], size: Size, seed: int, lanes: int, *, keep: bool = False) -> list[Result]:
    """All scenarios on so many stages side by side. Most of the time is spent waiting for locks to run out."""
    results: list[Result] = []
    waiting = deque(scenarios)
    async with asyncio.TaskGroup() as group:
        for _ in range(min(lanes, len(scenarios))):
            group.create_task(lane(waiting, size, seed, results, keep))
    order = [one.name for one in scenarios]
    return sorted(results, key=lambda result: order.index(result.scenario))


async def main(scenarios: list[Scenario], size: Size, asked: argparse.Namespace) -> int:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    began = time.monotonic()
    print(HEAD, file=sys.stderr)
    lanes = asked.lanes or (3 if size.short else 1)
    results = await play(scenarios, size, asked.seed, lanes, keep=asked.keep)
    bad = [one for one in results if not one.good]
    if asked.json:
        rows = [dataclasses.asdict(one) for one in results]
        print(json.dumps({"seed": asked.seed, "short": size.short, "results": rows}))
    else:
        print("\n".join([HEAD, *map(line, results)]))
    held, took = len(results) - len(bad), time.monotonic() - began
    print(f"{held} of {len(results)} scenarios hold, seed {asked.seed}, {took:.0f} s", file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description="Inject faults and judge what is left.")
    parser.add_argument("--short", action="store_true", help="every kind of fault in under five minutes")
    parser.add_argument("--only", default="", help="names of scenarios, with commas between; proofs too")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lanes", type=int, default=0, help="stages side by side: 3 in the short set, else 1")
    parser.add_argument("--keep", action="store_true", help="leave the folders of logs and traces, and say where")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--list", action="store_true", help="print the scenarios and end")
    asked = parser.parse_args()
    if asked.list:
        print("\n".join(f"{one.name:<19} {one.title}" for one in (*EVERY, *PROOFS)))
        sys.exit(0)
    short = [one for one in EVERY if not one.long_only]
    names = asked.only.split(",") if asked.only else [one.name for one in (short if asked.short else (*EVERY, *PROOFS))]
    known = {one.name: one for one in (*EVERY, *PROOFS)}
    if unknown := [name for name in names if name not in known]:
        parser.error(f"there is no scenario {', '.join(unknown)}; see --list")
    chosen = [known[name] for name in names]
    size = SHORT if asked.short else LONG
    sys.exit(asyncio.run(main(chosen, size, asked)))
