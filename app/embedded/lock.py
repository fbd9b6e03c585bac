"""One owner for a data folder, and where others find what it runs."""

import fcntl
import os
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from app.embedded.errors import AlreadyRunning, CannotStart

NAME = "teknav.lock"
LOOK_S = 0.3  # `running` holds the lock for a moment too, when it looks whether it is free


class Running(msgspec.Struct, frozen=True):
    """What the owner of a folder tells: its process, its address, and the variables it runs with."""

    pid: int
    address: str
    environment: dict[str, str] = {}


class FolderLock:
    """Held by `teknav up` for as long as it runs; the system frees it however the process ends.

    A context manager. `left_by_killed` tells whether the former owner ended without cleaning up.

    Raises on entering:
        AlreadyRunning: another process holds the folder; the message has its address.
        CannotStart: the folder cannot be made or written.
    """

    def __init__(self, data_dir: Path, address: str) -> None:
        self._path, self._address = data_dir / NAME, address
        self._file = -1
        self.left_by_killed = False

    def __enter__(self) -> Self:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise CannotStart(
                f"the data folder {self._path.parent} cannot be used ({error.strerror}): "
                "set TEKNAV_DATA_DIR to a folder of yours"
            ) from error
        deadline = time.monotonic() + LOOK_S
        while not self._locked():
            if time.monotonic() < deadline:
                time.sleep(0.02)
                continue
            os.close(self._file)
            owner = _read(self._path)
            where = f" at {owner.address} (process {owner.pid})" if owner else ""
            raise AlreadyRunning(f"TekNav already runs in {self._path.parent}{where}.")
        self.left_by_killed = self._path.stat().st_size > 0
        self.publish({})
        return self

    def _locked(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def publish(self, environment: dict[str, str]) -> None:
        """Let other commands on this machine find the servers; readable by the folder's owner only."""
        content = msgspec.json.encode(Running(os.getpid(), self._address, environment))
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, content, 0)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.ftruncate(self._file, 0)
        os.close(self._file)


def running(data_dir: Path) -> Running | None:
    """Who runs in the folder now; None when nobody does, or when the folder is not ours to look into."""
    path = data_dir / NAME
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(path)
    finally:
        os.close(file)
    return None


def _read(path: Path) -> Running | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Running)
    except (OSError, msgspec.DecodeError):
        return None
