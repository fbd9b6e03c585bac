"""A Redis Cluster: the prefix is one hash tag, so all queues live on one of its nodes, whichever REDIS_URL names."""

import asyncio
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from litestar import Litestar
from msgspec.structs import replace
from redis.asyncio import Redis
from redis.exceptions import AskError, MovedError, RedisError
from structlog.testing import capture_logs

from app import registry
from app.core.limits import Window
from app.core.settings import Settings
from app.embedded.valkey import HOST, program
from app.process import Process
from app.queues.enqueue import enqueue
from app.queues.job import Kinds
from app.queues.models import State
from app.queues.push import Queues
from app.queues.runner import Runner
from app.queues.worker import WorkerProcess
from app.redis.cache import Cache
from app.redis.cached import Cached
from app.redis.connection import hasty, patient
from app.redis.link import Link
from app.redis.rate_limit import RateLimiter
from app.redis.service import RedisService
from tests.queues.conftest import Ledger
from tests.queues.kinds import PLATFORM, QUICK, Fail, Note

NODES = 2
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
    """Primaries that share the slots among them."""
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


@dataclass(frozen=True)
class Place:
    """Where the queues' slot is, and how to move it."""

    key: str
    slot: int
    owner: Redis
    other: Redis

    async def move(self) -> "Place":
        """The slot without its keys, as after a failover to a node that had not heard of them; both nodes know."""
        ids = [await node.execute_command("CLUSTER", "MYID") for node in (self.owner, self.other)]
        await self.other.execute_command("CLUSTER", "SETSLOT", self.slot, "IMPORTING", ids[0])
        await self.other.execute_command("CLUSTER", "SETSLOT", self.slot, "NODE", ids[1])
        with pytest.raises(MovedError):
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    await self.owner.exists(self.key)
        return Place(self.key, self.slot, self.other, self.owner)


@pytest.fixture
async def place(nodes: list[Redis], settings: Settings) -> Place:
    slot = int(await nodes[0].execute_command("CLUSTER", "KEYSLOT", settings.queue_prefix))
    owner = nodes[slot * NODES // SLOTS]
    return Place(f"{settings.queue_prefix}:any", slot, owner, next(node for node in nodes if node is not owner))


def url_of(node: Redis) -> str:
    return f"redis://{HOST}:{node.connection_pool.connection_kwargs['port']}/0"


async def test_jobs_run_where_their_slot_is_though_the_address_is_another_nodes(
    place: Place,
    settings: Settings,
    app: Litestar,
    kinds: Kinds,
    ledger: Ledger,
    until_state: Callable[..., object],
) -> None:
    process = Process.open(replace(settings, redis_url=url_of(place.other)))
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
        assert [await node.dbsize() > 0 for node in (place.owner, place.other)] == [True, False]

        # The worker waits at the one node when the slot goes to the other: it is told, and follows.
        place = await place.move()
        async with process.database.transaction(PLATFORM) as session:
            later = await enqueue(session, Note(text="there"))
        await until_state(later, State.COMPLETED)
        assert await place.owner.dbsize() > 0
    finally:
        stop.set()
        await working
        await process.close()
    # On a slow machine the time limit may end a handler before it commits, and it begins again.
    assert set(ledger.notes) == {"hello", "there"}


@pytest.mark.parametrize("bound_s", [None, 20])
async def test_a_link_takes_every_way_of_asking_to_the_node_that_has_the_keys(
    bound_s: float | None, place: Place, settings: Settings
) -> None:
    pool = patient(url_of(place.other)).connection_pool
    link = Link(pool, bound_s=bound_s, reconnect_s=0, prefix=settings.queue_prefix)
    key = f"{settings.queue_prefix}:list"
    try:
        for _ in range(2):
            async with link.pipeline(transaction=True) as both:
                assert await both.rpush(key, "a").rpush(key, "b").execute() == [1, 2]
            async with link.pipeline(transaction=False) as both:
                assert await both.llen(key).lpop(key).execute() == [2, "a"]
            assert await link.blpop([key], 1) == (key, "b")
            assert await place.owner.execute_command("CLUSTER", "COUNTKEYSINSLOT", place.slot) == 0
            place = await place.move()
        # What belongs to another slot is not followed.
        with pytest.raises(MovedError):
            for n in range(100):
                await link.get(f"elsewhere-{n}")
        assert await link.rpush(key, "still here") == 1
        assert await place.owner.llen(key) == 1
    finally:
        await link.aclose()


async def test_a_node_that_is_gone_is_looked_for_at_the_address(
    place: Place, settings: Settings, nodes: list[Redis]
) -> None:
    """The slot's owner dies, and another node takes over."""
    link = patient(url_of(place.other), settings.queue_prefix)
    key = f"{settings.queue_prefix}:list"
    try:
        waiting = asyncio.create_task(link.blpop([key], 0))
        assert await link.set(f"{key}:2", "x")
        async with asyncio.timeout(PATIENCE_S):
            while (await place.owner.info("clients"))["blocked_clients"] == 0:
                await asyncio.sleep(0.02)
        await place.move()
        with suppress(RedisError):
            await place.owner.shutdown(nosave=True)
        async with asyncio.timeout(PATIENCE_S):
            assert await link.rpush(key, "found") >= 0
            assert await waiting == (key, "found")
    finally:
        await link.aclose()


async def test_all_counts_of_a_caller_lie_in_the_queues_slot_and_are_one_calls_of_all_processes(
    place: Place, settings: Settings, nodes: list[Redis]
) -> None:
    """Before and after the slot has moved, and whichever node the address names."""
    links = [hasty(url_of(node), settings.queue_prefix) for node in nodes]
    limiters = [RateLimiter(link, settings.queue_prefix) for link in links]
    windows = (Window(6, 60.0), Window(100, 3600.0))
    try:
        for who in ("owner:192.0.2.1", "token:1", "unknown:2001:db8::/64", "tenant:7"):
            verdicts = [await limiter.take(who, windows) for limiter in limiters * 3]
            assert [verdict.remaining for verdict in verdicts] == [5, 4, 3, 2, 1, 0], "counted once for all"
            assert not (await limiters[0].take(who, windows)).allowed
        keys = await place.owner.keys("*limits*")
        assert len(keys) == 8 and not await place.other.keys("*limits*")
        slots = {int(await nodes[0].execute_command("CLUSTER", "KEYSLOT", key)) for key in keys}
        assert slots == {place.slot}
        place = await place.move()
        async with asyncio.timeout(PATIENCE_S):
            for limiter in limiters:  # a link tries to connect five times a second
                while await limiter.used("nobody", windows[0]) is None:
                    await asyncio.sleep(0.02)
        assert [(await limiter.take("later", windows)).remaining for limiter in limiters] == [5, 4]
        assert len(await place.owner.keys("*limits*later*")) == 2
    finally:
        for link in links:
            await link.aclose()


async def test_a_cluster_is_no_redis_for_the_cache_which_goes_on_without(
    place: Place, settings: Settings, nodes: list[Redis]
) -> None:
    """MOVED, ASK and CROSSSLOT are one more way of not serving: said once, and nobody waits."""
    service = RedisService(settings, hasty(url_of(place.owner)))
    cache = Cache(service, settings, patient(url_of(place.owner)))
    kind = Cached("test", "numbers", "one", int, 30, ("numbers",), "A number.")

    async def load() -> int:
        return 7

    try:
        with pytest.raises(MovedError):
            for n in range(100):
                await service.get(f"elsewhere-{n}")
        moving = f"{settings.queue_prefix}:not-here-yet"
        ids = [await node.execute_command("CLUSTER", "MYID") for node in (place.owner, place.other)]
        await place.owner.execute_command("CLUSTER", "SETSLOT", place.slot, "MIGRATING", ids[1])
        with pytest.raises(AskError):
            await service.get(moving)
        with capture_logs() as logs:
            assert not (await service.ping()).ok
            took = []
            for n in range(30):
                cache.claims.memory.clear()
                began = time.perf_counter()
                assert await cache.cache_wrap(kind.place(str(n)), load) == 7
                took.append(time.perf_counter() - began)
            await cache.drop("numbers")
        assert max(took) < 0.25, took
        assert not service.health.ok and "same slot" in service.health.outages[0].error
        assert [line["event"] for line in logs if line["event"].startswith("redis.")] == ["redis.down"]
    finally:
        await cache.close()
        await cache._subscriber.aclose()
        await service.close()
        await service.client.aclose()
