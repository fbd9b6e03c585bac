"""The way out: what it refuses to call, and how it ends calls that go wrong. The server is real, on loopback."""

import socket
import time
from collections.abc import AsyncIterator
from typing import Any

import httpcore2
import pytest

from app.core.egress import Egress, Refused, TimedOut, TooLarge, Unreachable, is_public
from tests.modules.ai.openai_server import OpenAIServer

PRIVATE = [
    "localhost",
    "127.0.0.1",
    "127.1",
    "2130706433",  # 127.0.0.1 as one number
    "0x7f000001",
    "0177.0.0.1",
    "0.0.0.0",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "169.254.169.254",
    "[::ffff:169.254.169.254]",
    "168.63.129.16",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "[fd00:ec2::254]",
    "[fe80::1]",
    "224.0.0.1",
    "255.255.255.255",
    "192.0.0.8",
    "192.88.99.1",
    "[fec0::1]",
    "[3fff::1]",
    "[5f00::1]",
    "[2001:2::1]",
    "[64:ff9b:1::5db8:d822]",
    "[100:0:0:1::1]",
]


@pytest.fixture
async def server() -> AsyncIterator[OpenAIServer]:
    async with OpenAIServer() as running:
        yield running


@pytest.fixture
async def egress() -> AsyncIterator[Egress]:
    way_out = Egress()
    yield way_out
    await way_out.aclose()


@pytest.mark.parametrize("host", PRIVATE)
async def test_a_private_address_is_refused_in_every_spelling(server: OpenAIServer, egress: Egress, host: str) -> None:
    with pytest.raises(Refused, match=r"private address|not valid") as caught:
        await egress.request("GET", f"http://{host}:{server.port}/secret?token=abc", timeout=5)
    assert "abc" not in str(caught.value)
    assert "/secret" not in str(caught.value)
    assert server.connections == 0


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:4700::1111", "64:ff9b::5db8:d822", "::ffff:93.184.216.34"])
def test_a_public_address_is_public(address: str) -> None:
    assert is_public(address)


async def test_the_operators_own_address_may_be_private(server: OpenAIServer, egress: Egress) -> None:
    answer = await egress.request("GET", f"{server.url}/nowhere", timeout=5, private_ok=True)
    assert answer.status == 404
    assert answer.headers["content-type"] == "application/json"
    assert b"no such address" in answer.body


async def test_an_open_connection_does_not_open_the_way_for_a_guarded_call(
    server: OpenAIServer, egress: Egress
) -> None:
    for _ in range(2):
        await egress.request("GET", server.url, timeout=5, private_ok=True)
    assert server.connections == 1, "the connection is kept"
    with pytest.raises(Refused):
        await egress.request("GET", server.url, timeout=5)
    assert len(server.received) == 2


async def test_a_redirect_is_an_answer_and_is_not_followed(server: OpenAIServer, egress: Egress) -> None:
    server.behaviour, server.location = "redirect", "http://169.254.169.254/latest/meta-data"
    answer = await egress.request("GET", server.url, timeout=5, private_ok=True)
    assert (answer.status, answer.headers["location"]) == (302, server.location)
    assert len(server.received) == 1


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch, server: OpenAIServer) -> dict[str, Any]:
    """A name service under the test's control, and sockets that note where they were sent and go to the server.

    `answers` maps a name to the lists of addresses it gives, one list per question.
    """
    seen: dict[str, Any] = {"answers": {}, "asked": [], "opened": [], "dead": set()}
    ask, connect = socket.getaddrinfo, httpcore2.AnyIOBackend.connect_tcp

    def getaddrinfo(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        if host not in seen["answers"]:
            return ask(host, port, *args, **kwargs)
        seen["asked"].append(host)
        addresses = seen["answers"][host].pop(0)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    async def connect_tcp(self: Any, host: str, port: int, *args: Any, **kwargs: Any) -> Any:
        seen["opened"].append(host)
        if host in seen["dead"]:
            raise httpcore2.ConnectError("refused")
        return await connect(self, "127.0.0.1", server.port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(httpcore2.AnyIOBackend, "connect_tcp", connect_tcp)
    return seen


async def test_a_name_that_changes_its_mind_is_asked_once_and_the_checked_address_is_called(
    server: OpenAIServer, egress: Egress, names: dict[str, Any]
) -> None:
    names["answers"]["rebind.example"] = [["93.184.216.34"], ["127.0.0.1"]]
    await egress.request("GET", "http://rebind.example/x", timeout=5)
    assert names["asked"] == ["rebind.example"]
    assert names["opened"] == ["93.184.216.34"]
    assert server.received[0].headers["host"] == "rebind.example"


async def test_one_private_address_among_several_is_enough_to_refuse(egress: Egress, names: dict[str, Any]) -> None:
    names["answers"]["mixed.example"] = [["93.184.216.34", "10.0.0.5"]]
    with pytest.raises(Refused, match=r"mixed\.example"):
        await egress.request("GET", "http://mixed.example/", timeout=5)
    assert names["opened"] == []


async def test_the_next_address_is_tried_when_one_is_dead(egress: Egress, names: dict[str, Any]) -> None:
    names["answers"]["two.example"] = [["93.184.216.34", "93.184.216.35"]]
    names["dead"] = {"93.184.216.34"}
    assert (await egress.request("GET", "http://two.example/", timeout=5)).status == 404
    assert names["opened"] == ["93.184.216.34", "93.184.216.35"]


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org/",
        "file:///etc/passwd",
        "//example.org/",
        "",
        "http://",
        "http://user:hunter2@example.org/",
        "http://example.org:99999/",
        "http://example.org:0/",
        "http://example.org:x/",
    ],
)
async def test_a_malformed_address_or_one_with_a_password_is_refused(egress: Egress, url: str) -> None:
    with pytest.raises(Refused) as caught:
        await egress.request("GET", url, timeout=5)
    assert str(caught.value)
    assert "hunter2" not in str(caught.value)


async def test_the_deadline_covers_the_whole_answer(server: OpenAIServer, egress: Egress) -> None:
    server.behaviour = "drip"
    started = time.monotonic()
    with pytest.raises(TimedOut, match=f"127.0.0.1:{server.port}"):
        await egress.request("GET", server.url, timeout=0.3, private_ok=True)
    assert time.monotonic() - started < 3
    server.behaviour = "ok"
    assert (await egress.request("GET", server.url, timeout=5, private_ok=True)).status == 404


async def test_an_answer_over_the_limit_is_not_read(server: OpenAIServer) -> None:
    small = Egress(max_bytes=1_000)
    server.behaviour = "huge"
    with pytest.raises(TooLarge, match="1,000 bytes"):
        await small.request("GET", server.url, timeout=5, private_ok=True)
    await small.aclose()


@pytest.mark.parametrize("private_ok", [True, False])
async def test_a_name_without_address_is_unreachable(egress: Egress, private_ok: bool) -> None:
    with pytest.raises(Unreachable, match=r"nowhere\.invalid"):
        await egress.request("GET", "http://nowhere.invalid/", timeout=20, private_ok=private_ok)


async def test_a_broken_connection_has_a_message(server: OpenAIServer, egress: Egress) -> None:
    server.behaviour = "hang_up"
    with pytest.raises(Unreachable, match=f"127.0.0.1:{server.port} cannot be reached: .+"):
        await egress.request("GET", server.url, timeout=5, private_ok=True)


async def test_a_server_without_a_trusted_certificate_is_unreachable(server: OpenAIServer, egress: Egress) -> None:
    with pytest.raises(Unreachable):
        await egress.request("GET", server.url.replace("http:", "https:"), timeout=5, private_ok=True)
    assert server.received == []
