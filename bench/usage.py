"""`python bench/usage.py`: how long the page of AI's use takes when a month has many runs.

Fills this month with made-up runs of fifty tenants, six kinds and three models, and asks a web process for the page.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence

import asyncpg
import httpx2

from bench.contest import percentile
from bench.lists import EMAIL, PASSWORD, owner, timed
from bench.report import aligned
from bench.servers import Ground, ground
from bench.web import served

ROWS = (2_000, 200_000)
ROUNDS = 12
TASKS = """
INSERT INTO ai_task (id, tenant_id, kind, status, article_id, job_id, requested_by, finished_at)
SELECT md5('task' || n)::uuid, ('00000000-0000-7000-9000-' || lpad((n % 50)::text, 12, '0'))::uuid,
       (ARRAY['summarize_article', 'quality_check', 'seo_audit', 'seo_generate', 'rewrite_article',
              'generate_article_draft'])[1 + n % 6],
       'completed', md5('article' || n)::uuid, md5('job' || n)::uuid, 'bench', now()
FROM generate_series(1, $1::int) n
"""
RUNS = """
INSERT INTO ai_run (id, tenant_id, task_id, attempt, provider, model, status, usage, cost, created_at, finished_at)
SELECT (substr(teknav_floor_id(at)::text, 1, 14) || '7' || substr(h, 1, 3) || '-8' || substr(h, 4, 3) || '-'
        || substr(h, 7, 12))::uuid,
       ('00000000-0000-7000-9000-' || lpad((n % 50)::text, 12, '0'))::uuid, md5('task' || n)::uuid, 1, 'openrouter',
       'model-' || n % 3, CASE WHEN n % 20 = 0 THEN 'failed' ELSE 'completed' END,
       jsonb_build_object('input', n % 900, 'cacheRead', 0, 'cacheWrite', 0, 'output', n % 300, 'reasoning', 0),
       0.000123, at, at + interval '2 seconds'
FROM (SELECT n, md5(n::text) AS h,
             date_trunc('month', now()) + (now() - date_trunc('month', now())) * (n::float8 / $1) AS at
      FROM generate_series(1, $1::int) n) drawn
"""


async def fill(place: Ground, rows: int) -> None:
    connection = await asyncpg.connect(place.urls.admin_database_url)
    try:
        await connection.execute("TRUNCATE ai_task, ai_run, ai_report CASCADE")
        async with connection.transaction():
            await connection.execute("SET LOCAL session_replication_role = replica")  # there are no articles
            await connection.execute(TASKS, rows)
        started = time.monotonic()
        await connection.execute(RUNS, rows)
        print(f"{rows:,} runs, written in {time.monotonic() - started:.1f} s", file=sys.stderr)
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()


async def run(sizes: Sequence[int]) -> list[list[str]]:
    lines = [["ms", *(f"{rows:,} runs" for rows in sizes)]]
    times: list[list[float]] = []
    async with ground() as place:
        await owner(place)
        for rows in sizes:
            await fill(place, rows)
            async with served(place, {}) as client:
                client.timeout = httpx2.Timeout(60)
                form = {"email": EMAIL, "password": PASSWORD}
                await client.post("/signin", data=form, headers={"Origin": str(client.base_url).rstrip("/")})
                took = [(await timed(client, "/dashboard/owner/ai/usage", {}))[0] for _ in range(ROUNDS + 1)]
            times.append(took[1:])  # the first one only warms up
    for name, part in (("median", 50), ("p95", 95)):
        lines.append([name, *(f"{percentile(each, part):.0f}" for each in times)])
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("rows", nargs="*", type=int, default=ROWS, help="numbers of runs")
    print(aligned(asyncio.run(run(parser.parse_args().rows))))


if __name__ == "__main__":
    main()
