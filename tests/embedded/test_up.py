"""`up`: everything starts with one command, comes back when it is killed, and ends with Ctrl-C."""

import os
import signal
import socket
import stat
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from stage import Up, gone, until

from app.embedded.lock import running
from app.embedded.processes import serving
from app.embedded.servers import Servers

Start = Callable[..., Up]


@pytest.fixture(scope="module")
def shared_up(shared_folder: Path) -> Iterator[Up]:
    up = Up(shared_folder)
    up.wait_until_ready()
    yield up
    if up.process.poll() is None:
        assert up.stop() == 0


def visits(up: Up) -> list[int]:
    """Rows in PostgreSQL and count in Valkey, as the web process sees them; counts itself."""
    with urllib.request.urlopen(up.address, timeout=5) as answer:
        return [int(word) for word in answer.read().split()]


def answers(up: Up) -> bool:
    try:
        return len(visits(up)) == 2
    except OSError:
        return False


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
            "SECRET_KEY", "JWT_SECRET", "ENCRYPTION_KEY"} == set(found.environment)  # fmt: skip
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
    second.err = shared_folder / "up.err"
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
def test_a_killed_server_is_started_again_with_its_data(
    shared_up: Up, shared_folder: Path, server: str
) -> None:
    before = visits(shared_up)
    pid_file = shared_folder / "postgres" / "postmaster.pid"
    valkey = serving(shared_folder / "valkey")[0].pid
    old = int(pid_file.read_text().split()[0]) if server == "postgres" else valkey
    os.kill(old, signal.SIGKILL)
    until(lambda: gone(old))
    until(lambda: answers(shared_up))
    assert all(now > then for now, then in zip(visits(shared_up), before, strict=True))


def test_ctrl_c_ends_everything_politely(shared_up: Up, shared_folder: Path) -> None:
    parts = [shared_up.pid(name) for name in ("web", "worker", "helper")]
    for note in ("web.ended", "worker.ended"):
        (shared_up.notes / note).unlink(missing_ok=True)
    began = time.monotonic()
    assert shared_up.stop() == 0
    assert time.monotonic() - began < 10
    assert all(gone(pid) for pid in parts)
    assert (shared_up.notes / "web.ended").read_text() == "by SIGTERM"
    assert (shared_up.notes / "worker.ended").read_text() == "by SIGTERM"
    assert serving(shared_folder / "postgres") == serving(shared_folder / "valkey") == []
    assert running(shared_folder) is None


def test_after_kill_9_the_parts_end_and_the_next_up_goes_on(shared_folder: Path) -> None:
    up = Up(shared_folder)
    up.wait_until_ready()
    before = visits(up)
    parts = [up.pid(name) for name in ("web", "worker", "helper")]
    servers = {each.pid for name in ("postgres", "valkey") for each in serving(shared_folder / name)}
    up.process.kill()
    up.process.wait()
    again = Up(shared_folder, PORT=str(up.port))
    again.wait_until_ready()
    until(lambda: all(gone(pid) for pid in parts))
    assert visits(again)[0] > before[0] and visits(again)[1] > before[1]
    assert again.stop() == 0
    assert all(gone(pid) for pid in servers)


def test_a_second_ctrl_c_does_not_wait(shared_folder: Path) -> None:
    up = Up(shared_folder, DEAF="yes")
    up.wait_until_ready()
    (up.notes / "worker.asked").unlink(missing_ok=True)
    worker = up.pid("worker")
    up.process.send_signal(signal.SIGINT)
    until((up.notes / "worker.asked").exists)
    assert not gone(worker) and up.process.poll() is None
    began = time.monotonic()
    assert up.stop() == 0
    assert time.monotonic() - began < 10
    assert gone(worker)
    assert serving(shared_folder / "postgres") == []


def test_ctrl_c_during_the_start_ends_it(shared_folder: Path) -> None:
    up = Up(shared_folder, NEVER_READY="yes")
    (up.notes / "worker.pid").unlink(missing_ok=True)
    until(lambda: not gone(up.pid("worker")) if up.pid("worker") else False)
    assert up.stop() == 0
    assert serving(shared_folder / "postgres") == []


def test_a_web_that_is_never_ready_is_shown_with_its_last_lines(shared_folder: Path) -> None:
    up = Up(shared_folder, NEVER_READY="yes", READY_S="1")
    assert up.process.wait(20) == 1
    assert "web was not ready within 1 s" in up.err.read_text()
    assert "web listens" in up.err.read_text()
    assert gone(up.pid("web")) and gone(up.pid("worker"))
    assert serving(shared_folder / "postgres") == []


def test_a_web_that_cannot_start_is_shown_with_its_last_lines(shared_folder: Path) -> None:
    up = Up(shared_folder, WEB_FAILS="yes")
    assert up.process.wait(20) == 1
    assert "web ended before it was ready (exit code 1)" in up.err.read_text()
    assert "the template of the front page is missing" in up.err.read_text()


def test_a_failed_migration_starts_nothing(shared_folder: Path) -> None:
    up = Up(shared_folder, MIGRATION_FAILS="yes")
    assert up.process.wait(20) == 1
    assert "relation of our discontent already exists" in up.err.read_text()
    assert serving(shared_folder / "postgres") == []


def test_verbose_shows_the_output(shared_folder: Path) -> None:
    up = Up(shared_folder, VERBOSE="yes")
    up.wait_until_ready()
    assert "web listens" in up.out.read_text()
    assert up.stop() == 0


def test_a_taken_port_is_named_and_nothing_is_started(up: Start, folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = up(PORT=str(port))
        assert refused.process.wait(15) == 1
    assert refused.err.read_text().count("\n") == 1
    assert f"PORT {port}" in refused.err.read_text()
    assert not (folder / "postgres").exists()


def test_one_address_without_the_other_is_refused(up: Start, folder: Path) -> None:
    refused = up(REDIS_URL="redis://127.0.0.1:1/0")
    assert refused.process.wait(15) == 1
    assert "both DATABASE_URL and REDIS_URL" in refused.err.read_text()
    assert not (folder / "postgres").exists()


def test_given_servers_are_used_and_none_are_started(up: Start, folder: Path, shared_folder: Path) -> None:
    with Servers(shared_folder, fast=True) as urls:
        given = up(**urls.environment())
        given.wait_until_ready()
        assert answers(given)
        assert not (folder / "postgres").exists() and not (folder / "valkey").exists()
        assert given.stop() == 0
        assert psutil.Process(serving(shared_folder / "valkey")[0].pid).is_running()
