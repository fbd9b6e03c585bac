"""How the loops of the leading worker fare, as the owner sees it."""

from datetime import timedelta

import pytest
from httpx2 import AsyncClient
from sqlalchemy import func

from app import checks
from app.core.database import SYSTEM, Database
from app.core.ids import new_id
from app.queues.models import LeaseRow, LoopRow, WorkerRow

PAGES = "/dashboard/owner/queues"


@pytest.fixture
async def leading(database: Database) -> None:
    """A worker that leads: its relay has just run and once hung, its months loop is late."""
    worker = new_id()
    async with database.transaction(SYSTEM) as session:
        session.add(WorkerRow(id=worker, host="press-1", pid=77, version="0.1.0", queues=[], jobs=0))
        session.add(LeaseRow(name="worker-loops", holder=worker, expires_at=func.now() + timedelta(seconds=10)))
        for name, every_s, ago_s, error in (("relay", 0.5, 0, "cut off after 60 s"), ("reconcile", 5.0, 26, None)):
            session.add(
                LoopRow(
                    name=name,
                    holder=worker,
                    every_s=every_s,
                    ran_at=func.now() - timedelta(seconds=ago_s),
                    took_ms=2.4,
                    cut_off=1 if error else 0,
                    error=error,
                    error_at=func.now() - timedelta(hours=1) if error else None,
                )
            )


@pytest.mark.usefixtures("leading")
async def test_each_loop_says_when_it_ran_and_whether_it_is_late(owner: AsyncClient) -> None:
    found = (await owner.get("/api/owner/loops")).json()
    assert (found["place"], found["trouble"]) == ("press-1, process 77", "Late: reconcile")
    loops = {one["name"]: one for one in found["items"]}
    assert (loops["relay"]["late"], loops["relay"]["failing"], loops["relay"]["cutOff"]) == (False, False, 1)
    assert (loops["reconcile"]["late"], loops["reconcile"]["tookMs"]) == (True, 2.4)
    page = (await owner.get(PAGES)).text
    assert 'data-loop="relay"' in page and "press-1, process 77" in page
    assert "Late: reconcile." in page and "cut off 1 time" in page


async def test_it_is_said_that_nobody_leads(owner: AsyncClient) -> None:
    found = (await owner.get("/api/owner/loops")).json()
    assert (found["leader"], found["items"]) == (None, [])
    assert found["trouble"] in (await owner.get(PAGES)).text


@pytest.mark.usefixtures("leading")
async def test_a_late_loop_is_a_warning(database: Database) -> None:
    found = await checks.loops(database)
    assert (found.level, found.message) == ("warning", "Late: reconcile")


async def test_a_missing_leader_is_a_warning_and_takes_nothing_out_of_service(
    database: Database, client: AsyncClient
) -> None:
    found = await checks.loops(database)
    assert (found.part, found.level) == ("loops", "warning") and found.remedy
    parts = {part["part"]: part for part in (await client.get("/health/ready")).json()["parts"]}
    assert parts["loops"]["ok"] is True and "No worker leads" in parts["loops"]["message"]
