"""The only way out over HTTP.

Every call has one deadline for all of it and a limit on the answer's size, follows no redirect, uses no proxy
and keeps no cookie. Unless the caller says `private_ok`, a host that leads to anything but public addresses, or the
networks that the operator opened (EGRESS_NETWORKS), is refused. The check stands where the socket is opened, and the
socket goes to the very address that was checked, so a name that answers differently the second time gains nothing.
"""

import asyncio
import socket
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

import httpcore2
import httpx2
import msgspec
from structlog.contextvars import get_contextvars

from app import __version__

NAT64 = IPv6Network("64:ff9b::/96")
CLOUD_METADATA = IPv4Address("168.63.129.16")  # public in form, but answers inside a cloud only
# Of IANA's registries of special-purpose addresses, what the tables of some Python that we run on call public.
SPECIAL = [
    ip_network(network)
    for network in (
        *("192.0.0.0/24", "192.88.99.0/24"),
        *("64:ff9b:1::/48", "100:0:0:1::/64", "2001::/23", "3fff::/20", "5f00::/16", "fec0::/10"),
    )
]


class EgressError(Exception):
    """A call that brought no answer. The message names the host; never a path, a query or a credential."""


class Refused(EgressError):
    """Not called: the address is malformed or not allowed, or a header cannot be sent."""


class Unreachable(EgressError):
    """No such name, nobody listens, no trusted certificate, or the connection broke."""


class TimedOut(EgressError):
    """The whole answer was not there in time."""


class TooLarge(EgressError):
    """The answer is larger than we read."""


class Response(msgspec.Struct, frozen=True):
    """An answer of any status, redirects too. Header names are in lower case, the body is as it was sent."""

    status: int
    headers: dict[str, str]
    body: bytes


def is_public(address: str) -> bool:
    """Whether this IP address belongs to the open internet, also where an IPv6 form carries an IPv4 address."""
    ip = ip_address(address)
    if isinstance(ip, IPv6Address):
        translated = IPv4Address(int(ip) & 0xFFFFFFFF) if ip in NAT64 else None
        if inner := translated or ip.ipv4_mapped or ip.sixtofour or (ip.teredo and ip.teredo[1]):
            return is_public(str(inner))
    if ip == CLOUD_METADATA or any(ip in network for network in SPECIAL):
        return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


class _PublicOnly(httpcore2.AnyIOBackend):
    def __init__(self, opened: Sequence[IPv4Network | IPv6Network]) -> None:
        self._opened = opened

    async def connect_tcp(self, host: str, port: int, *args: Any, **kwargs: Any) -> httpcore2.AsyncNetworkStream:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpcore2.ConnectError(str(error)) from error
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        if not all(is_public(address) or self._is_open(address) for address in addresses):
            raise Refused(f"{host} is not called: it leads to a private address")
        failure = httpcore2.ConnectError("the name has no address")
        for address in addresses:
            try:
                return await super().connect_tcp(address, port, *args, **kwargs)
            except httpcore2.ConnectError as error:
                failure = error
        raise failure

    def _is_open(self, address: str) -> bool:
        return any(ip_address(address) in network for network in self._opened)


class Egress:
    """HTTP for one process: make one, share it, `aclose` it at the end. Bodies over `max_bytes` are not read.

    Args:
        opened: networks of the operator's own that guarded calls may reach too, `10.1.0.0/16`.
    """

    def __init__(self, *, max_bytes: int = 4 * 1024 * 1024, opened: Sequence[str] = ()) -> None:
        self._max_bytes = max_bytes
        self._opened = [ip_network(network, strict=False) for network in opened]
        # Two pools: a connection opened to an operator's own address must never serve a guarded call.
        self._pools: dict[bool, httpcore2.AsyncConnectionPool] = {}

    async def request(
        self,
        method: str,
        url: str,
        *,
        json: Any = None,
        headers: Mapping[str, str] | None = None,
        timeout: float,  # noqa: ASYNC109 (one deadline for all of it is the point)
        private_ok: bool = False,
        cut_at: int | None = None,
    ) -> Response:
        """Call and read the whole answer, in at most `timeout` seconds from here.

        Args:
            cut_at: read no more than so many bytes of the body and leave the rest, instead of refusing a large one.

        Raises:
            EgressError: one of its four kinds.
        """
        target, host = _parse(url)
        sent = {"user-agent": f"TekNav/{__version__}", "accept-encoding": "identity"}
        if request_id := get_contextvars().get("request_id"):
            sent["x-request-id"] = str(request_id)
        content = None if json is None else msgspec.json.encode(json)
        if content is not None:
            sent["content-type"] = "application/json"
        sent |= {name.lower(): value for name, value in (headers or {}).items()}
        raw = [(name.encode(), value.encode()) for name, value in sent.items()]
        try:
            async with (
                asyncio.timeout(timeout),
                self._pool(private_ok).stream(method, target, headers=raw, content=content) as answer,
            ):
                names = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in answer.headers}
                return Response(answer.status, names, await self._read(answer, host, cut_at))
        except (TimeoutError, httpcore2.TimeoutException):
            raise TimedOut(f"{host} did not answer within {timeout:g} s") from None
        except httpcore2.LocalProtocolError:  # its text quotes the header, which may be a credential
            raise Refused(f"{host} is not called: a header of the request cannot be sent") from None
        except (httpcore2.NetworkError, httpcore2.ProtocolError) as error:
            raise Unreachable(f"{host} cannot be reached: {str(error) or 'the connection broke'}") from error

    def opens(self, url: str) -> bool:
        """Whether the host stands there as an address within the networks that the operator opened; a name never does.

        Raises:
            Refused: the address is malformed.
        """
        host = _parse(url)[0].host.decode("ascii").strip("[]")
        try:
            return any(ip_address(host) in network for network in self._opened)
        except ValueError:
            return False

    async def aclose(self) -> None:
        """Close every connection."""
        while self._pools:
            await self._pools.popitem()[1].aclose()

    async def _read(self, answer: httpcore2.Response, host: str, cut_at: int | None) -> bytes:
        body = bytearray()
        async for part in answer.aiter_stream():
            body += part
            if cut_at is not None and len(body) >= cut_at:
                return bytes(body[:cut_at])
            if len(body) > self._max_bytes:
                raise TooLarge(f"{host} sent more than {self._max_bytes:,} bytes")
        return bytes(body)

    def _pool(self, private_ok: bool) -> httpcore2.AsyncConnectionPool:
        if private_ok not in self._pools:
            self._pools[private_ok] = httpcore2.AsyncConnectionPool(
                ssl_context=httpx2.create_ssl_context(),
                network_backend=httpcore2.AnyIOBackend() if private_ok else _PublicOnly(self._opened),
                max_connections=100,
                keepalive_expiry=15.0,
            )
        return self._pools[private_ok]


def _parse(url: str) -> tuple[httpcore2.URL, str]:
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL:
        raise Refused("not called: the address is not valid") from None
    port_ok = parsed.port is None or 0 < parsed.port < 65536
    if parsed.scheme not in ("http", "https") or not parsed.host or parsed.userinfo or not port_ok:
        raise Refused("not called: an address is http:// or https:// and a host, without a password in it")
    path = httpcore2.URL(scheme=parsed.raw_scheme, host=parsed.raw_host, port=parsed.port, target=parsed.raw_path)
    return path, parsed.netloc.decode("ascii")
