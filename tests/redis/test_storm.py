"""Many commands through connections that are cut at any byte: no reply ever reaches another caller."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from urllib.parse import urlsplit

import pytest
from litestar import Litestar
from redis import exceptions

from app.core.settings import Settings
from app.redis.cache import Cache
from app.redis.cached import Cached
from app.redis.connection import HASTY_S, hasty, patient
from app.redis.link import Link
from app.redis.service import RedisService
from tests.redis.proxy import Proxy

NUMBER = Cached("test", "storm", "number", int, 30, ("storm",), "A number, under itself.")
CALLERS = 40
Storm = Callable[[int], tuple[Proxy, Callable[[int], str]]]


@pytest.fixture
def storm(app: Litestar, settings: Settings) -> Storm:
    """A proxy that cuts every connection within so many bytes of replies, and the address through it."""
    parts = urlsplit(settings.redis_url)

    def make(cut_within: int) -> tuple[Proxy, Callable[[int], str]]:
        proxy = Proxy(str(parts.hostname), int(parts.port or 0), cut_within=cut_within, seed=cut_within)
        return proxy, lambda port: f"redis://:{parts.password}@127.0.0.1:{port}/0"

    return make


@pytest.fixture
async def links() -> AsyncGenerator[Callable[[str], Link], None]:
    made: list[Link] = []

    def make(url: str) -> Link:
        made.append(Link(hasty(url).connection_pool, bound_s=HASTY_S * 20, reconnect_s=0))
        return made[-1]

    yield make
    for link in made:
        await link.aclose()


@pytest.mark.parametrize(
    "commands", [pytest.param(2_000), pytest.param(100_000, marks=pytest.mark.faults)], ids=["2000", "100000"]
)
async def test_every_reply_is_the_one_to_its_command(storm: Storm, links: Callable[[str], Link], commands: int) -> None:
    proxy, url = storm(20_000)
    asked, told = iter(range(commands)), Counter[str]()

    async def ask(link: Link, n: int) -> object:
        text = f"{n}-{'x' * (n % 7 * 40)}"
        if n % 3 == 0:
            async with link.pipeline(transaction=n % 2 == 0) as pipe:
                pipe.echo(text)
                pipe.eval("return ARGV[1]", 0, n)
                found = await pipe.execute()
            return found == [text, str(n)]
        if n % 3 == 1:
            return await link.eval("return {ARGV[1], KEYS[1]}", 1, text, n) == [str(n), text]
        return await link.echo(text) == text

    async def caller(link: Link, seed: int) -> None:
        dice = random.Random(seed)
        for n in asked:
            try:
                async with asyncio.timeout(0.002 if dice.random() < 0.02 else None):
                    told["right" if await ask(link, n) else "wrong"] += 1
            except (exceptions.ConnectionError, exceptions.TimeoutError, TimeoutError):
                told["cut off"] += 1

    async with proxy.listening() as port:
        link = links(url(port))
        await asyncio.gather(*(caller(link, seed) for seed in range(CALLERS)))
    assert told["wrong"] == 0
    assert sum(told.values()) == commands
    assert told["right"] > commands / 2
    assert proxy.cuts > commands / 2_000


async def test_a_cache_behind_cut_connections_is_right_or_asks_the_source(storm: Storm, settings: Settings) -> None:
    """Nobody gets another's number, and nobody an error."""
    proxy, url = storm(4_000)
    dice = random.Random(3)
    async with proxy.listening() as port:
        client, subscriber = hasty(url(port)), patient(url(port))
        cache = Cache(RedisService(settings, client), settings, subscriber)
        running = asyncio.create_task(cache.run())
        try:
            while proxy.cuts < 8:
                async with asyncio.timeout(10):
                    while not cache.redis.health.ok:
                        await asyncio.sleep(0.005)
                numbers = [dice.randrange(50) for _ in range(40)]

                async def load(n: int) -> int:
                    await asyncio.sleep(0)
                    return n

                found = await asyncio.gather(
                    *(cache.cache_wrap(NUMBER.place(str(n)), lambda n=n: load(n)) for n in numbers)  # type: ignore[misc]
                )
                assert found == numbers
                cache.claims.memory.clear()
                if dice.random() < 0.2:
                    await cache.drop("storm")
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await cache.close()
            await cache.redis.close()
            await client.aclose()
            await subscriber.aclose()
    assert cache.claims.figures.total["test:storm:number", "redis"] > 0
