"""What the tests of this folder share: `up` as a process, and waiting for what it does."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import psutil

from app.embedded.processes import end, serving

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(__file__).parent / "programs"
NOBODY = 65534


def until(condition: Callable[[], object], seconds: float = 15.0) -> None:
    """Wait until the condition holds; fail after the deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"did not happen within {seconds} s"
        time.sleep(0.02)


def gone(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def end_leftovers(folder: Path) -> None:
    """End every server of the data folders in `folder`, which is one itself or holds some."""
    for name in ("postgres", "valkey"):
        for place in (folder / name, *folder.glob(f"*/{name}")):
            for process in serving(place):
                end(process)


class Up:
    """`up` as a process of its own. Its web and worker are small programs beside this file."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder, self.port = folder, int(environment.get("PORT") or free_port())
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        self.notes = Path(tempfile.mkdtemp(prefix="notes-", dir=folder))
        self.out, self.err = self.notes / "up.out", self.notes / "up.err"
        own = {"PYTHONPATH": str(ROOT), "PORT": str(self.port), "NOTES": str(self.notes)}
        own["TEKNAV_DATA_DIR"] = str(folder)
        with self.out.open("w") as out, self.err.open("w") as err:
            self.process = subprocess.Popen(
                [sys.executable, str(PROGRAMS / "up.py")],
                cwd=ROOT, stdout=out, stderr=err, env=kept | own | environment, start_new_session=True,
            )  # fmt: skip

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait_until_ready(self) -> None:
        until(lambda: self.process.poll() is not None or "ready at" in self.out.read_text(), 30)
        assert self.process.poll() is None, self.err.read_text()

    def pid(self, name: str) -> int:
        """The number that the program wrote when it started; 0 before."""
        note = self.notes / f"{name}.pid"
        return int(note.read_text() or 0) if note.exists() else 0

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(30)


def visits(up: Up) -> list[int]:
    """Rows in PostgreSQL and count in Valkey, as the web process sees them; counts itself."""
    with urllib.request.urlopen(up.address, timeout=5) as answer:
        return [int(word) for word in answer.read().split()]


def answers(up: Up) -> bool:
    try:
        return len(visits(up)) == 2
    except OSError:
        return False
