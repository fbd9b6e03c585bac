"""PostgreSQL in a data folder: made, started or attached to, and stopped. Unix socket only."""

import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from app.embedded.account import Account
from app.embedded.cluster import make_cluster, programs
from app.embedded.errors import CannotStart
from app.embedded.logs import last_lines
from app.embedded.processes import end, is_alive, mark, serving, spawn
from app.embedded.sockets import SOCKET, clear_stale, socket_folder

START_S = 60.0  # a crash recovery may need it; a plain start takes half a second

SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Sized for one machine that also runs everything else.
    "max_connections": "60",
    "shared_buffers": "32MB",
    "max_wal_size": "256MB",
    "io_method": "sync",
    "autovacuum_max_workers": "1",
    "max_parallel_workers_per_gather": "0",
    "max_logical_replication_workers": "0",
    "max_wal_senders": "0",
    "wal_level": "minimal",
    "jit": "off",
    "log_checkpoints": "off",
}
FAST = {"fsync": "off", "full_page_writes": "off"}  # survives kill -9 of PostgreSQL, not of the machine

# Idempotent: a start that was killed half-way is completed by the next one.
LOGINS = """
SELECT format('CREATE ROLE %I LOGIN NOINHERIT NOSUPERUSER NOBYPASSRLS %s', name, extra)
FROM (VALUES ('teknav_migrator', 'CREATEROLE'), ('teknav_app', ''), ('teknav_control', '')) AS v (name, extra)
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \\gexec
SELECT 'CREATE DATABASE teknav OWNER teknav_migrator'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'teknav') \\gexec
"""


class Postgres:
    """One cluster, at `data_dir/postgres`."""

    def __init__(self, data_dir: Path, account: Account | None, *, fast: bool = False) -> None:
        self.cluster = data_dir / "postgres"
        self.log = data_dir / "logs" / "postgres.log"
        self.account = account
        self.settings = SETTINGS | (FAST if fast else {})
        self.process: Any = None
        self.socket_dir = Path()

    def url(self, login: str, database: str = "teknav") -> str:
        return f"postgresql://{login}@/{database}?host={quote(str(self.socket_dir))}"

    def alive(self) -> bool:
        return self.process is not None and is_alive(self.process)

    def start(self) -> None:
        """Start the cluster, or attach to its postmaster when one already runs.

        Raises:
            CannotStart: with the end of PostgreSQL's log.
        """
        if self.process is not None and not self.alive():
            end(self.process)
        make_cluster(self.cluster, self.account, sync="fsync" not in self.settings)
        # One that a former owner is just stopping dies while we wait for it; then we start our own.
        if not (self._attach() and self._ready()):
            self._spawn()
            if not self._ready():
                self.stop()
                raise CannotStart(f"PostgreSQL did not start; the end of {self.log}:\n{last_lines(self.log)}")
        self._psql(LOGINS)

    def stop(self) -> None:
        """End it cleanly: open sessions are cut, committed work is kept. No error when it is not running."""
        if self.process is not None:
            end(self.process, (signal.SIGINT, 20.0), (signal.SIGQUIT, 5.0))
            self.process = None
        for leftover in serving(self.cluster):
            end(leftover)
        if self.socket_dir not in (Path(), self.cluster):
            with suppress(OSError):
                self.socket_dir.rmdir()

    def _pid_file(self) -> list[str]:
        try:
            return (self.cluster / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []

    def _attach(self) -> bool:
        lines = self._pid_file()
        for process in serving(self.cluster):
            if len(lines) > 4 and str(process.pid) == lines[0]:
                self.process, self.socket_dir = process, Path(lines[4])
                return (self.socket_dir / SOCKET).exists()
        return False

    def _spawn(self) -> None:
        # Backends outlive a killed postmaster for a moment; a second server beside them would ruin the data.
        for leftover in serving(self.cluster):
            end(leftover)
        self.socket_dir = socket_folder(self.cluster, self.account)
        clear_stale(self.cluster / "postmaster.pid")
        clear_stale(self.socket_dir / f"{SOCKET}.lock")
        options = [f"-c{key}={value}" for key, value in self.settings.items()]
        options.append(f"-cunix_socket_directories={self.socket_dir}")
        options.append(f"-ccluster_name={mark(self.cluster)}")  # goes into the titles of its children
        command = [str(programs() / "postgres"), "-D", str(self.cluster), *options]
        self.process = spawn(command, log=self.log, account=self.account, cwd=self.cluster)

    def _ready(self) -> bool:
        """Wait until it takes connections; False when it died, or was not ready in time."""
        deadline = time.monotonic() + START_S
        while self.alive() and time.monotonic() < deadline:
            lines = self._pid_file()
            if len(lines) > 7 and lines[0] == str(self.process.pid) and lines[7].strip() == "ready":
                return True
            time.sleep(0.02)
        return False

    def _psql(self, script: str) -> None:
        psql = [str(programs() / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1"]
        command = [*psql, "-d", self.url("postgres", "postgres")]
        try:
            subprocess.run(  # noqa: S603
                command, input=script, capture_output=True, text=True, timeout=START_S, check=True
            )
        except subprocess.TimeoutExpired as error:
            raise CannotStart(f"PostgreSQL does not answer; see {self.log}") from error
        except subprocess.CalledProcessError as error:
            raise CannotStart(f"PostgreSQL refused the first commands: {error.stderr.strip()}") from error
