"""`python bench/logs.py`: whether the lists of the audit and the access log stay quick with two hundred times the rows.

Fills both logs with made-up rows of the last five months, and asks a web process for pages of them: all, by action,
thing, actor, tenant, outcome and time, and further pages. Then seals some rows, and compares them with their seals.
"""

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import Sequence
from typing import Any

import asyncpg
import httpx2

from app.core.database import Plane, Scope
from app.core.ids import PLATFORM_TENANT
from app.core.settings import load
from app.modules.seals.service import Sealer
from app.process import Process
from bench.contest import percentile
from bench.lists import DEEP, EMAIL, GOAL_RATIO, INDEXES, MONTHS, PASSWORD, ROUNDS, owner, timed
from bench.report import aligned
from bench.servers import Ground, ground
from bench.web import served

ROWS = (10_000, 2_000_000)
SEALED = (10_000, 100_000)
LOGS = {"audit": "audit_log", "access": "data_access_log"}
DRAWN = """
WITH drawn AS (
    SELECT n, (n::bigint * 7919) % 1000 AS d, now() - interval '150 days' * (1 - n::float8 / $1) AS at,
           md5(n::text) AS h
    FROM generate_series(1, $1::int) n
), made AS (
    SELECT *, (substr(teknav_floor_id(at)::text, 1, 14) || '7' || substr(h, 1, 3) || '-8' || substr(h, 4, 3) || '-'
               || substr(h, 7, 12))::uuid AS id,
           ('00000000-0000-7000-9000-' || lpad((n % 7 * (n % 300))::text, 12, '0'))::uuid AS tenant,
           ('00000000-0000-7000-9001-' || lpad((n % 500)::text, 12, '0'))::uuid AS who,
           'person' || n % 500 || '@example.org' AS label,
           ('00000000-0000-7000-9002-' || lpad((n / 40)::text, 12, '0'))::uuid AS thing
    FROM drawn
)
"""
# Of a thousand rows: 985 done, 8 denied, 5 invalid, 2 failed; ten actions, one of them rare.
FILLS = {
    "audit": """
INSERT INTO audit_log (id, tenant_id, actor_kind, actor_id, actor_label, request_id, correlation_id, action,
                       resource_type, resource_id, resource_label, before, after, changed_fields, outcome, ip, path,
                       created_at)
SELECT id, tenant, 'user', who, label, 'r-' || h, h::uuid,
       CASE WHEN n % 50000 = 7 THEN 'owner.tenant.rare' ELSE 'article.' || (ARRAY['create', 'update', 'publish',
            'delete', 'restore', 'submit', 'schedule', 'translate', 'summarize'])[1 + n % 9] END,
       'article', thing::text, 'The article ' || n / 40, jsonb_build_object('title', h), jsonb_build_object('title', n),
       '["title"]', CASE WHEN d < 985 THEN 'success' WHEN d < 993 THEN 'denied' WHEN d < 998 THEN 'invalid'
                         ELSE 'failed' END,
       '192.0.2.1', '/api/v1/articles', at
FROM made
""",
    "access": """
INSERT INTO data_access_log (id, tenant_id, actor_kind, actor_id, actor_label, request_id, correlation_id, action,
                             resource_type, resource_id, row_count, fields, cached, exported, ip, path, created_at)
SELECT id, tenant, 'user', who, label, 'r-' || h, h::uuid,
       'owner.read.' || (ARRAY['user', 'queue_job', 'workflow_instance'])[1 + n % 3], 'user', thing::text, 1,
       '["email"]', d % 2 = 0, d = 999, '192.0.2.1', '/api/owner/users', at
FROM made
""",
}
KNOWN = "SELECT resource_id, actor_label, tenant_id, request_id FROM {table} ORDER BY id OFFSET 100 LIMIT 1"


async def fill(place: Ground, log: str, rows: int) -> dict[str, str]:
    """That many rows, as if they had been there for long; returns what they can be found by."""
    table = LOGS[log]
    connection = await asyncpg.connect(place.urls.admin_database_url)
    try:
        await connection.execute(MONTHS.format(table=table))
        await connection.execute(f"TRUNCATE {table}, audit_unsealed, audit_block")
        indexes = await connection.fetch(INDEXES.format(table=table))
        # Built over rows that are there: many times as quick, and as dense.
        for index in indexes:
            await connection.execute(f'DROP INDEX "{index["name"]}"')
        await connection.execute("SET session_replication_role = replica")  # rows that are sealed wait for no seal
        await connection.execute(DRAWN + FILLS[log], rows)
        await connection.execute("RESET session_replication_role")
        for index in indexes:
            await connection.execute(index["made"].replace(" ON ONLY ", " ON "))
        await connection.execute(f"VACUUM ANALYZE {table}")
        found = await connection.fetchrow(KNOWN.format(table=table))
        assert found is not None
        return {name: str(value) for name, value in found.items()}
    finally:
        await connection.close()


def asked(log: str, known: dict[str, str]) -> list[dict[str, str]]:
    """What people ask the logs for."""
    both: list[dict[str, str]] = [
        {},
        {"resource": f"{'article' if log == 'audit' else 'user'}:{known['resource_id']}"},
        {"actor": known["actor_label"]},
        {"tenantId": known["tenant_id"]},
        {"requestId": known["request_id"]},
        {"actor": "nobody"},
        {"from": "2026-09-01", "to": "2026-09-30"},
    ]
    if log == "access":
        return [*both, {"action": "owner.read.user"}, {"exported": "true"}]
    outcomes = [{"outcome": outcome} for outcome in ("success", "denied", "invalid", "failed")]
    return [*both, *outcomes, {"action": "article.publish"}, {"action": "owner.tenant.rare"}, {"action": "article"}]


async def measure(client: httpx2.AsyncClient, log: str, known: dict[str, str]) -> dict[str, list[float]]:
    """Milliseconds of each request, in an order that is drawn anew in each round."""
    found: dict[str, list[float]] = {f"{log}: API list": [], f"{log}: page": []}
    slow: dict[str, list[float]] = {}
    for number in range(ROUNDS + 1):
        turns = [(what, params) for what in found for params in asked(log, known)]
        random.Random(number).shuffle(turns)
        for what, params in turns:
            api = what.endswith("list")
            path = f"/{'api' if api else 'dashboard'}/owner/logs/{log}"
            took, answer = await timed(client, path, params)
            times = [took]
            for _ in range(DEEP if api else 0):
                if (cursor := answer.json()["nextCursor"]) is None:
                    break
                took, answer = await timed(client, path, {**params, "cursor": cursor})
                times.append(took)
            if number:  # the first round only warms up
                found[what] += times
                slow.setdefault(f"{what} {json.dumps(params)}", []).extend(times)
    for name, each in sorted(slow.items(), key=lambda one: -percentile(one[1], 95))[:3]:
        print(f"  slowest: {percentile(each, 95):7.1f} ms  {name}", file=sys.stderr)
    return found


async def compare(place: Ground, rows: int) -> dict[str, float]:
    """Seconds to seal that many rows, and to compare them with their seals as `teknav audit verify` does."""
    await fill(place, "audit", rows)
    connection = await asyncpg.connect(place.urls.admin_database_url)
    await connection.execute("INSERT INTO audit_unsealed (id, xid) SELECT id, 0 FROM audit_log")
    await connection.close()
    process = Process.open(load(place.environment))
    try:
        sealer = process.resources()[Sealer]
        started = time.perf_counter()
        while await sealer.seal():
            pass
        sealed = time.perf_counter() - started
        verdict = await sealer.verify(Scope(Plane.PLATFORM, PLATFORM_TENANT))
        assert verdict.broken is None and verdict.rows == rows, verdict
        return {"rows": rows, "seal_s": sealed, "verify_s": time.perf_counter() - started - sealed}
    finally:
        await process.close()


async def run(sizes: Sequence[int], sealed: Sequence[int]) -> dict[str, list[dict[str, Any]]]:
    lists: list[dict[str, Any]] = []
    async with ground() as place:
        await owner(place)
        for rows in sizes:
            times: dict[str, list[float]] = {}
            for log in LOGS:
                started = time.monotonic()
                known = await fill(place, log, rows)
                print(f"{rows:,} rows of {log} after {time.monotonic() - started:.0f} s", file=sys.stderr)
                async with served(place, {}) as client:
                    client.timeout = httpx2.Timeout(60)
                    form = {"email": EMAIL, "password": PASSWORD}
                    await client.post("/signin", data=form, headers={"Origin": str(client.base_url).rstrip("/")})
                    times |= await measure(client, log, known)
            lists.append({"rows": rows, **{name: percentile(each, 95) for name, each in times.items()}})
        return {"lists": lists, "seals": [await compare(place, rows) for rows in sealed]}


def told(found: dict[str, list[dict[str, Any]]]) -> str:
    lists = found["lists"]
    lines = [["p95 in ms", *(f"{one['rows']:,} rows" for one in lists), "ratio"]]
    for name in [name for name in lists[0] if name != "rows"]:
        each = [one[name] for one in lists]
        lines.append([name, *(f"{value:.1f}" for value in each), f"{each[-1] / each[0]:.2f}"])
    seals = [["rows", "sealed in s", "verified in s", "verified rows/s"]]
    for one in found["seals"]:
        each = [f"{one[name]:.1f}" for name in ("seal_s", "verify_s")]
        seals.append([f"{one['rows']:,}", *each, f"{one['rows'] / one['verify_s']:,.0f}"])
    return f"{aligned(lines)}\nGoal: {GOAL_RATIO:g} times at most.\n\n{aligned(seals)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("rows", nargs="*", type=int, default=ROWS, help="numbers of rows, the fewest first")
    parser.add_argument("--sealed", nargs="*", type=int, default=SEALED, help="how many rows are verified")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    options = parser.parse_args()
    found = asyncio.run(run(options.rows, options.sealed))
    print(json.dumps(found) if options.json else told(found))


if __name__ == "__main__":
    main()
