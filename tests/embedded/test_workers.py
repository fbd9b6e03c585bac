"""`teknav worker --processes N`: one parent keeps the worker processes."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.embedded.stage import PROGRAMS, ROOT, gone, until

Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def run(**environment: str) -> subprocess.Popen[str]:
        own = {"PYTHONPATH": str(ROOT), "NOTES": str(tmp_path), "PATH": os.environ["PATH"]}
        process = subprocess.Popen(
            [sys.executable, str(PROGRAMS / "workers.py")], cwd=ROOT, env=own | environment, start_new_session=True,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()
    until(lambda: all(gone(pid) for pid in noted(tmp_path, "started")))


def noted(folder: Path, what: str) -> set[int]:
    """The processes that left a note."""
    return {int(note.stem) for note in folder.glob(f"*.{what}")}


def test_sigterm_ends_all_of_them(start: Start, tmp_path: Path) -> None:
    parent = start()
    until(lambda: len(noted(tmp_path, "started")) == 2)
    parent.terminate()
    assert parent.wait(10) == 0
    assert noted(tmp_path, "ended") == noted(tmp_path, "started")


def test_what_dies_is_started_again(start: Start, tmp_path: Path) -> None:
    start()
    until(lambda: len(noted(tmp_path, "started")) == 2)
    first = noted(tmp_path, "started")
    os.kill(min(first), signal.SIGKILL)
    until(lambda: len(noted(tmp_path, "started")) == 3)
    assert not gone(max(first))


def test_who_does_not_hear_is_killed_after_the_grace(start: Start, tmp_path: Path) -> None:
    parent = start(DEAF="yes", GRACE_S="0.5")
    until(lambda: len(noted(tmp_path, "started")) == 2)
    parent.terminate()
    assert parent.wait(10) == 0
    assert all(gone(pid) for pid in noted(tmp_path, "started"))
    assert not noted(tmp_path, "ended")


def test_workers_that_were_told_to_stop_are_not_started_again(start: Start, tmp_path: Path) -> None:
    parent = start()
    until(lambda: len(noted(tmp_path, "started")) == 2)
    for pid in noted(tmp_path, "started"):
        os.kill(pid, signal.SIGTERM)
    assert parent.wait(10) == 0
    assert len(noted(tmp_path, "started")) == 2


def test_settings_that_cannot_be_used_end_all(start: Start, tmp_path: Path) -> None:
    assert start(EXITS="2").wait(10) == 2


def test_killing_the_parent_ends_its_workers(start: Start, tmp_path: Path) -> None:
    parent = start()
    until(lambda: len(noted(tmp_path, "started")) == 2)
    parent.kill()
    until(lambda: noted(tmp_path, "ended") == noted(tmp_path, "started"))
    assert {(tmp_path / f"{pid}.started").read_text() for pid in noted(tmp_path, "started")} == {"1"}
