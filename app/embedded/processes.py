"""Server processes: which ones serve a folder, how one is started, how one is ended.

A number in a pid file proves nothing: after a restart it may belong to anybody. So every server carries
its folder's mark in its command line, and its children in their titles. (A working directory would tell
the same, but in most containers root may not look at another account's.)
"""

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from app.embedded.account import Account
from app.embedded.logs import open_log

SERVERS = ("postgres", "valkey-server")


def mark(folder: Path) -> str:
    """What the command lines of a folder's servers contain; it stays when the folder is renamed."""
    place = folder.stat()
    return f"teknav-{place.st_dev:x}-{place.st_ino:x}"


def serving(folder: Path) -> list[Any]:
    """Every live server (`psutil.Process`) of this folder, run by the folder's owner; zombies excluded."""
    if not folder.exists():
        return []
    wanted, owner = mark(folder), folder.stat().st_uid
    found = []
    for process in psutil.process_iter():
        try:
            ours = process.name() in SERVERS and process.uids().real == owner
            if ours and any(wanted in word.split(":") + word.split("=") for word in _words(process)):
                found.append(process)
        except psutil.Error:
            continue
    return found


def _words(process: Any) -> list[str]:
    return [word for part in process.cmdline() for word in part.split()]


def number_in_use(number: int) -> bool:
    return bool(psutil.pid_exists(number))


def is_alive(process: Any) -> bool:
    """False for the dead and for zombies, which keep their number until somebody reaps them."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def spawn(command: Sequence[str], *, log: Path, account: Account | None, cwd: Path) -> Any:
    """Start a server and return its `psutil.Popen`; its output is appended to `log`.

    It gets a session of its own, so that Ctrl-C at the terminal reaches the supervisor alone.
    """
    with open_log(log) as output:
        if account:
            os.fchown(output.fileno(), account.uid, account.gid)
        return psutil.Popen(
            list(command), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            cwd=cwd, start_new_session=True, **(account.drop() if account else {}),
        )  # fmt: skip


def end(process: Any, *steps: tuple[signal.Signals, float]) -> None:
    """Send each signal in turn and wait its seconds, until the process is gone; SIGKILL comes last."""
    for number, seconds in (*steps, (signal.SIGKILL, 5.0)):
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)
        # Not psutil's wait: an orphan may stay a zombie for long, and that is as good as gone.
        deadline = time.monotonic() + seconds
        while is_alive(process) and time.monotonic() < deadline:
            time.sleep(0.01)
        if not is_alive(process):
            break
    if isinstance(process, psutil.Popen):
        process.poll()  # a child of ours is reaped here
