"""A Redis Cluster: the prefix is one hash tag, so all queues live on one of its nodes."""

import asyncio
import socket
import subprocess
import tempfile
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import pytest
from litestar import Litestar
from msgspec.structs import replace
from redis.asyncio import Redis
from redis.exceptions import RedisError

from app import registry
from app.core.settings import Settings
from app.embedded.valkey import HOST, program
from app.process import Process
from app.queues.enqueue import enqueue
from app.queues.job import Kinds
from app.queues.models import State
from app.queues.push import Queues
from app.queues.runner import Runner
from app.queues.worker import WorkerProcess
from tests.queues.conftest import Ledger
from tests.queues.kinds import PLATFORM, QUICK, Fail, Note

NODES = 3
SLOTS = 16_384
PATIENCE_S = 30


def free_port() -> int:
    """One whose cluster bus, 10,000 above it, has a number too."""
    while True:
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            port: int = probe.getsockname()[1]
        if port < 55_000:
            return port


@pytest.fixture
async def nodes() -> AsyncGenerator[list[Redis], None]:
    """Three primaries that share the slots among them."""
    with tempfile.TemporaryDirectory(prefix="teknav-cluster-") as folder:
        ports = [free_port() for _ in range(NODES)]
        processes = [_node(port, Path(folder)) for port in ports]
        clients = [Redis(host=HOST, port=port, decode_responses=True) for port in ports]
        try:
            async with asyncio.timeout(PATIENCE_S):
                await _join(clients, ports)
            yield clients
        finally:
            for client in clients:
                await client.aclose()
            for process in processes:
                process.kill()
                process.wait()


def _node(port: int, folder: Path) -> subprocess.Popen[bytes]:
    own = folder / str(port)
    own.mkdir()
    options = {"bind": HOST, "port": port, "dir": own, "save": "", "cluster-enabled": "yes"}
    arguments = [str(part) for name, value in options.items() for part in (f"--{name}", value)]
    return subprocess.Popen([program(), *arguments], stdout=subprocess.DEVNULL)


async def _join(clients: list[Redis], ports: list[int]) -> None:
    for number, client in enumerate(clients):
        while not await _answers(client):
            await asyncio.sleep(0.05)
        first, last = number * SLOTS // NODES, (number + 1) * SLOTS // NODES - 1
        await client.execute_command("CLUSTER", "ADDSLOTSRANGE", first, last)
    for port in ports[1:]:
        await clients[0].execute_command("CLUSTER", "MEET", HOST, port)
    for client in clients:
        while "cluster_state:ok" not in str(await client.execute_command("CLUSTER", "INFO")):
            await asyncio.sleep(0.05)


async def _answers(client: Redis) -> bool:
    try:
        return bool(await client.ping())
    except RedisError:
        return False


@pytest.fixture
async def owner_settings(nodes: list[Redis], settings: Settings) -> Settings:
    """Settings whose REDIS_URL is the node that owns the queues' slot."""
    slot = int(await nodes[0].execute_command("CLUSTER", "KEYSLOT", settings.queue_prefix))
    owner = nodes[slot * NODES // SLOTS]
    port = owner.connection_pool.connection_kwargs["port"]
    return replace(settings, redis_url=f"redis://{HOST}:{port}/0")


async def test_jobs_run_through_the_node_that_owns_the_prefix_and_leave_nothing_on_the_others(
    nodes: list[Redis],
    owner_settings: Settings,
    app: Litestar,
    kinds: Kinds,
    ledger: Ledger,
    until_state: Callable[..., object],
) -> None:
    process = Process.open(owner_settings)
    process.engine.specs = registry.specs() | {QUICK.name: QUICK}
    process.database.provide(queues=Queues(process.database, process.engine.specs, kinds, process.engine))
    runner = Runner(process.database, kinds, {QUICK.name: QUICK}, process.runner().worker)
    worker = WorkerProcess(
        process.database, process.engine, runner, [QUICK], concurrency=5, client=process.patient_redis
    )
    stop = asyncio.Event()
    working = asyncio.create_task(worker.run(stop))
    try:
        async with process.database.transaction(PLATFORM) as session:
            note = await enqueue(session, Note(text="hello"))
            fail = await enqueue(session, Fail(message="boom"))
        await until_state(note, State.COMPLETED)
        await until_state(fail, State.DEAD)
    finally:
        stop.set()
        await working
        await process.close()
    # On a slow machine the time limit of half a second may end the handler before it commits, and it begins again.
    assert set(ledger.notes) == {"hello"}
    sizes = sorted([await node.dbsize() for node in nodes])
    assert sizes[:-1] == [0, 0]
    assert sizes[-1] > 0
