"""`python bench/lists.py`: whether lists and search of jobs stay quick when there are two hundred times as many.

Fills records with made-up jobs of the last five months, each on servers of its own, and asks their web processes in
turns for pages of every state, with and without filters, and for searches. Says the 95th percentiles, and how many
times longer the longest record takes.
"""

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import httpx2

from app import registry
from app.core.database import Plane
from app.core.policy import Actor
from app.core.settings import load
from app.modules.identity.service import IdentityService
from app.process import Process
from bench.contest import percentile
from bench.report import aligned
from bench.servers import Ground, ground
from bench.web import served

ROWS = (10_000, 2_000_000)
EMAIL, PASSWORD = "bench@example.org", "a long enough password"
QUEUE = "ai:content"
STATES = ("waiting", "delayed", "active", "completed", "failed", "cancelled", "removed", "any")
DEEP = 4
NEWEST, OLDEST, PAGE = "API list", "API list, oldest first", "page"
ROUNDS = 6
GOAL_RATIO, GOAL_SEARCH_MS = 1.5, 200.0

MONTHS = """
DO $$ DECLARE month timestamptz; name text; BEGIN
    FOR n IN 2 .. 5 LOOP
        month := date_trunc('month', now() AT TIME ZONE 'UTC') - make_interval(months => n);
        name := '{table}_' || to_char(month, 'YYYY_MM');
        EXECUTE format('CREATE TABLE IF NOT EXISTS %I PARTITION OF {table} FOR VALUES FROM (%L) TO (%L)',
                       name, teknav_floor_id(month), teknav_floor_id(month + interval '1 month'));
    END LOOP;
END $$
"""
INDEXES = """
SELECT c.relname AS name, pg_get_indexdef(i.indexrelid) AS made FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = '{table}'::regclass AND NOT i.indisprimary
"""
# Of a thousand jobs: 900 completed, 30 dead, 20 cancelled, 10 removed, 25 wait, 10 for their time, 3 to be retried.
FILL = """
WITH drawn AS (
    SELECT n, (n::bigint * 7919) % 1000 AS d, now() - interval '150 days' * (1 - n::float8 / $1) AS at
    FROM generate_series(1, $1::int) n
), made AS (
    SELECT *, CASE WHEN d < 900 THEN 'completed' WHEN d < 930 THEN 'dead' WHEN d < 950 THEN 'cancelled'
                   WHEN d < 960 THEN 'removed' WHEN d < 995 THEN 'queued' WHEN d < 998 THEN 'retrying'
                   ELSE 'active' END AS state,
              d BETWEEN 985 AND 994 OR d BETWEEN 995 AND 997 AS later
    FROM drawn
)
INSERT INTO job (id, tenant_id, queue, kind, payload, state, delayed, run_at, max_attempts, attempts_made, created_at,
                 started_at, finished_at, duration_ms, error_class, error_message, error_fingerprint)
SELECT (substr(teknav_floor_id(at)::text, 1, 14) || '7' || substr(md5(n::text), 1, 3) || '-8'
            || substr(md5(n::text), 4, 3) || '-' || substr(md5(n::text), 7, 12))::uuid,
       ('00000000-0000-7000-9000-' || lpad((n % 7 * (n % 300))::text, 12, '0'))::uuid,
       (ARRAY['ai:content', 'ai:content', 'email:outbound', 'plugin:webhooks', 'analytics:process'])[1 + n / 3 % 5],
       CASE WHEN n % 50000 = 7 THEN 'rarely_asked'
            ELSE (ARRAY['summarize_article', 'translate', 'suggest'])[1 + n % 3] END,
       jsonb_build_object('articleId', md5(n::text), 'language', 'en'), state, later,
       CASE WHEN later THEN now() + interval '1 hour' ELSE at END, 3, 1, at, at,
       CASE WHEN state IN ('completed', 'dead', 'cancelled', 'removed') THEN at + interval '1 second' END, 20 + n % 400,
       CASE WHEN state IN ('dead', 'retrying') THEN 'ConnectionError' END,
       CASE WHEN state IN ('dead', 'retrying') THEN
            CASE WHEN n % 5000 < 3 THEN 'the xylophone of article '
                 ELSE 'the provider cannot be reached for article ' END || md5(n::text) END,
       CASE WHEN state IN ('dead', 'retrying') THEN md5((n % 40)::text) END
FROM made
"""


async def fill(place: Ground, rows: int) -> dict[str, str]:
    """That many jobs, as if they had been there for long; returns words to search for."""
    await place.empty()
    connection = await asyncpg.connect(place.urls.admin_database_url)
    try:
        await connection.execute(MONTHS.format(table="job"))
        indexes = await connection.fetch(INDEXES.format(table="job"))
        # Built over rows that are there: many times as quick, and as dense.
        for index in indexes:
            await connection.execute(f'DROP INDEX "{index["name"]}"')
        await connection.execute(FILL, rows)
        for index in indexes:
            await connection.execute(index["made"].replace(" ON ONLY ", " ON "))
        await connection.execute("VACUUM ANALYZE job")
        found = await connection.fetchrow("SELECT id, tenant_id FROM job WHERE queue = $1 ORDER BY id LIMIT 1", QUEUE)
        assert found is not None
        return {"job": str(found["id"]), "tenant": str(found["tenant_id"])}
    finally:
        await connection.close()


def lists(known: Mapping[str, str]) -> list[dict[str, str]]:
    """What people ask lists for."""
    asked = [{"state": state} for state in STATES]
    asked += [{"state": state, "tenantId": known["tenant"]} for state in ("completed", "failed", "waiting")]
    asked += [{"state": "completed", "kind": kind} for kind in ("translate", "rarely_asked")]
    return [*asked, {"state": "completed", "from": "2026-09-01", "to": "2026-09-30"}]


def searches(known: Mapping[str, str]) -> list[dict[str, str]]:
    words = (known["job"], known["tenant"], "xylophone", "provider", "no such words", "rarely_asked", "translate")
    asked = [{"q": word} for word in words]
    return asked + [{"q": word, "state": state} for word in words for state in ("failed", "completed")]


async def timed(client: httpx2.AsyncClient, path: str, params: Mapping[str, str]) -> tuple[float, httpx2.Response]:
    started = time.perf_counter()
    answer = await client.get(path, params=dict(params), headers={"Cache-Control": "no-cache"})
    took = (time.perf_counter() - started) * 1000
    return took, answer.raise_for_status()


@dataclass(frozen=True, slots=True)
class Side:
    """A web process over a record of so many jobs, and words to search for in it."""

    client: httpx2.AsyncClient
    known: Mapping[str, str]
    times: dict[str, list[float]] = field(default_factory=dict)
    """Milliseconds of each request, by what was asked for."""

    async def ask(self, what: str, asked: Mapping[str, str], *, count: bool) -> None:
        """A page, and of the API the next ones."""
        path = f"/{'dashboard' if what == PAGE else 'api'}/owner/queues/{QUEUE}/jobs"
        took, answer = await timed(self.client, path, asked)
        times = [took]
        for _ in range(DEEP if what in (NEWEST, OLDEST) else 0):
            cursor = answer.json()["nextCursor"]
            if cursor is None:
                break
            took, answer = await timed(self.client, path, {**asked, "cursor": cursor})
            times.append(took)
        if count:
            self.times.setdefault(what, []).extend(times)


def turns(known: Mapping[str, str]) -> list[tuple[str, dict[str, str]]]:
    found = [(what, asked) for what in (NEWEST, PAGE) for asked in lists(known)]
    found += [(OLDEST, asked | {"sort": "createdAt"}) for asked in lists(known)]
    return found + [("API search", asked) for asked in searches(known)]


async def measure(sides: Sequence[Side]) -> None:
    """Ask all sides for the same in turns, in an order that is drawn anew in each round: what else the machine does
    meanwhile then falls on all of them.
    """
    for number in range(ROUNDS + 1):
        drawn = random.Random(number)
        places = [*range(len(turns(sides[0].known)))]
        drawn.shuffle(places)
        for place in places:
            for side in drawn.sample(sides, len(sides)):
                what, asked = turns(side.known)[place]
                await side.ask(what, asked, count=bool(number))  # the first round only warms up


async def owner(place: Ground) -> None:
    process = Process.open(load(place.environment))
    operator = Actor("cli", None, "cli:bench", frozenset(registry.permissions()), Plane.PLATFORM)
    try:
        async with process.database.transaction(operator.scope) as session:
            await IdentityService(session, operator).create_owner(EMAIL, PASSWORD)
    finally:
        await process.close()


async def opened(stack: AsyncExitStack, rows: int) -> Side:
    place = await stack.enter_async_context(ground())
    await owner(place)
    started = time.monotonic()
    known = await fill(place, rows)
    print(f"{rows:,} jobs after {time.monotonic() - started:.0f} s", file=sys.stderr)
    client = await stack.enter_async_context(served(place, {}))
    client.timeout = httpx2.Timeout(60)
    form = {"email": EMAIL, "password": PASSWORD}
    await client.post("/signin", data=form, headers={"Origin": str(client.base_url).rstrip("/")})
    return Side(client, known)


async def run(sizes: Sequence[int]) -> list[dict[str, Any]]:
    async with AsyncExitStack() as stack:
        sides = [await opened(stack, rows) for rows in sizes]
        await measure(sides)
        each = zip(sizes, sides, strict=True)
        return [{"rows": rows} | {what: percentile(got, 95) for what, got in side.times.items()} for rows, side in each]


def told(found: Sequence[dict[str, Any]]) -> str:
    names = [name for name in found[0] if name != "rows"]
    lines = [["p95 in ms", *(f"{one['rows']:,} jobs" for one in found), "ratio"]]
    for name in names:
        each = [one[name] for one in found]
        lines.append([name, *(f"{value:.1f}" for value in each), f"{each[-1] / each[0]:.2f}"])
    goals = f"Goals: lists {GOAL_RATIO:g} times at most, a search less than {GOAL_SEARCH_MS:g} ms."
    return f"{aligned(lines)}\n{goals}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("rows", nargs="*", type=int, default=ROWS, help="numbers of jobs, the fewest first")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    options = parser.parse_args()
    found = asyncio.run(run(options.rows))
    print(json.dumps({"rows": found}) if options.json else told(found))


if __name__ == "__main__":
    main()
