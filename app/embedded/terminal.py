"""Lines for the person at the terminal; standard output stays free for what a script may read."""

import sys
from contextlib import suppress


def say(line: str) -> None:
    with suppress(OSError):  # the terminal may be gone
        sys.stderr.write(line + "\n")
        sys.stderr.flush()
