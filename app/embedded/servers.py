"""The two servers of a data folder as one thing: start, addresses, stop."""

import fcntl
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, TextIO

from app.embedded.account import server_account
from app.embedded.errors import CannotStart
from app.embedded.postgres import Postgres
from app.embedded.valkey import Valkey


class Urls(NamedTuple):
    """Addresses of the running servers. `admin_database_url` is the superuser's, for tests only."""

    database_url: str
    platform_database_url: str
    migration_database_url: str
    admin_database_url: str
    redis_url: str

    def environment(self) -> dict[str, str]:
        """The variables by which TekNav's processes find the servers; the superuser is not among them."""
        names = (name for name in self._fields if name != "admin_database_url")
        return {name.upper(): getattr(self, name) for name in names}


class Servers:
    """PostgreSQL and Valkey under one data folder.

    `start` attaches to servers that still run there (those of a killed owner, for instance), and
    `stop` ends whatever was started or attached to: one owner at a time, see `lock.FolderLock`.
    Both block; call them from a thread when an event loop is running. As a context manager:
    `with Servers(data_dir) as urls`.
    """

    def __init__(self, data_dir: Path | None = None, *, fast: bool = False, redis_max_memory: str = "") -> None:
        self._data_dir, self._fast, self._redis_max_memory = data_dir, fast, redis_max_memory
        self._postgres: Postgres | None = None
        self._valkey: Valkey | None = None

    def start(self, data_dir: Path | None = None, *, fast: bool = False) -> Urls:
        """Start or attach, and return the addresses. Calling it again brings back what has died.

        `fast` gives up durability against a crash of the machine, for tests.

        Raises:
            CannotStart: one line on what is wrong and what to do; nothing that it started is left running.
        """
        folder = data_dir or self._data_dir
        if folder is None:
            raise TypeError("Servers.start needs a data folder")
        self._data_dir, self._fast = folder.expanduser().resolve(), fast or self._fast
        # Two starts at the same moment must not both find an empty folder.
        with _gate(self._data_dir) as gate:
            fcntl.flock(gate, fcntl.LOCK_EX)
            return self._start(self._data_dir)

    def _start(self, folder: Path) -> Urls:
        account = server_account(folder / "postgres")
        self._postgres = self._postgres or Postgres(folder, account, fast=self._fast)
        self._valkey = self._valkey or Valkey(folder, account, fast=self._fast, max_memory=self._redis_max_memory)
        running = [server for server in (self._postgres, self._valkey) if server.alive()]
        try:
            self._postgres.start()
            self._valkey.start()
        except BaseException:
            for server in (self._valkey, self._postgres):
                if server not in running:
                    server.stop()
            raise
        return Urls(
            database_url=self._postgres.url("teknav_app"),
            platform_database_url=self._postgres.url("teknav_control"),
            migration_database_url=self._postgres.url("teknav_migrator"),
            admin_database_url=self._postgres.url("postgres"),
            redis_url=self._valkey.url,
        )

    def dead(self) -> list[str]:
        """Names of the servers that should run and do not."""
        started = {"PostgreSQL": self._postgres, "Valkey": self._valkey}
        return [name for name, server in started.items() if server is not None and not server.alive()]

    def stop(self) -> None:
        """End both, cleanly. No error when they are not running."""
        for server in (self._valkey, self._postgres):
            if server is not None:
                server.stop()
        self._valkey = self._postgres = None

    def __enter__(self) -> Urls:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _gate(folder: Path) -> TextIO:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "logs").mkdir(exist_ok=True, mode=0o700)
        return (folder / ".starting").open("w")
    except OSError as error:
        raise CannotStart(
            f"the data folder {folder} cannot be used ({error.strerror}): set TEKNAV_DATA_DIR to one of yours"
        ) from error
