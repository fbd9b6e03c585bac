"""The account that servers run under when TekNav is started by root, whom PostgreSQL refuses.

Nothing is opened to everybody. Where a folder on the way is closed (`/root`, a private temporary folder),
the account alone gets the right to pass, by an access control entry.
"""

import errno
import fcntl
import logging
import os
import pwd
import stat
import struct
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from app.embedded.errors import CannotStart

NAME = "teknav-embedded"
OTHERWISE = "or run it as an ordinary user, or set DATABASE_URL and REDIS_URL to servers of your own"

log = logging.getLogger(__name__)


class Account(NamedTuple):
    uid: int
    gid: int

    def drop(self) -> dict[str, Any]:
        """Arguments that make `subprocess.Popen` start a program as this account."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


def server_account(cluster: Path) -> Account | None:
    """The account for servers whose PostgreSQL cluster lies at `cluster`; None means: as we are.

    A cluster that an ordinary user made stays that user's when root starts it.

    Raises:
        CannotStart: the cluster is another user's, or the account cannot be made.
    """
    owner = cluster.stat() if cluster.exists() else None
    if os.geteuid() != 0:
        if owner is not None and owner.st_uid != os.geteuid():
            raise CannotStart(
                f"{cluster} belongs to user {_name(owner.st_uid)}: start TekNav as that user, "
                "or set TEKNAV_DATA_DIR to another folder"
            )
        return None
    if owner is not None and owner.st_uid != 0:
        return Account(owner.st_uid, owner.st_gid)
    try:
        entry = pwd.getpwnam(NAME)
    except KeyError:
        entry = _made()
    return Account(entry.pw_uid, entry.pw_gid)


def _made() -> pwd.struct_passwd:
    # `useradd` looks for the name before it waits for its turn: two at once would give the account two numbers, of
    # which the second one stays. Whoever finds the file that came after has no need of the lock: the name is in it.
    with Path("/etc/passwd").open() as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        try:
            return pwd.getpwnam(NAME)
        except KeyError:
            return _create()


def _create() -> pwd.struct_passwd:
    command = ["useradd", "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin"]
    command.append(NAME)
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError) as error:
        reason = (getattr(error, "stderr", "") or str(error)).strip()
        raise CannotStart(
            f"PostgreSQL does not run as root, and the account {NAME} could not be made ({reason}): "
            f"make it with `{' '.join(command)}`, {OTHERWISE}"
        ) from error
    return pwd.getpwnam(NAME)


def open_the_way(account: Account, folder: Path, program: Path) -> None:
    """Make sure that `account` can enter `folder` and run `program`.

    Raises:
        CannotStart: it cannot, and this file system takes no access control entries.
    """
    folder, program = folder.resolve(), program.resolve()
    if _can(account, folder, program):
        return
    for closed in _closed({*folder.parents, *program.parents}):
        try:
            _let_pass(closed, account.uid)
        except OSError as error:
            if error.errno not in (errno.ENOTSUP, errno.EPERM, errno.EROFS, errno.EACCES):
                raise
            raise CannotStart(
                f"PostgreSQL's account {_name(account.uid)} cannot pass through {closed}: "
                f"run `chmod o+x {closed}`, or set TEKNAV_DATA_DIR to a folder outside it, {OTHERWISE}"
            ) from error
        log.warning("The account %s may now pass through %s.", _name(account.uid), closed)
    if not _can(account, folder, program):
        raise CannotStart(
            f"the account {_name(account.uid)} can neither run {program} nor enter {folder}: "
            f"run `chmod -R go+rX {program.parents[1]}`, {OTHERWISE}"
        )


def _can(account: Account, folder: Path, program: Path) -> bool:
    script = 'cd "$1" && exec "$2" --version'
    probe = subprocess.run(  # noqa: S603
        ["/bin/sh", "-c", script, "sh", str(folder), str(program)],
        capture_output=True, cwd="/", **account.drop(),
    )  # fmt: skip
    return probe.returncode == 0


def _closed(folders: Iterable[Path]) -> list[Path]:
    return sorted(each for each in folders if not each.stat().st_mode & stat.S_IXOTH)


def _let_pass(folder: Path, uid: int) -> None:
    """Add `user:uid:--x` to the folder's POSIX access list (layout: acl(5), version 2 of the attribute)."""
    attribute = "system.posix_acl_access"
    if not hasattr(os, "setxattr"):
        raise OSError(errno.ENOTSUP, "no access control lists here")
    user_obj, user, group_obj, mask, other, nobody, execute = 1, 2, 4, 0x10, 0x20, 0xFFFFFFFF, 1
    try:
        raw = os.getxattr(folder, attribute)
        entries = {(tag, who): perm for tag, perm, who in struct.iter_unpack("<HHI", raw[4:])}
    except OSError as error:
        if error.errno != errno.ENODATA:
            raise
        mode = folder.stat().st_mode
        entries = {
            (user_obj, nobody): mode >> 6 & 7,
            (group_obj, nobody): mode >> 3 & 7,
            (mask, nobody): mode >> 3 & 7,
            (other, nobody): mode & 7,
        }
    entries[user, uid] = entries.get((user, uid), 0) | execute
    entries[mask, nobody] = entries.get((mask, nobody), 0) | execute
    packed = b"".join(struct.pack("<HHI", tag, perm, who) for (tag, who), perm in sorted(entries.items()))
    os.setxattr(folder, attribute, struct.pack("<I", 2) + packed)


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
