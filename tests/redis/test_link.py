"""The coalescing link, through a proxy that cuts, freezes and speaks TLS."""

import asyncio
import random
import shutil
import ssl
import subprocess
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from litestar import Litestar
from redis import exceptions
from redis.asyncio import ConnectionPool

from app.core.settings import Settings
from app.redis.connection import HASTY_S, hasty, patient
from app.redis.link import Link
from tests.redis.proxy import Proxy

Open = Callable[..., Link]


@pytest.fixture
async def open_link(app: Litestar) -> AsyncGenerator[Open, None]:
    """Makes links that are closed after the test."""
    links: list[Link] = []

    def make(url: str, kind: Callable[[str], Link] = patient) -> Link:
        links.append(kind(url))
        return links[-1]

    yield make
    for link in links:
        await link.aclose()


@pytest.fixture
async def link(open_link: Open, settings: Settings) -> Link:
    return open_link(settings.redis_url)


@pytest.fixture
def behind(settings: Settings) -> Callable[..., tuple[Proxy, Callable[[int], str]]]:
    """A proxy in front of the server, and the address through it."""
    parts = urlsplit(settings.redis_url)
    assert parts.hostname
    assert parts.port

    def make(scheme: str = "redis", **options: int) -> tuple[Proxy, Callable[[int], str]]:
        proxy = Proxy(str(parts.hostname), int(parts.port or 0), **options)
        return proxy, lambda port: f"{scheme}://:{parts.password}@127.0.0.1:{port}/0"

    return make


Behind = Callable[..., tuple[Proxy, Callable[[int], str]]]


@pytest.mark.trap(41)
async def test_every_caller_gets_its_own_reply_through_a_thousand_cut_connections(
    behind: Behind, open_link: Open
) -> None:
    proxy, url = behind(cut_within=400, seed=7)
    dice = random.Random(7)
    wrong: list[tuple[object, object]] = []
    answered = 0
    numbers = iter(range(1_000_000))

    async def ask(link: Link, n: int) -> None:
        nonlocal answered
        text = f"m{n}-{'x' * dice.choice((1, 10, 200))}"
        kind = n % 4
        got: object
        try:
            async with asyncio.timeout(0.001 if n % 50 == 7 else None):
                if kind == 0:
                    got = await link.echo(text)
                elif kind == 1:
                    got = await link.eval("return {KEYS[1], ARGV[1]}", 1, "k", text)
                elif kind == 2:
                    async with link.pipeline(transaction=bool(n % 8 == 2)) as pipe:
                        pipe.echo(text)
                        pipe.eval("return ARGV[1]", 0, text)
                        got = await pipe.execute()
                else:
                    got = await link.eval("return redis.error_reply('ERR ' .. ARGV[1])", 0, text)
        except exceptions.ResponseError as error:
            got = str(error).removeprefix("ERR ")
        except (exceptions.ConnectionError, TimeoutError):
            return
        answered += 1
        expected = (text, ["k", text], [text, text], text)[kind]
        if got != expected:
            wrong.append((expected, got))

    async def caller(link: Link) -> None:
        while proxy.cuts < 1000:
            await ask(link, next(numbers))

    async with proxy.listening() as port:
        link = open_link(url(port), lambda url: Link(patient(url).connection_pool, bound_s=None, reconnect_s=0))
        async with asyncio.timeout(60):
            await asyncio.gather(*(caller(link) for _ in range(8)))
    assert wrong == []
    assert proxy.cuts >= 1000
    assert answered > 1000


@pytest.mark.trap(24)
async def test_the_commands_of_one_tick_leave_in_few_writes_over_one_socket(behind: Behind, open_link: Open) -> None:
    proxy, url = behind()
    async with proxy.listening() as port:
        link = open_link(url(port))
        await link.ping()
        proxy.writes = 0
        answers = await asyncio.gather(*(link.echo(str(n)) for n in range(160)))
        assert answers == [str(n) for n in range(160)]
        assert proxy.connections == 1
        assert proxy.writes <= 40, "160 commands and 160 replies"


async def test_nobody_waits_for_a_frozen_server_and_it_serves_again_once_it_thaws(
    behind: Behind, open_link: Open
) -> None:
    proxy, url = behind()
    async with proxy.listening() as port:
        link = open_link(url(port), hasty)
        await link.ping()
        proxy.thawed.clear()

        async def held_up_s() -> float:
            began = time.perf_counter()
            with pytest.raises((exceptions.TimeoutError, exceptions.ConnectionError)):
                await link.ping()
            return time.perf_counter() - began

        first = await held_up_s()
        assert HASTY_S * 0.9 <= first < HASTY_S + 5
        # Whoever comes later does not queue up behind the first.
        began = time.perf_counter()
        for _ in range(50):
            await held_up_s()
        assert time.perf_counter() - began < HASTY_S * 25
        proxy.thawed.set()
        async with asyncio.timeout(5):
            while True:
                with suppress(exceptions.ConnectionError, exceptions.TimeoutError):
                    assert await link.echo("awake") == "awake"
                    break
                await asyncio.sleep(0.01)


async def test_a_process_that_stood_still_does_not_blame_redis(open_link: Open, settings: Settings) -> None:
    link = open_link(settings.redis_url, hasty)
    await link.ping()
    waiting = [asyncio.create_task(link.echo("one")), asyncio.create_task(link.echo("two"))]
    together = link.pipeline(transaction=False)
    together.echo("three")
    waiting.append(asyncio.create_task(together.execute()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)  # all of them are on their way
    time.sleep(HASTY_S * 2)  # noqa: ASYNC251 - the loop is held up by the process's own work
    assert await link.echo("four") == "four", "whoever comes first after it finds the line alive"
    assert await asyncio.gather(*waiting) == ["one", "two", ["three"]]
    assert link.traffic.timeouts == 0


async def test_a_patient_caller_waits_for_redis_and_a_hasty_one_fails(open_link: Open, behind: Behind) -> None:
    proxy, url = behind()
    async with proxy.listening() as port:
        pass
    impatient = open_link(url(port), hasty)
    with pytest.raises(exceptions.ConnectionError):
        await impatient.ping()
    waiting = asyncio.create_task(open_link(url(port)).echo("late"))
    await asyncio.wait([waiting], timeout=0.3)
    assert not waiting.done()
    server = await asyncio.start_server(proxy._accept, "127.0.0.1", port)
    async with asyncio.timeout(5):
        assert await waiting == "late"
    server.close()


async def test_the_longer_redis_is_away_the_seldomer_it_is_tried_and_no_two_processes_keep_step(
    open_link: Open, behind: Behind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.redis.link.MOST_PAUSE_S", 0.16)
    tried: list[float] = []
    connect = Link._connect

    async def noted(self: Link) -> None:
        tried.append(asyncio.get_running_loop().time())
        await connect(self)

    monkeypatch.setattr(Link, "_connect", noted)
    proxy, url = behind()
    async with proxy.listening() as port:
        pass
    link = open_link(url(port), lambda url: Link(patient(url).connection_pool, bound_s=None, reconnect_s=0.01))
    waiting = asyncio.create_task(link.echo("late"))
    pauses = set[float]()
    async with asyncio.timeout(20):
        while len(tried) < 10:
            await asyncio.sleep(0.005)
            pauses.add(link._pause_s)
    gaps = [after - before for before, after in pairwise(tried)]
    least = [min(0.01 * 2**failures, 0.16) / 2 for failures in range(len(gaps))]
    assert all(gap >= wanted * 0.99 for gap, wanted in zip(gaps, least, strict=True)), gaps
    assert len({pause for pause in pauses if pause >= 0.08}) > 2, "always the same"
    assert max(pauses) <= 0.16
    server = await asyncio.start_server(proxy._accept, "127.0.0.1", port)
    async with asyncio.timeout(10):
        assert await waiting == "late"
    assert link._pause_s <= 0.01
    server.close()


@pytest.mark.trap(41)
async def test_a_caller_that_leaves_does_not_get_the_next_ones_reply(link: Link) -> None:
    await link.ping()
    leaving = asyncio.create_task(link.eval("local t = 0 for i = 1, 3e6 do t = t + i end return 'slow'", 0))
    await asyncio.sleep(0)
    leaving.cancel()
    assert await link.echo("mine") == "mine"
    assert leaving.cancelled()


async def test_a_transaction_is_one_piece_and_tells_what_was_refused(link: Link, settings: Settings) -> None:
    key = settings.key("test", "link", "multi")

    async def add() -> list[int]:
        async with link.pipeline(transaction=True) as pipe:
            pipe.incr(key)
            pipe.incr(key)
            return await pipe.execute()

    pairs = await asyncio.gather(*(add() for _ in range(50)))
    assert all(second == first + 1 for first, second in pairs)
    async with link.pipeline(transaction=True) as pipe:
        pipe.set(key, "text")
        pipe.incr(key)
        pipe.hgetall(key + ":none")
        told = await pipe.execute(raise_on_error=False)
    assert told[0] is True
    assert isinstance(told[1], exceptions.ResponseError)
    assert told[2] == {}
    async with link.pipeline(transaction=True) as pipe:
        pipe.set(key, "kept")
        pipe.execute_command("NOSUCHCOMMAND")
        with pytest.raises(exceptions.ResponseError, match="unknown command"):
            await pipe.execute()
    assert await link.get(key) == "text"
    async with link.pipeline(transaction=True) as pipe:
        await pipe.watch(key)
        await link.set(key, "changed")
        pipe.multi()
        pipe.set(key, "lost")
        with pytest.raises(exceptions.WatchError):
            await pipe.execute()


async def test_a_script_runs_after_redis_forgot_it_also_within_a_transaction(link: Link, settings: Settings) -> None:
    script = link.register_script("return redis.call('INCRBY', KEYS[1], ARGV[1])")
    key = settings.key("test", "link", "script")
    assert await script(keys=[key], args=[1]) == 1
    await link.script_flush()
    assert await script(keys=[key], args=[1]) == 2
    await link.script_flush()
    async with link.pipeline(transaction=True) as pipe:
        await script(keys=[key], args=[2], client=pipe)
        pipe.get(key)
        await script(keys=[key], args=[3], client=pipe)
        assert await pipe.execute() == [4, "4", 7]


async def test_a_blocking_command_does_not_hold_the_others_up(link: Link, settings: Settings) -> None:
    key = settings.key("test", "link", "blocked")
    blocked = asyncio.create_task(link.bzpopmin([key], 5))
    async with asyncio.timeout(2):
        assert await link.ping()
        assert not blocked.done()
        await link.zadd(key, {"member": 3})
        assert list(await blocked) == [key, "member", 3.0]


async def test_it_greets_with_user_password_and_database(link: Link, open_link: Open, settings: Settings) -> None:
    parts = urlsplit(settings.redis_url)
    await link.acl_setuser("reader", enabled=True, passwords=["+s3cret word"], keys=["*"], commands=["+get", "+select"])
    try:
        await link.execute_command("SET", settings.key("test", "link", "db"), "zero")
        async with link.pipeline(transaction=False) as pipe:
            assert len(pipe) == 0
            assert await pipe.execute() == []
        user = open_link(f"redis://reader:s3cret%20word@{parts.hostname}:{parts.port}/3")
        assert await user.get(settings.key("test", "link", "db")) is None
        with pytest.raises(exceptions.NoPermissionError):
            await user.set("k", "v")
        stranger = open_link(f"redis://reader:wrong@{parts.hostname}:{parts.port}/0")
        with pytest.raises(exceptions.AuthenticationError):
            await stranger.get("k")
    finally:
        await link.acl_deluser("reader")


async def test_it_speaks_tls_and_checks_who_answers(behind: Behind, open_link: Open, tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl makes the certificate of this test")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    made = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", *subject]
    await asyncio.to_thread(
        subprocess.run, [*made, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True
    )
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    proxy, url = behind("rediss")
    async with proxy.listening(tls) as port:
        assert await open_link(f"{url(port)}?ssl_ca_certs={certificate}").echo("secret") == "secret"
        with pytest.raises(exceptions.ConnectionError, match="certificate"):
            await open_link(url(port), lambda url: Link(patient(url).connection_pool, bound_s=20)).ping()


async def test_a_value_that_cannot_be_sent_is_refused_before_it_is(link: Link) -> None:
    with pytest.raises(exceptions.DataError):
        await link.set("k", None)  # type: ignore[arg-type]
    assert await link.ping()


async def test_a_closed_link_fails_its_callers(settings: Settings) -> None:
    pool = ConnectionPool.from_url(settings.redis_url, decode_responses=True, protocol=2)
    link = Link(pool, bound_s=None)
    await link.ping()
    waiting = asyncio.create_task(link.eval("local t = 0 for i = 1, 3e6 do t = t + i end return 'slow'", 0))
    await asyncio.sleep(0)
    await link.aclose()
    with pytest.raises(exceptions.ConnectionError):
        await waiting
