"""TekNav's queues beside other libraries, on the same servers in the same run: `make bench`.

Rounds alternate between the contenders, and what is judged is the ratio within a round: speeds of a shared machine
differ from minute to minute, but hardly the ratio of two that ran one after the other.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

from bench import floor, processes, report, web, weight
from bench.contest import FULL, QUICK, Failed, Sizes, pick_ups, programs, turn
from bench.environments import CONTENDERS, Contender, prepare
from bench.servers import Ground, ground

IDLE_S = 60.0
IDLE_MINUTES = 2


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def arguments() -> argparse.Namespace:
    names = [contender.name for contender in CONTENDERS]
    parser = argparse.ArgumentParser(prog="bench/queues.py", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a minute: one round, few jobs, no idle minute")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the tables")
    parser.add_argument("--only", metavar="NAMES", help=f"with commas between, of: {', '.join(names)}")
    parser.add_argument("--rounds", type=int, metavar="N", help="default: 3, with --quick 1")
    options = parser.parse_args()
    chosen = options.only.split(",") if options.only else names
    if unknown := [name for name in chosen if name not in names]:
        parser.error(f"--only: there is no {', '.join(unknown)}; there are {', '.join(names)}")
    options.chosen = [contender for contender in CONTENDERS if contender.name in chosen]
    options.rounds = options.rounds or (1 if options.quick else 3)
    if options.rounds < 1:
        parser.error("--rounds: 1 or more")
    return options


async def contest(
    servers: Ground, contenders: Sequence[Contender], rounds: int, sizes: Sizes, problems: dict[str, str]
) -> report.Rounds:
    """Rounds of turns; each round begins with another contender. Who fails is out, and `problems` says why."""
    found: report.Rounds = {contender.name: [] for contender in contenders if contender.name not in problems}
    for number in range(rounds):
        start = number % len(contenders)
        for contender in (*contenders[start:], *contenders[:start]):
            if contender.name in problems:
                continue
            await servers.empty()
            try:
                result = await turn(contender, servers.environment, sizes)
            except Failed as failure:
                problems[contender.name] = str(failure)
                del found[contender.name]
                continue
            found[contender.name].append(result)
            say(f"round {number + 1}: {contender.name} {result['process_per_s']:,.0f} jobs/s")
    return found


async def idle_minutes(servers: Ground, contenders: Sequence[Contender], found: report.Rounds, minutes: int) -> None:
    """All workers wait a minute, then each gets one job: how long until its handler runs."""
    await servers.empty()
    running = [contender for contender in contenders if contender.name in found]
    async with AsyncExitStack() as stack:
        sides = [
            (contender, *await stack.enter_async_context(programs(contender, servers.environment)))
            for contender in running
        ]
        for _, _, worker in sides:
            await worker.ask("work")
        for minute in range(minutes):
            say(f"idle minute {minute + 1} of {minutes}")
            await asyncio.sleep(IDLE_S)
            for contender, producer, worker in sides:
                waits = await pick_ups(producer, worker, minute, 1, 0.0)
                if minute < len(found[contender.name]):
                    found[contender.name][minute]["after_idle_ms"] = waits[0]


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    sizes = QUICK if options.quick else FULL
    say("preparing the peers' environments")
    problems = await asyncio.to_thread(prepare, {contender.name for contender in options.chosen})
    async with ground() as servers:
        found = await contest(servers, options.chosen, options.rounds, sizes, problems)
        if not options.quick:
            await idle_minutes(servers, options.chosen, found, min(IDLE_MINUTES, options.rounds))
        result: dict[str, Any] = {"rows": report.rows(found, problems), "goals": report.ratios(found)}
        if options.only:
            return result
        say("Redis by itself")
        try:
            result["floor"] = await floor.measure(servers.urls.redis_url, sizes.bulk * 2)
        except floor.Missing as missing:
            result["floor"] = str(missing)
        result["bytes_per_job"] = await weight.bytes_per_job(servers, sizes.bulk)
        say("two processes against one, and a request that asks for a job")
        two = [await processes.ratio(servers, sizes.bulk // 2) for _ in range(1 if options.quick else 3)]
        result["goals"].append(report.judged("two worker processes / one, handlers of 2 ms CPU", two, 1.7))
        asked = await web.enqueueing(servers, sizes.idle)
        result["requests"] = asked
        what = "request that asks for a job / cheapest one, p95"
        result["goals"].append(report.judged(what, [asked["ratio"]], 3.0, most=True))
        return result


def show(result: dict[str, Any]) -> None:
    print("\n" + report.table(result["rows"]))
    print("\n" + report.goals(result["goals"]))
    if "floor" in result:
        print("\n" + report.floor(result["floor"]))
        print("\n" + report.weight(result["bytes_per_job"]))


def main() -> int:
    options = arguments()
    result = asyncio.run(measure(options))
    if options.json:
        print(json.dumps(report.named(result), indent=2))
    else:
        show(result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
