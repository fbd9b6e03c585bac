"""Somebody looks while things fail: what a page did not hear of, its next reading shows."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpx2

from tests.faults.run import LONGEST_OUTAGES, Run, Scenario
from tests.faults.stage import Stage

QUEUE = "faults:quick"
PAGE, STREAM = "/dashboard/owner/queues", "/dashboard/live?topics=queues"
AGAIN_S, REFRESH_S, SILENT_S = 2.0, 10.0, 60.0
"""As the page and its stream have it: come back after 2 s, ask every 10 s, a ping before a minute has passed."""
LATEST_S = 15.0
ROW = re.compile(rf'<tr data-queue="{QUEUE}">.*?</tr>', re.S)
CELL = re.compile(r'data-label="(Waiting|Delayed|Active|Completed|Dead letters)"[^>]*>(.*?)</td>', re.S)
Numbers = dict[str, int]


class Viewer:
    """A tab with the queues' page: it follows the stream, and asks for the table as the page does."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self._client = client
        self.opened = 0
        self.shown: Numbers = {}

    async def look(self) -> None:
        await asyncio.gather(self._follow(), self._refresh())

    async def _follow(self) -> None:
        while True:
            with suppress(httpx2.HTTPError):
                async with self._client.stream("GET", STREAM, timeout=SILENT_S) as stream:
                    self.opened += stream.status_code == 200
                    await self._ask()
                    async for line in stream.aiter_lines():
                        if line.startswith("event: signal"):
                            await self._ask()
            await asyncio.sleep(AGAIN_S)

    async def _refresh(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_S)
            with suppress(httpx2.HTTPError):
                await self._ask()

    async def _ask(self) -> None:
        answer = await self._client.get(PAGE, headers={"HX-Request": "true"})
        if answer.status_code == 200 and (row := ROW.search(answer.text)):
            self.shown = {label: _number(cell) for label, cell in CELL.findall(row[0])}


def _number(cell: str) -> int:
    return int(re.sub(r"\D", "", re.sub(r"<.*?>", "", cell, flags=re.S)))


@asynccontextmanager
async def looking(stage: Stage) -> AsyncIterator[Viewer]:
    async with stage.client("watching") as client:
        del client.headers["Cache-Control"]  # a browser that is no judge
        viewer = Viewer(client)
        task = asyncio.create_task(viewer.look())
        try:
            yield viewer
        finally:
            task.cancel()
            await asyncio.wait([task])


async def truth(stage: Stage) -> Numbers:
    async with stage.client("watching") as client:
        found = (await client.get(f"/api/owner/queues/{QUEUE}/stats")).raise_for_status().json()
    names = ("waiting", "delayed", "active", "completed", "failed")
    return dict(zip(("Waiting", "Delayed", "Active", "Completed", "Dead letters"), map(found.get, names), strict=True))


async def looked_at(run: Run) -> None:
    """Redis is killed and web after it, with a tab open; when all is done, the tab says so by itself."""
    await run.dress()
    async with looking(run.stage) as viewer:
        async with run.under_load() as points:
            for point in points[:LONGEST_OUTAGES]:
                await run.load.reached(point)
                await run.stage.kill_server("valkey")
                await asyncio.sleep(run.size.outage_s)
                await run.stage.restart_servers()
                assert run.stage.web is not None
                run.stage.web.kill()
                run.over()
        await run.drained()
        right = await truth(run.stage)
        with suppress(TimeoutError):
            async with asyncio.timeout(LATEST_S):
                while viewer.shown != right:
                    await asyncio.sleep(0.1)
        if viewer.shown != right:
            run.complain(f"a viewer sees {viewer.shown}, and not {right}")
        if viewer.opened < 2:
            run.complain("the viewer's stream never broke")


SCENARIOS = (Scenario("viewers", "a page that is looked at while Redis and web are killed", looked_at, goal_s=60),)
