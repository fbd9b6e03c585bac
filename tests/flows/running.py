"""A TekNav of its own for a test: the real `teknav up`, in an empty folder and on a free port."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parents[2]
READY_S, END_S, COMMAND_S = 120, 40, 60
KEPT = ("PATH", "HOME", "LANG")
SERVERS = ("DATABASE_URL", "PLATFORM_DATABASE_URL", "MIGRATION_DATABASE_URL", "REDIS_URL")


class Running:
    """Started with `with`; ended with Ctrl-C, which must end it cleanly.

    With STORY_DATABASE_URL and STORY_REDIS_URL set (and STORY_… of the other two logins), it uses those servers.
    `more` are further variables of its processes.
    """

    def __init__(self, **more: str) -> None:
        self._more = more
        self.folder = Path(tempfile.mkdtemp(prefix="tn-"))
        self.port = _free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def owner_link(self) -> str:
        """Where the first owner is made; empty when `up` printed none."""
        found = re.search(rf"{re.escape(self.address)}/setup/\S+", self._said())
        return found[0] if found else ""

    def start(self, **environment: str) -> None:
        """Start with further variables, and return when the address is printed."""
        with self._out.open("w") as out, self._err.open("w") as err:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "app.cli", "up"],
                cwd=self.folder, stdout=out, stderr=err, env=self.environment | environment, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + READY_S
        while "Stop with Ctrl-C" not in self._said():
            assert self._process.poll() is None, f"teknav up ended with {self._process.returncode}:\n{self.logs()}"
            assert time.monotonic() < deadline, f"teknav up was not ready within {READY_S} s:\n{self.logs()}"
            time.sleep(0.05)

    def stop(self) -> None:
        """Press Ctrl-C, and see that all of it ends as it should."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGINT)
        try:
            code = process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)  # the second one does not wait
            process.wait(END_S)
            raise AssertionError(f"teknav up did not end within {END_S} s:\n{self.logs()}") from None
        assert code == 0, f"teknav up ended with {code}:\n{self.logs()}"

    def restart(self, **environment: str) -> None:
        self.stop()
        self.start(**environment)

    def teknav(self, *arguments: str, say: str = "") -> str:
        """What a `teknav` command prints; `say` is what it reads."""
        done = subprocess.run(
            [sys.executable, "-m", "app.cli", *arguments],
            cwd=self.folder, env=self.environment, input=say, capture_output=True, text=True, timeout=COMMAND_S,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"teknav {' '.join(arguments)} ended with {done.returncode}: {done.stderr}"
        return done.stdout

    def logs(self) -> str:
        """All that it said until now, for the report of a failed test."""
        files = [self._out, self._err, *sorted((self.folder / "var" / "logs").glob("*.log"))]
        return "\n".join(f"--- {file.name}\n{file.read_text(errors='replace')[-8000:]}" for file in files)

    @property
    def environment(self) -> dict[str, str]:
        """The variables of every process here; nothing of the developer's own TekNav among them."""
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        servers = {name: os.environ[f"STORY_{name}"] for name in SERVERS if f"STORY_{name}" in os.environ}
        own = {"TEKNAV_DATA_DIR": str(self.folder / "var"), "PORT": str(self.port)}
        own |= {"LOG_LEVEL": "warning", "PYTHONPATH": str(ROOT)}
        return kept | servers | own | self._more

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.stop()
        finally:
            print(self.logs())  # pytest shows it where something failed
            shutil.rmtree(self.folder)

    @property
    def _out(self) -> Path:
        return self.folder / "up.out"

    @property
    def _err(self) -> Path:
        return self.folder / "up.err"

    def _said(self) -> str:
        return self._out.read_text() if self._out.exists() else ""


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
