"""Log files of what runs under `teknav up`."""

from pathlib import Path
from typing import BinaryIO

LIMIT = 5_000_000


def open_log(path: Path) -> BinaryIO:
    """A log opened for appending; one of over 5 MB moves to `.1` first."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if path.exists() and path.stat().st_size > LIMIT:
        path.replace(path.with_name(path.name + ".1"))
    return path.open("ab")


def last_lines(path: Path, count: int = 12) -> str:
    """The end of a log, for an error message; empty when there is none."""
    if not path.exists():
        return ""
    return "\n".join(path.read_text(errors="replace").splitlines()[-count:])
