"""`up`: everything starts with one command, and comes back when it is killed."""

import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.embedded.lock import running
from app.embedded.processes import serving
from tests.embedded.stage import Up, answers, gone, until, visits


@pytest.fixture(scope="module")
def shared_up(shared_folder: Path) -> Iterator[Up]:
    up = Up(shared_folder)
    up.wait_until_ready()
    yield up
    assert up.stop() == 0


def test_all_parts_run_when_the_address_is_printed(shared_up: Up) -> None:
    assert shared_up.out.read_text() == f"ready at {shared_up.address}\n"
    rows, count = visits(shared_up)
    assert rows == count > 0
    assert not gone(shared_up.pid("worker"))


def test_the_parts_get_addresses_secrets_and_settings(shared_up: Up, shared_folder: Path) -> None:
    lines = (shared_up.notes / "web.env").read_text().splitlines()
    given = dict(line.split("=", 1) for line in lines)
    found = running(shared_folder)
    assert found is not None and (found.pid, found.address) == (shared_up.process.pid, shared_up.address)
    assert found.environment.items() <= given.items()
    assert {"DATABASE_URL", "PLATFORM_DATABASE_URL", "MIGRATION_DATABASE_URL", "REDIS_URL",
            "SECRET_KEY", "JWT_SECRET", "ENCRYPTION_KEY",
            "PORT", "TEKNAV_DATA_DIR"} == set(found.environment)  # fmt: skip
    assert given["MALLOC_ARENA_MAX"] == "2" and given["TEKNAV_DATA_DIR"] == str(shared_folder)
    kept = (shared_folder / "secrets.env").read_text()
    assert f"SECRET_KEY={given['SECRET_KEY']}\n" in kept
    assert not any("superuser" in line or "//postgres@" in line for line in lines)


def test_output_goes_to_logs_and_the_terminal_says_where(shared_up: Up, shared_folder: Path) -> None:
    assert (shared_folder / "logs" / "web.log").read_text().startswith("web listens\n")
    assert str(shared_folder / "logs") in shared_up.err.read_text()
    assert "web listens" not in shared_up.err.read_text()
    assert stat.S_IMODE((shared_folder / "logs").stat().st_mode) == 0o700


def test_a_second_up_in_the_folder_says_where_the_first_one_runs(shared_up: Up, shared_folder: Path) -> None:
    second = Up(shared_folder, PORT=str(shared_up.port))
    assert second.process.wait(15) == 3
    assert f"already runs in {shared_folder} at {shared_up.address}" in second.err.read_text()
    assert answers(shared_up)


@pytest.mark.parametrize("name", ["web", "worker"])
def test_a_killed_part_is_started_again(shared_up: Up, name: str) -> None:
    old = shared_up.pid(name)
    os.kill(old, signal.SIGKILL)
    until(lambda: shared_up.pid(name) not in (old, 0))
    until(lambda: answers(shared_up))


def test_what_a_killed_part_leaves_is_swept_away(shared_up: Up) -> None:
    helper, old = shared_up.pid("helper"), shared_up.pid("worker")
    os.kill(old, signal.SIGKILL)
    until(lambda: gone(helper))
    until(lambda: shared_up.pid("worker") not in (old, 0))


@pytest.mark.parametrize("server", ["postgres", "valkey"])
def test_a_killed_server_is_started_again_with_its_data(shared_up: Up, shared_folder: Path, server: str) -> None:
    before = visits(shared_up)
    pid_file = shared_folder / "postgres" / "postmaster.pid"
    valkey = serving(shared_folder / "valkey")[0].pid
    old = int(pid_file.read_text().split()[0]) if server == "postgres" else valkey
    os.kill(old, signal.SIGKILL)
    until(lambda: gone(old))
    until(lambda: answers(shared_up))
    assert all(now > then for now, then in zip(visits(shared_up), before, strict=True))
