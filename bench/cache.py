"""TekNav's cache beside other libraries, on the same server in the same run: `make bench-cache`.

Then requests per second of lists, cached and not, beside `/health`, asked over plain sockets by this process: the
owner's queues, and a page of 20 of a tenant's 1,000 published articles.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence
from statistics import median
from typing import Any
from urllib.parse import urlsplit

from app import registry
from app.core.database import Plane, Scope
from app.core.ids import PLATFORM_TENANT
from app.core.policy import Actor
from app.core.settings import load
from app.modules.articles.service import ArticleCreate, ArticleService
from app.modules.tenants.service import TenantService
from app.modules.tokens.service import TokenService
from app.process import Process
from bench import cache_codecs, web
from bench.environments import FOLDER, PROGRAMS, virtual_environment
from bench.report import aligned, judged
from bench.servers import Ground, ground

PEERS = ("aiocache", "cashews")
COLUMNS = ("hit_per_s", "hit_p50_us", "miss_per_s", "crowd_loads", "crowd_ms")
HEADS = ("hits/s", "hit p50 µs", "misses/s", "loads for 1,000", "all served ms")
CONNECTIONS = 16
LIST, ARTICLES, HEALTH = "/api/owner/queues", "/api/v1/articles?limit=20", "/health"
PUBLISHED, AT_ONCE = 1_000, 50
FRESH = "Cache-Control: no-cache\r\n"
Rounds = dict[str, list[dict[str, float]]]


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def contenders() -> dict[str, list[str]]:
    """The command of each, by name."""
    ours = [sys.executable, str(PROGRAMS / "cache_ours.py")]
    found = {"ours_both": ours, "ours_redis": ours}
    found["litestar_store"] = [sys.executable, str(PROGRAMS / "cache_litestar.py")]
    return found | {name: [str(FOLDER / name / "bin" / "python"), str(PROGRAMS / f"cache_{name}.py")] for name in PEERS}


async def turn(name: str, command: Sequence[str], url: str, times: int) -> dict[str, float]:
    """
    Raises:
        RuntimeError: with the last line of what it said.
    """
    argv = [*command, url, str(times), name.removeprefix("ours_")]
    pipe = asyncio.subprocess.PIPE
    program = await asyncio.create_subprocess_exec(*argv, stdout=pipe, stderr=pipe)
    told, said = await program.communicate()
    if program.returncode != 0:
        raise RuntimeError((said.decode().strip().splitlines() or ["it ended without a word"])[-1])
    found: dict[str, float] = json.loads(told)
    return found


async def contest(servers: Ground, rounds: int, times: int) -> tuple[Rounds, dict[str, str]]:
    found: Rounds = {}
    problems: dict[str, str] = {}
    for name in PEERS:
        try:
            await asyncio.to_thread(virtual_environment, name)
        except Exception as error:
            problems[name] = f"it could not be installed: {error}"
    names = [*contenders()]
    for number in range(rounds):
        for name in (*names[number % len(names) :], *names[: number % len(names)]):
            if name not in problems:
                await servers.empty()
                try:
                    told = await turn(name, contenders()[name], servers.urls.redis_url, times)
                    found.setdefault(name, []).append(told)
                    say(f"round {number + 1}: {name} {told['hit_per_s']:,.0f} hits/s")
                except RuntimeError as error:
                    problems[name] = str(error)
                    say(f"{name}: {error}")
    return {name: found[name] for name in names if name in found}, problems


async def rate(address: str, path: str, headers: str, seconds: float) -> tuple[float, dict[bytes, int]]:
    """Requests per second over kept-alive connections, and how often each `X-Cache` came."""
    parts = urlsplit(address)
    asked = f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\n{headers}\r\n".encode()
    told: dict[bytes, int] = {}
    until = time.perf_counter() + seconds
    done = 0

    async def caller() -> None:
        nonlocal done
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        while time.perf_counter() < until:
            writer.write(asked)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            assert head.startswith(b"http/1.1 200"), head
            fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:] if line)
            await reader.readexactly(int(fields[b"content-length"]))
            told[fields.get(b"x-cache", b"")] = told.get(fields.get(b"x-cache", b""), 0) + 1
            done += 1
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(CONNECTIONS)))
    return done / (time.perf_counter() - began), told


async def callers(servers: Ground) -> tuple[str, str]:
    """The headers of a program of the platform's, and of one of a tenant that has its articles."""
    process = Process.open(load(servers.environment))
    operator = Actor("cli", None, "cli:bench", frozenset(registry.permissions()), Plane.PLATFORM)
    try:
        async with process.database.transaction(operator.scope) as session:
            tokens, tenant = TokenService(session, operator), await TenantService(session, operator).create("Bench")
            _, platform = await tokens.create(PLATFORM_TENANT, name="bench", scopes=["queues:read"])
            _, own = await tokens.create(tenant.id, name="bench", scopes=["articles:read"])
        for start in range(0, PUBLISHED, AT_ONCE):
            async with process.database.transaction(Scope(Plane.TENANT, tenant.id)) as session:
                articles = ArticleService(session, operator)
                for number in range(start, start + AT_ONCE):
                    made = await articles.create(ArticleCreate(title=f"Number {number}", body="One. Two. " * 30))
                    await articles.publish(made.id)
    finally:
        await process.close()
    return f"Authorization: Bearer {platform}\r\n", f"Authorization: Bearer {own}\r\n"


async def lists(servers: Ground, rounds: int, seconds: float) -> list[dict[str, Any]]:
    """The cached lists, the same lists as they are now, and `/health`, in turns."""
    await servers.empty()
    bearer, tenants = await callers(servers)
    ways = {"health": (HEALTH, ""), "list_cached": (LIST, bearer), "list_uncached": (LIST, bearer + FRESH)}
    ways |= {"articles_cached": (ARTICLES, tenants), "articles_uncached": (ARTICLES, tenants + FRESH)}
    found: dict[str, list[float]] = {name: [] for name in ways}
    shares: dict[str, dict[bytes, int]] = {}
    async with web.served(servers, {}) as client:
        for number in range(rounds + 1):
            for name, (path, headers) in ways.items():
                per_s, shares[name] = await rate(str(client.base_url), path, headers, seconds if number else 0.5)
                if number:  # the first round warms up
                    found[name].append(per_s)
    rows: list[dict[str, Any]] = [
        {"name": name, "requests_per_s": median(each), "rounds": each} for name, each in found.items()
    ]
    for name in ("list_cached", "articles_cached"):
        hits = shares[name].get(b"hit", 0) / sum(shares[name].values())
        rows.append({"name": f"{name}, share of hits", "requests_per_s": None, "share": hits})
    return rows


def goals(found: Rounds, web_rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    rates = {row["name"]: row.get("rounds", []) for row in web_rows}
    wanted = {"list_cached": ("cached owner list", 0.5), "articles_cached": ("cached articles", 0.5)}
    wanted["articles_uncached"] = ("20 of 1,000 articles", 0.25)
    made = []
    for name, (said, goal) in wanted.items():
        each = [mine / health for mine, health in zip(rates[name], rates["health"], strict=True)]
        made.append(judged(f"{said} / health, requests per second", each, goal))
    for name in ("ours_both", "ours_redis"):
        loads = [turn["crowd_loads"] for turn in found.get(name, [])]
        if loads:
            made.append(judged(f"{name}: loads for 1,000 who wait", loads, 1, most=True))
    for peer in ("aiocache", "cashews", "litestar_store"):
        pairs = zip(found.get("ours_redis", []), found.get(peer, []), strict=False)
        ratios = [mine["hit_per_s"] / theirs["hit_per_s"] for mine, theirs in pairs]
        if ratios:
            made.append(judged(f"ours_redis / {peer}, hits per second", ratios, 1.0))
    return made


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    rounds, times, seconds = (1, 4_000, 2.0) if options.quick else (5, 20_000, 4.0)
    async with ground() as servers:
        found, problems = await contest(servers, rounds, times)
        web_rows = await lists(servers, rounds, seconds)
    rows: list[dict[str, Any]] = [
        {"name": name} | {column: median(turn[column] for turn in turns) for column in COLUMNS}
        for name, turns in found.items()
    ]
    rows += [{"name": name, "problem": problem} for name, problem in problems.items()]
    rows += [{key: value for key, value in row.items() if key != "rounds"} for row in web_rows]
    return {
        "rows": rows,
        "goals": goals(found, web_rows),
        "codecs": cache_codecs.measure(2_000 if options.quick else 20_000),
    }


def show(result: dict[str, Any]) -> None:
    lines = [["", *HEADS]]
    lines += [
        [row["name"], *(f"{row[column]:,.0f}" for column in COLUMNS)] for row in result["rows"] if "hit_per_s" in row
    ]
    print("\n" + aligned(lines))
    for row in result["rows"]:
        if "problem" in row:
            print(f"{row['name']}: {row['problem']}")
    lines = [["", "requests/s"]]
    for row in result["rows"]:
        if row.get("requests_per_s"):
            lines.append([row["name"], f"{row['requests_per_s']:,.0f}"])
        elif "share" in row:
            lines.append([row["name"], f"{row['share']:.1%}"])
    print("\n" + aligned(lines))
    lines = [["", "median", "goal", ""]]
    for goal in result["goals"]:
        lines.append([goal["what"], f"{goal['found']:.2f}", goal["goal"], "met" if goal["met"] else "not met"])
    print("\n" + aligned(lines))
    columns = [column for column in result["codecs"][0] if column != "name"]
    lines = [["", *columns]]
    lines += [[row["name"], *(f"{row[column]:,.0f}" for column in columns)] for row in result["codecs"]]
    print("\n" + aligned(lines))


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench/cache.py", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a minute: one round")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the tables")
    options = parser.parse_args()
    result = asyncio.run(measure(options))
    if options.json:
        print(json.dumps(result, indent=2))
    else:
        show(result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
