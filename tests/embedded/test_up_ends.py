"""`up`: how it ends, how it goes on after kill -9, and what it says when it cannot start."""

import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

from app.embedded.lock import running
from app.embedded.processes import serving
from app.embedded.servers import Servers
from tests.embedded.stage import Up, answers, gone, until, visits

Start = Callable[..., Up]


def test_ctrl_c_ends_everything_politely(up: Start, shared_folder: Path) -> None:
    all_of_it = up()
    all_of_it.wait_until_ready()
    parts = [all_of_it.pid(name) for name in ("web", "worker", "helper")]
    began = time.monotonic()
    assert all_of_it.stop() == 0
    assert time.monotonic() - began < 10
    assert all(gone(pid) for pid in parts)
    assert (all_of_it.notes / "web.ended").read_text() == "by SIGTERM"
    assert (all_of_it.notes / "worker.ended").read_text() == "by SIGTERM"
    assert serving(shared_folder / "postgres") == serving(shared_folder / "valkey") == []
    assert running(shared_folder) is None


def test_after_kill_9_the_parts_end_and_the_next_up_goes_on(up: Start, shared_folder: Path) -> None:
    first = up(LINGERS="yes")
    first.wait_until_ready()
    before = visits(first)
    parts = [first.pid(name) for name in ("web", "worker", "helper")]
    servers = {each.pid for name in ("postgres", "valkey") for each in serving(shared_folder / name)}
    first.process.kill()
    first.process.wait()
    again = up(PORT=str(first.port))
    again.wait_until_ready()
    until(lambda: all(gone(pid) for pid in parts))
    assert visits(again)[0] > before[0] and visits(again)[1] > before[1]
    assert again.stop() == 0
    assert all(gone(pid) for pid in servers)


def test_a_second_ctrl_c_does_not_wait(up: Start, shared_folder: Path) -> None:
    first = up(DEAF="yes")
    first.wait_until_ready()
    worker = first.pid("worker")
    first.process.send_signal(signal.SIGINT)
    until((first.notes / "worker.asked").exists)
    assert not gone(worker) and first.process.poll() is None
    began = time.monotonic()
    assert first.stop() == 0
    assert time.monotonic() - began < 10
    assert gone(worker)
    assert serving(shared_folder / "postgres") == []


def test_ctrl_c_during_the_start_ends_it(up: Start, shared_folder: Path) -> None:
    first = up(NEVER_READY="yes")
    until(lambda: first.pid("web") and first.pid("worker"))
    assert first.stop() == 0
    assert serving(shared_folder / "postgres") == []


def test_a_web_that_is_never_ready_is_shown_with_its_last_lines(up: Start, shared_folder: Path) -> None:
    first = up(NEVER_READY="yes", READY_S="1")
    assert first.process.wait(20) == 1
    assert "web was not ready within 1 s" in first.err.read_text()
    assert "web listens" in first.err.read_text()
    assert gone(first.pid("web")) and gone(first.pid("worker"))
    assert serving(shared_folder / "postgres") == []


def test_a_web_that_is_never_ready_and_said_nothing_is_shown_with_that(up: Start, shared_folder: Path) -> None:
    (shared_folder / "logs" / "web.log").unlink(missing_ok=True)
    first = up(SILENT="yes", READY_S="1")
    assert first.process.wait(20) == 1
    assert "web was not ready within 1 s" in first.err.read_text()
    assert "web.log is empty" in first.err.read_text()
    assert serving(shared_folder / "postgres") == []


def test_a_web_that_cannot_start_is_shown_with_its_last_lines(up: Start, shared_folder: Path) -> None:
    first = up(WEB_FAILS="yes")
    assert first.process.wait(20) == 1
    assert "web ended before it was ready (exit code 1)" in first.err.read_text()
    assert "the template of the front page is missing" in first.err.read_text()


def test_a_failed_migration_starts_nothing(up: Start, shared_folder: Path) -> None:
    first = up(MIGRATION_FAILS="yes")
    assert first.process.wait(20) == 1
    assert "relation of our discontent already exists" in first.err.read_text()
    assert serving(shared_folder / "postgres") == []


def test_verbose_shows_the_output(up: Start, shared_folder: Path) -> None:
    first = up(VERBOSE="yes")
    first.wait_until_ready()
    assert "web listens" in first.out.read_text()
    assert first.stop() == 0


def test_a_taken_port_is_named_and_nothing_is_started(up: Start, folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = up(folder, PORT=str(port))
        assert refused.process.wait(15) == 1
    assert refused.err.read_text().count("\n") == 1
    assert f"PORT {port}" in refused.err.read_text()
    assert not (folder / "postgres").exists()


def test_one_address_without_the_other_is_refused(up: Start, folder: Path) -> None:
    refused = up(folder, REDIS_URL="redis://127.0.0.1:1/0")
    assert refused.process.wait(15) == 1
    assert "both DATABASE_URL and REDIS_URL" in refused.err.read_text()
    assert not (folder / "postgres").exists()


def test_given_servers_are_used_and_none_are_started(up: Start, folder: Path, shared_folder: Path) -> None:
    with Servers(shared_folder, fast=True) as urls:
        given = up(folder, **urls.environment())
        given.wait_until_ready()
        assert answers(given)
        assert not (folder / "postgres").exists() and not (folder / "valkey").exists()
        assert given.stop() == 0
        assert len(serving(shared_folder / "valkey")) == 1
