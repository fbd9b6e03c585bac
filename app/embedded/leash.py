"""Run a command that ends when the process that started it ends: `leash.py PARENT_PID COMMAND...`.

A file of its own, run before the command takes its place, because asking the kernel for this between fork
and exec would run Python in a copy of a process with threads. Only the standard library is needed here.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, command: list[str]) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
        if os.getppid() != parent:  # it died before we asked
            sys.exit(1)
    os.execv(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
