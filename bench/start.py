"""`python bench/start.py`: how long `teknav up` takes in a new data folder, and again in the same.

Each start is timed until the first page has answered and until the last line is told, and counted in seconds of CPU of
all its processes from the command to the end of a clean stop. On a busy machine the CPU says more than the clock.
"""

import argparse
import asyncio
import json
import os
import resource
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import httpx2

from bench.report import aligned

AT_MOST_S = 120.0
COLUMNS = (("page_s", "first page s"), ("told_s", "last line s"), ("cpu_s", "CPU s"))


async def start(folder: Path, port: int) -> dict[str, float]:
    """One start and its clean stop; seconds."""
    environment = {name: value for name, value in os.environ.items() if not name.endswith("DATABASE_URL")}
    environment |= {"TEKNAV_DATA_DIR": str(folder), "PORT": str(port), "LOG_LEVEL": "error"}
    used, began = _used(), time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "app.cli", "up",
        env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    took: dict[str, float] = {}
    try:
        async with asyncio.timeout(AT_MOST_S):
            async for line in process.stdout:
                if b"TekNav runs at" in line:
                    async with httpx2.AsyncClient(follow_redirects=True) as client:
                        answer = await client.get(line.split()[-1].decode())
                    assert answer.status_code == 200, answer.status_code
                    took["page_s"] = time.perf_counter() - began
                if b"Stop with" in line:
                    took["told_s"] = time.perf_counter() - began
                    break
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        _, said = await process.communicate()
    if len(took) < 2:
        raise RuntimeError(f"teknav up ended before it was ready: {said.decode()}")
    return took | {"cpu_s": _used() - used}


def _used() -> float:
    """CPU of this process's ended children and theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


async def measured(again: int) -> dict[str, list[dict[str, float]]]:
    folder = Path(tempfile.mkdtemp(prefix="teknav-bench-"))
    port = _free_port()
    try:
        first = await start(folder, port)
        return {"first": [first], "again": [await start(folder, port) for _ in range(again)]}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def table(found: dict[str, Sequence[dict[str, Any]]]) -> str:
    lines = [["", *(title for _, title in COLUMNS)]]
    for name, starts in found.items():
        cells = []
        for column, _ in COLUMNS:
            values = [one[column] for one in starts]
            span = f" ({min(values):.1f}–{max(values):.1f})" if len(values) > 1 else ""
            cells.append(f"{median(values):.1f}{span}")
        lines.append([name, *cells])
    return aligned(lines)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--again", type=int, default=5, help="starts after the first one")
    parser.add_argument("--json", action="store_true", help="one object for machines")
    options = parser.parse_args()
    found = await measured(options.again)
    print(json.dumps(found) if options.json else table(found))


if __name__ == "__main__":
    asyncio.run(main())
