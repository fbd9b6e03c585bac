"""Run a command that ends when the process that started it ends: `leash.py PARENT_PID COMMAND...`.

A file of its own, run before the command takes its place, because asking the kernel for this between fork
and exec would run Python in a copy of a process with threads. Only the standard library is needed here.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def command(*arguments: str) -> list[str]:
    """The command that runs `arguments` on a leash of this process."""
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *arguments]


def end_with(parent: int, number: signal.Signals) -> None:
    """Let the kernel send this process a signal when its parent ends; where it cannot, nothing happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)


if __name__ == "__main__":
    end_with(int(sys.argv[1]), signal.SIGTERM)
    os.execv(sys.argv[2], sys.argv[2:])  # noqa: S606
