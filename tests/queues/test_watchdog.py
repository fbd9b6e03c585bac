"""A worker that hangs is seen and ended, whatever holds it."""

import asyncio
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parent / "programs" / "hanging.py"


async def run(what: str) -> tuple[int | None, str]:
    """Exit code and output of a worker that hangs."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, str(PROGRAM), what, cwd=PROGRAM.parents[3], env={"PYTHONPATH": str(PROGRAM.parents[3])},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        async with asyncio.timeout(20):
            told, _ = await child.communicate()
    except TimeoutError:
        child.kill()
        await child.wait()
        pytest.fail("it still hangs")
    return child.returncode, told.decode()


@pytest.mark.trap(43)
async def test_a_blocked_loop_is_told_with_the_place_and_the_process_ended() -> None:
    code, told = await run("sleeps")
    assert code == 1
    assert "worker.loop_blocked" in told
    assert "in blocking_handler" in told.split("worker.loop_blocked")[1].split("Timeout (")[0], "by us, while it hung"
    assert "in blocking_handler" in told.split("Timeout (")[1], "by the timer, at the end"


async def test_code_that_lets_no_other_thread_run_ends_too() -> None:
    code, told = await run("grips")
    assert code == 1
    assert "in blocking_handler" in told


@pytest.mark.trap(9)
async def test_slots_that_stand_still_end_the_process() -> None:
    code, told = await run("idles")
    assert code == 1
    assert "worker.slots_stand_still" in told


@pytest.mark.trap(43)
async def test_a_loop_that_stumbled_goes_on_and_tells_how_late_it_was() -> None:
    code, told = await run("stumbles")
    assert code == 0, told
    assert "worker.loop_blocked" in told
    late_ms = float(told.rsplit("late by ", 1)[1])
    assert 700 < late_ms < 3000
