"""What Redis itself can do: BullMQ's own scripts, called by `redis-benchmark` instead of by a library.

A script that finishes a job names that job, which a load generator cannot know. So the scripts get a line in front
that takes the id from the active list; all else, arguments included, is what a worker would send.
"""

import re
import shutil
import subprocess
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import bullmq
from bullmq.redis_connection import loadScript
from redis.asyncio import Redis

NAME, TOKEN, CONNECTIONS = "floor", "floor:0", 50
KEPT = {"attempts": 3, "removeOnComplete": {"count": 1000, "age": 86_400}}
LOCK_MS = 30_000
ID = "0123456789ab"  # as long as the number that redis-benchmark puts in
TOGETHER = 16
"""How many commands a client that gathers them writes at once."""

ADD = """
local function add(KEYS, ARGV)
%(source)s
end
return add(KEYS, {(string.gsub(%(packed)s, "%(id)s", ARGV[1])), %(data)s, %(options)s, %(timestamp)s})
"""
FINISH = """
local function finish(KEYS, ARGV)
%(source)s
end
local id = redis.call('LINDEX', KEYS[2], -1)
if not id then return -1 end
local keys = {}
for place, key in ipairs(KEYS) do keys[place] = key end
keys[12] = %(prefix)s .. id
return finish(keys, {id, %(timestamp)s, 'returnvalue', 'null', 'completed', '1', %(prefix)s, %(options)s})
"""


class Missing(Exception):
    """There is no load generator here, or it does not run; the message says what to do."""


async def measure(url: str, jobs: int) -> list[dict[str, Any]]:
    """Calls per second of the scripts that add a job and that finish one and fetch the next.

    Raises:
        Missing: `redis-benchmark` is not installed.
    """
    program = shutil.which("redis-benchmark") or shutil.which("valkey-benchmark")
    if program is None:
        raise Missing("redis-benchmark is not installed (Debian: redis-tools), so the floor is not measured")
    found = []
    async with Redis.from_url(url, decode_responses=True) as redis:
        for together in (1, TOGETHER):
            await redis.flushall()
            queue = bullmq.Queue(NAME, {"connection": redis, "lockDuration": LOCK_MS})
            job = bullmq.Job(queue, "noop", {"n": 1}, {**KEPT, "jobId": ID})
            found.append(
                {
                    "pipeline": together,
                    "add_per_s": await _add(redis, queue, job, program, url, jobs, together),
                    "finish_and_fetch_per_s": await _finish(redis, queue, job, program, url, jobs, together),
                }
            )
    return found


async def _add(
    redis: Redis, queue: bullmq.Queue, job: bullmq.Job, program: str, url: str, jobs: int, together: int
) -> float:
    scripts = queue.backend.scripts
    packed, data, options = scripts.addJobArgs(job)
    source = ADD % {
        "source": loadScript("addStandardJob-9.lua"),
        "packed": _literal(packed),
        "id": ID,
        "data": _literal(data.encode()),
        "options": _literal(options),
        "timestamp": job.timestamp,
    }
    keys = scripts.getKeys(["wait", "paused", "meta", "id", "completed", "delayed", "active", "events", "marker"])
    sha = await redis.script_load(source)
    return _run(program, url, jobs, together, [sha, str(len(keys)), *keys, "__rand_int__"])


async def _finish(
    redis: Redis, queue: bullmq.Queue, job: bullmq.Job, program: str, url: str, jobs: int, together: int
) -> float:
    await redis.flushdb()
    scripts = queue.backend.scripts
    for start in range(0, jobs + CONNECTIONS, 500):
        part = range(start, min(start + 500, jobs + CONNECTIONS))
        await queue.addBulk([{"name": "noop", "data": {"n": n}, "opts": KEPT} for n in part])
    for _ in range(CONNECTIONS):
        await scripts.moveToActive(TOKEN, {"lockDuration": LOCK_MS})
    keys, args = scripts.moveToCompletedArgs(job, None, KEPT["removeOnComplete"], TOKEN)
    source = FINISH % {
        "source": loadScript("moveToFinished-14.lua"),
        "prefix": _literal(args[6].encode()),
        "timestamp": round(time.time() * 1000),
        "options": _literal(args[7]),
    }
    sha = await redis.script_load(source)
    rate = _run(program, url, jobs, together, [sha, str(len(keys)), *keys])
    if await redis.llen(scripts.toKey("wait")):
        raise RuntimeError("not every call finished a job: BullMQ's scripts want other arguments by now")
    return rate


def _run(program: str, url: str, calls: int, together: int, arguments: Sequence[str]) -> float:
    parts = urlsplit(url)
    command = [program, "-h", str(parts.hostname), "-p", str(parts.port), "-q", "-n", str(calls)]
    command += ["-c", str(CONNECTIONS), "-P", str(together), "-r", "999999999999"]
    if parts.password:
        command += ["-a", parts.password]
    done = subprocess.run([*command, "EVALSHA", *arguments], capture_output=True, text=True, timeout=300, check=False)
    rates = re.findall(r"([\d.]+) requests per second", done.stdout)
    if done.returncode or not rates:
        raise Missing(f"redis-benchmark did not run: {(done.stderr or done.stdout).strip()[-300:]}")
    return float(rates[-1])


def _literal(value: bytes) -> str:
    """Bytes as Lua writes them, because a command line cannot hold every byte."""
    return '"' + "".join(f"\\{byte:03d}" for byte in value) + '"'
