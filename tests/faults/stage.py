"""What the faults befall: real PostgreSQL and Valkey, a web process, workers, and a receiver, in one folder."""

import asyncio
import json
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
from redis.asyncio import Redis

from app.embedded.processes import end, serving
from app.embedded.servers import Servers, Urls
from tests.faults.program import Program

ROOT_PROGRAM, READY_S = "tests.faults.root", 60.0
PLACES = 10
"""Of each queue in a worker, where a scenario wants no other number."""
LEDGER = """
CREATE TABLE ledger (
    mark text NOT NULL, entry text NOT NULL, job text, pid int, at timestamptz NOT NULL DEFAULT clock_timestamp()
);
GRANT INSERT ON ledger TO teknav_tenant, teknav_platform, teknav_system;
"""
LEADER = "SELECT w.pid FROM lease l JOIN worker w ON w.id = l.holder ORDER BY l.name LIMIT 1"
ALIVE = "SELECT count(*) FROM worker WHERE pid = ANY($1::int[])"
CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename LIKE 'teknav\\_%'"


class Stage:
    """Use with `async with`. Workers and web come back by themselves when they die, servers when they are told to."""

    def __init__(self, folder: Path | None = None, *, keep: bool = False) -> None:
        self._own_folder = folder is None and not keep
        self.folder = folder or Path(tempfile.mkdtemp(prefix="teknav-faults-"))
        self.data = self.folder / "data"
        self.servers = Servers()
        self.port, self._receiver_port = free_port(), free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.web: Program | None = None
        self.workers: list[Program] = []
        self._receiver: Program | None = None
        self.accepted: set[str] = set()
        """The ids of all deeds that were accepted here, in whichever scenario."""
        self._dressed: tuple[Any, ...] = ()
        self._keys = {name: secrets.token_hex(20) for name in ("SECRET_KEY", "JWT_SECRET", "ENCRYPTION_KEY")}
        self.urls: Urls
        self.tokens: dict[str, str]

    async def __aenter__(self) -> "Stage":
        try:
            await self._build()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def _build(self) -> None:
        # The account that the servers run under has to pass through.
        self.folder.chmod(0o711)
        self.urls = await asyncio.to_thread(self.servers.start, self.data, fast=True)
        script = ["tests/faults/receiver.py", str(self._receiver_port), str(self.folder / "calls")]
        self._receiver = Program(script, self.environment, self.folder / "receiver.log")
        self._receiver.start()
        made = await asyncio.create_subprocess_exec(
            sys.executable, "-m", ROOT_PROGRAM, "prepare", env=self.environment, stdout=asyncio.subprocess.PIPE
        )
        told, _ = await made.communicate()
        self.tokens = json.loads(told.splitlines()[-1])
        async with self.admin() as admin:
            await admin.execute(LEDGER)

    async def __aexit__(self, *_: object) -> None:
        programs = [each for each in (self.web, *self.workers, self._receiver) if each is not None]
        await asyncio.gather(*(each.stop(5) for each in programs))
        await asyncio.to_thread(self.servers.stop)
        if self._own_folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return kept | self.urls.environment() | self._keys | {
            "APP_ENV": "dev",
            "PORT": str(self.port),
            "LOG_LEVEL": "info",
            "ENABLE_RATE_LIMIT": "false",
            "DATABASE_POOL_SIZE": "5",
            "WORKER_CONCURRENCY": str(PLACES),
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "FAULTS_FOLDER": str(self.folder),
            "FAULTS_RECEIVER": f"http://127.0.0.1:{self._receiver_port}",
        }  # fmt: skip

    async def dress(self, workers: int = 2, *, off: str = "", **worker_environment: str) -> None:
        """Have this many workers with these variables, a web process, and all guards but `off`; wait until ready."""
        wanted = (workers, off, tuple(sorted(worker_environment.items())))
        if wanted != self._dressed:
            same_web = self.web is not None and off == self._dressed[1]
            await self._undress(keep_web=same_web)
            self._dressed = wanted
            fresh = [self._program("worker", off, n, **worker_environment) for n in range(workers)]
            self.workers = fresh
            if not same_web:
                self.web = self._program("web", off)
                fresh = [self.web, *fresh]
            for each in fresh:
                each.start()
        await self.ready()

    async def _undress(self, *, keep_web: bool) -> None:
        """A start costs seconds of CPU: a web process that would be the same stays."""
        programs = [*self.workers, *([] if keep_web or self.web is None else [self.web])]
        self.workers, self._dressed = [], ()
        if not keep_web:
            self.web = None
        await asyncio.gather(*(each.stop() for each in programs))

    def _program(self, name: str, off: str = "", n: int = 0, **more: str) -> Program:
        log = self.folder / (f"{name}{n}.log" if name == "worker" else f"{name}.log")
        return Program(("-m", ROOT_PROGRAM, name), self.environment | {"FAULTS_OFF": off} | more, log)

    async def another_worker(self, n: int) -> Program:
        """A new worker like the others, started beside them."""
        _, off, more = self._dressed
        made = self._program("worker", off, n, **dict(more))
        made.start()
        return made

    async def ready(self) -> None:
        """Wait until web answers and every worker has shown itself."""
        deadline = time.monotonic() + READY_S
        async with self.client() as client:
            while time.monotonic() < deadline:
                try:
                    answer = await client.get("/health/ready")
                    async with self.admin() as admin:
                        alive = await admin.fetchval(ALIVE, [each.pid for each in self.workers])
                    if answer.status_code == 200 and alive == len(self.workers):
                        return
                except (httpx2.HTTPError, OSError, asyncpg.PostgresError):
                    pass
                await asyncio.sleep(0.1)
        raise TimeoutError(f"the stage was not ready within {READY_S:g} s; its logs are in {self.folder}")

    def client(self, token: str = "") -> httpx2.AsyncClient:
        headers = {"Authorization": f"Bearer {self.tokens[token]}"} if token else {}
        headers["Cache-Control"] = "no-cache"  # the judge sees what is, not what was
        return httpx2.AsyncClient(base_url=self.address, headers=headers, timeout=20)

    @asynccontextmanager
    async def admin(self) -> AsyncIterator[asyncpg.Connection]:
        connection = await asyncpg.connect(self.urls.admin_database_url, timeout=5)
        try:
            yield connection
        finally:
            await connection.close(timeout=5)

    @asynccontextmanager
    async def redis(self) -> AsyncIterator[Redis]:
        async with Redis.from_url(self.urls.redis_url) as client:
            yield client

    async def leader(self) -> Program:
        """The worker that leads the loops."""
        async with self.admin() as admin:
            pid = await admin.fetchval(LEADER)
        return next((each for each in self.workers if each.pid == pid), self.workers[0])

    def signal_server(self, name: str, number: signal.Signals) -> None:
        """To `postgres` or `valkey`; of PostgreSQL's processes the first, which the others follow."""
        found = serving(self.data / name)
        parents = [each for each in found if each.ppid() not in {other.pid for other in found}]
        for each in parents:
            each.send_signal(number)

    async def restart_servers(self) -> None:
        """Bring back what has died."""
        self.urls = await asyncio.to_thread(self.servers.start)

    async def kill_server(self, name: str) -> None:
        for each in serving(self.data / name):
            await asyncio.to_thread(end, each)

    async def cut_backends(self) -> int:
        async with self.admin() as admin:
            return len(await admin.fetch(CUT))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
