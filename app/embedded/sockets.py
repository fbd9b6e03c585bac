"""Where PostgreSQL puts its socket, and what a killed one leaves there."""

import hashlib
import os
import re
from pathlib import Path

from app.embedded.account import Account
from app.embedded.errors import CannotStart
from app.embedded.processes import number_in_use

SOCKET = ".s.PGSQL.5432"
PATH_MAX = 103  # bytes: Linux takes 107, macOS 103


def socket_folder(cluster: Path, account: Account | None) -> Path:
    """The cluster itself, or a short folder of the server's own under `/tmp` when its path will not do.

    Raises:
        CannotStart: something that is not ours has the short folder's name.
    """
    path = str(cluster)
    # A comma or a blank in the path would be a list to PostgreSQL, and a long one does not fit a socket.
    if len(path) + 1 + len(SOCKET) <= PATH_MAX and re.fullmatch(r"[\w./+-]+", path, re.ASCII):
        return cluster
    digest = hashlib.sha256(path.encode()).hexdigest()[:16]
    short = Path("/tmp").resolve() / f"teknav-{digest}"  # noqa: S108 - its owner and mode are checked
    owner = account.uid if account else os.geteuid()
    try:
        short.mkdir(mode=0o700)
        if account:
            os.chown(short, account.uid, account.gid)
    except FileExistsError:
        found = short.lstat()
        if found.st_uid != owner or found.st_mode & 0o170077 != 0o040000:
            raise CannotStart(f"{short} is in the way of PostgreSQL's socket: remove it") from None
    return short


def clear_stale(path: Path) -> None:
    """Remove a pid file whose server is gone while its number lives on in another process or a zombie.

    PostgreSQL sees by itself that a number is free. Only to be called when no server of the folder runs.
    """
    try:
        if number_in_use(int(path.read_text().split()[0])):
            path.unlink()
    except FileNotFoundError:
        return
    except (IndexError, ValueError):
        path.unlink()
