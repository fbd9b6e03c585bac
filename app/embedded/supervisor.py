"""`teknav up`: servers, migrations, web and worker on one machine, started and ended together."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from app.core.settings import Settings, given
from app.embedded import probe, secrets
from app.embedded.backing import Backing
from app.embedded.child import Child
from app.embedded.errors import CannotStart
from app.embedded.lock import FolderLock
from app.embedded.logs import last_lines
from app.embedded.signals import Stop, stop_on_signals
from app.embedded.terminal import say

READY_S = 60.0  # a first start compiles all modules, maybe on a busy machine; else it takes seconds
GRACE_S = 25.0
FREED_S = 10.0  # how long the web process of a killed owner may still hold the port


class Programs(NamedTuple):
    """Arguments to this Python for each program that is run."""

    migrate: Sequence[str] = ("-m", "app.cli", "migrate")
    web: Sequence[str] = ("-m", "app.cli", "web")
    worker: Sequence[str] = ("-m", "app.cli", "worker")


PROGRAMS = Programs()


async def run(
    settings: Settings,
    *,
    verbose: bool,
    announce: Callable[[str], Awaitable[None]],
    programs: Programs = PROGRAMS,
) -> int:
    """Run everything until Ctrl-C or SIGTERM; return the exit code, which is 0 after a clean end.

    `announce` is called once with the dashboard's address, when all is ready; `lock.running(data_dir)` then
    gives the variables to reach the servers. `verbose` leaves the output of web and worker on the terminal.

    Raises:
        CannotStart: one message for the terminal, with `exit_code`; nothing is left running.
    """
    address = probe.address(settings.host, settings.port)
    with FolderLock(settings.data_dir, address) as lock, stop_on_signals() as stop:
        await probe.wait_for_port(settings.host, settings.port, FREED_S if lock.left_by_killed else 0)
        up = Up(settings, verbose, programs, lock, stop)
        try:
            if await up.start():
                await announce(address)
                await up.keep()
        finally:
            await up.end()
    return 0


class Up:
    """The parts of a running TekNav and the order in which they start and end."""

    def __init__(self, settings: Settings, verbose: bool, programs: Programs, lock: FolderLock, stop: Stop) -> None:
        self._settings, self._lock, self._stop = settings, lock, stop
        self._backing = Backing(settings)
        self._logs = None if verbose else settings.data_dir / "logs"
        self._migrate = self._child("migrate", programs.migrate)
        self._children = [self._child("web", programs.web), self._child("worker", programs.worker)]

    def _child(self, name: str, arguments: Sequence[str]) -> Child:
        return Child(name, arguments, self._logs / f"{name}.log" if self._logs else None)

    async def start(self) -> bool:
        """Start all parts in order; False when the person asked to stop in the meantime."""
        self._use(await self._backing.start())
        if self._stop.asked.is_set():
            return False
        await self._migrate.start()
        code = await self._stop.first(self._migrate.ended())
        if code:
            raise CannotStart(f"The migrations failed (exit code {code}).{_end_of(self._migrate.log)}")
        if code is None:
            return False
        for child in self._children:
            await child.start()
        if self._logs:
            say(f"Logs of web and worker: {self._logs}")
        return await self._stop.first(self._until_ready()) is not None

    def _use(self, urls: dict[str, str]) -> None:
        settings = self._settings
        own_secrets = {name: getattr(settings, name.lower()) for name in secrets.NAMES}
        reach = urls | secrets.ensure(settings.data_dir, own_secrets)
        self._lock.publish(given(settings) | {"TEKNAV_DATA_DIR": str(settings.data_dir)} | reach)
        own = {"HOST": settings.host, "PORT": str(settings.port), "TEKNAV_DATA_DIR": str(settings.data_dir)}
        # Two arenas keep the C library's memory small; it only grows with threads otherwise.
        environment = {"MALLOC_ARENA_MAX": "2", "PYTHONUNBUFFERED": "1"} | dict(os.environ) | own | reach
        for child in (self._migrate, *self._children):
            child.environment = environment

    async def _until_ready(self) -> bool:
        """Wait for the first 200; CannotStart when a child ends first, or after READY_S seconds."""
        ends = {asyncio.create_task(child.ended()): child for child in self._children}
        ready = False
        try:
            async with asyncio.timeout(READY_S):
                while not ready:
                    ready = await probe.ready(self._settings.host, self._settings.port)
                    done, _ = await asyncio.wait(ends, timeout=0.1, return_when=asyncio.FIRST_COMPLETED)
                    if done:
                        task = done.pop()
                        name, log = ends[task].name, ends[task].log
                        raise CannotStart(
                            f"{name} ended before it was ready (exit code {task.result()}).{_end_of(log)}"
                        )
        except TimeoutError:
            web = self._children[0]
            raise CannotStart(f"{web.name} was not ready within {READY_S:g} s.{_end_of(web.log)}") from None
        finally:
            for each in ends:
                each.cancel()
        return True

    async def keep(self) -> None:
        """Bring back what dies, until the person asks to stop."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._backing.watch(self._stop.asked, self._move))
            kept = [group.create_task(child.keep()) for child in self._children]
            await self._stop.asked.wait()
            for task in kept:
                task.cancel()

    def _move(self, urls: dict[str, str]) -> None:
        self._use(urls)
        for child in self._children:
            child.terminate()

    async def end(self) -> None:
        """Web and worker first, while their servers still run; then the servers."""
        everyone = (self._migrate, *self._children)
        if self._stop.asked.is_set():
            say("Stopping: jobs at hand may end first. Ctrl-C again does not wait.")
        await asyncio.gather(*(child.stop(GRACE_S, self._stop.forced) for child in everyone))
        await self._backing.stop()
        if self._stop.asked.is_set():
            say("TekNav has stopped.")


def _end_of(log: Path | None) -> str:
    if log is None:
        return ""
    lines = last_lines(log)
    return f" The end of {log}:\n{lines}" if lines else f" {log} is empty."
