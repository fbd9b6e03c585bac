"""The coalescing client: redis.asyncio's commands over one socket, written together."""

import asyncio
import random
import ssl
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import hiredis
from redis import exceptions
from redis.asyncio import ConnectionPool, Redis, SSLConnection
from redis.asyncio.client import Pipeline
from redis.client import EMPTY_RESPONSE, NEVER_DECODE

from app.redis.home import Home, Place
from app.redis.wire import Traffic, Wire

RECONNECT_S, MOST_PAUSE_S = 0.2, 2.0
CONNECT_S = 5.0
DROP_SILENT_S = 5.0
HOPS = 5
LOOK_AGAIN_S = (0.025, 0.0, 0.0)
"""A late reply is looked for again after so long each: this process may have stood still, or all of the machine. The
last two are turns of the loop, because uvloop sees what is due before what has arrived."""
# These hold their socket, or change what it means: they take one of the pool's.
BLOCKING = ("BLPOP", "BRPOP", "BLMOVE", "BRPOPLPUSH", "BLMPOP", "BZPOPMIN", "BZPOPMAX", "BZMPOP", "XREAD", "XREADGROUP")
STATEFUL = ("WAIT", "WAITAOF", "MONITOR", "SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "MULTI", "EXEC", "DISCARD", "WATCH")
OWN_SOCKET = frozenset((*BLOCKING, *STATEFUL, "UNWATCH", "SELECT", "AUTH", "HELLO", "RESET", "QUIT"))
_OWN_SOCKET_OPTIONS = frozenset((NEVER_DECODE, EMPTY_RESPONSE))
_MULTI, _EXEC = hiredis.pack_command(("MULTI",)), hiredis.pack_command(("EXEC",))


class Link(Redis):
    """A `redis.asyncio.Redis` whose commands share one socket; what blocks takes a socket of `pool`.

    Nothing is retried. A command whose reply got lost raises ConnectionError and may have run. One that a Redis Cluster
    refused because `prefix` has moved to another node has not run: it goes there, and so does all that follows.

    Args:
        bound_s: a caller waits so long at most, for the connection and the reply together, and not at all while Redis
            has been silent for longer than that. None: until there is a connection and the reply comes.
        reconnect_s: one attempt to connect in so many seconds, whoever asks; after failures twice as many each time, up
            to MOST_PAUSE_S. Each pause is up to a half shorter, so that processes do not come all at once.
        prefix: the hash tag that all keys have in common; None: the link stays with the node of the pool's address.
    """

    def __init__(
        self,
        pool: ConnectionPool,
        *,
        bound_s: float | None,
        reconnect_s: float = RECONNECT_S,
        prefix: str | None = None,
    ) -> None:
        super().__init__(connection_pool=pool)
        self.traffic = Traffic()
        self._bound_s = bound_s
        self._reconnect_s = self._pause_s = reconnect_s
        self._failures = 0
        self._home = Home(prefix, pool) if prefix and "path" not in pool.connection_kwargs else None
        self._wire: Wire | None = None
        self._wire_at: Place | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._connect_began = float("-inf")

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """
        Raises:
            redis.exceptions.RedisError: ConnectionError and TimeoutError when Redis is away or silent, else what
                Redis said.
        """
        name = args[0]
        if name in OWN_SOCKET or (options and not _OWN_SOCKET_OPTIONS.isdisjoint(options)):
            return await self._on_own_socket(*args, **options)
        packed = _pack(args)
        if self._bound_s is None:
            wire = self._wire
            if wire is None or wire.closed is not None:
                wire = await self._connected()
            reply = await wire.send(packed)
        else:
            deadline = asyncio.get_running_loop().time() + self._bound_s
            wire = await self._talking(deadline)
            (reply,) = await self._in_time(wire, [wire.send(packed)], deadline)
        if isinstance(reply, Exception):
            if await self._follow(reply):
                return await self.execute_command(*args, **options)
            raise reply
        return self.shape(name, reply, options)

    async def _on_own_socket(self, *args: Any, **options: Any) -> Any:
        try:
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        except exceptions.MovedError as error:
            if not await self._follow(error):
                raise
            return await self._on_own_socket(*args, **options)

    async def run_together(self, packed: Sequence[bytes]) -> list[Any]:
        """The replies to commands that are sent as one piece; errors that Redis told are among them."""
        data = b"".join(packed)
        if self._bound_s is None:
            futures = (await self._connected()).send_together(data, len(packed))
            replies = [await future for future in futures]
        else:
            deadline = asyncio.get_running_loop().time() + self._bound_s
            wire = await self._talking(deadline)
            replies = await self._in_time(wire, wire.send_together(data, len(packed)), deadline)
        for reply in replies:
            if isinstance(reply, (exceptions.ConnectionError, exceptions.TimeoutError)):
                raise reply
            if isinstance(reply, exceptions.MovedError) and await self._follow(reply) and _refused(replies):
                return await self.run_together(packed)
        return replies

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> "Batch":
        return Batch(self, transaction)

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        """Cut the link and the pool's sockets. The next command would connect again."""
        if self._connecting is not None:
            self._connecting.cancel()
        if self._wire is not None:
            self._wire.close("the link was closed")
        await super().aclose(close_connection_pool=True)

    def shape(self, name: Any, reply: Any, options: Mapping[str, Any]) -> Any:
        """The reply as redis.asyncio's method for this command returns it."""
        callback = self.response_callbacks.get(name)
        if callback is None:
            return reply
        return callback(reply, **{key: value for key, value in options.items() if key != "keys"})

    async def _follow(self, reply: Exception) -> bool:
        """Whether Redis refused because the keys are on another node. The next command goes there."""
        home, wire = self._home, self._wire
        if home is None or not home.told(reply, self._wire_at or home.place):
            return False
        if wire is not None and self._wire_at != home.place:
            self._wire = None
            wire.retire()
        await self.connection_pool.disconnect(inuse_connections=False)
        return True

    async def _talking(self, deadline: float) -> Wire:
        """The wire, unless Redis has owed an answer for too long: nobody queues up behind a frozen server."""
        wire = self._wire
        if wire is None or wire.closed is not None:
            try:
                async with asyncio.timeout_at(deadline):
                    return await self._connected()
            except TimeoutError as error:
                self.traffic.timeouts += 1
                raise exceptions.TimeoutError("no connection to Redis in time") from error
        if wire.silent:
            silent_s = wire.silent_s()
            if silent_s > DROP_SILENT_S:
                wire.close(f"Redis said nothing for {silent_s:.1f} s")
            raise exceptions.ConnectionError("Redis is silent")
        return wire

    async def _in_time(self, wire: Wire, futures: list[asyncio.Future[Any]], deadline: float) -> list[Any]:
        """The replies; a TimeoutError in the place of each that did not come."""
        late = asyncio.get_running_loop().call_at(
            deadline - sum(LOOK_AGAIN_S), self._look_again, wire, futures, wire.heard_at
        )
        try:
            return [await future for future in futures]
        finally:
            late.cancel()

    def _look_again(
        self,
        wire: Wire,
        futures: list[asyncio.Future[Any]],
        heard_at: float,
        pauses_s: tuple[float, ...] = LOOK_AGAIN_S,
    ) -> None:
        missing = [future for future in futures if not future.done()]
        if missing and pauses_s:
            loop = asyncio.get_running_loop()
            loop.call_later(pauses_s[0], self._look_again, wire, missing, heard_at, pauses_s[1:])
        elif missing:
            self.traffic.timeouts += 1
            wire.silent = wire.heard_at == heard_at
            for future in missing:
                future.set_result(exceptions.TimeoutError("no reply from Redis in time; what was sent may still run"))

    async def _connected(self) -> Wire:
        """A live wire. All callers share one attempt; with a bound, a caller fails at once between attempts."""
        loop = asyncio.get_running_loop()
        while self._wire is None or self._wire.closed is not None:
            since_s = loop.time() - self._connect_began
            if self._connecting is None or self._connecting.done():
                if since_s < self._pause_s:
                    if self._bound_s is not None:
                        raise exceptions.ConnectionError("Redis is down")
                    await asyncio.sleep(self._pause_s - since_s)
                    continue
                self._connect_began = loop.time()
                self._connecting = asyncio.create_task(self._connect())
                self._connecting.add_done_callback(self._tried)
            elif self._bound_s is not None and since_s > self._bound_s:
                raise exceptions.ConnectionError("Redis accepts no connection")
            try:
                await asyncio.shield(self._connecting)
            except asyncio.CancelledError:
                if not self._connecting.cancelled():
                    raise
                raise exceptions.ConnectionError("the link was closed") from None
            except (OSError, TimeoutError, exceptions.ConnectionError) as error:
                if isinstance(error, exceptions.AuthenticationError):
                    raise  # waiting does not mend a password
                if self._bound_s is not None:
                    raise exceptions.ConnectionError(
                        f"no connection to Redis: {error or type(error).__name__}"
                    ) from error
        return self._wire

    def _tried(self, attempt: asyncio.Task[None]) -> None:
        failed = attempt.cancelled() or attempt.exception() is not None
        self._failures = min(self._failures + 1, 10) if failed else 0
        longest_s = min(self._reconnect_s * 2 ** max(self._failures - 1, 0), MOST_PAUSE_S)
        self._pause_s = longest_s * random.uniform(0.5, 1)  # noqa: S311 - no secret

    async def _connect(self) -> None:
        for _ in range(HOPS):
            try:
                async with asyncio.timeout(CONNECT_S):
                    self._wire = await self._open()
            except (OSError, TimeoutError, exceptions.ConnectionError):
                if self._home is not None:
                    self._home.lost()
                raise
            if self._wire is not None:
                return
        raise exceptions.ConnectionError("the nodes of Redis disagree on where the keys are")

    async def _open(self) -> Wire | None:
        """A new wire, after the greeting; None where the keys are on another node, which is known now."""
        settings, home = self.connection_pool.connection_kwargs, self._home
        place = settings.get("host", "localhost"), settings.get("port", 6379)
        loop = asyncio.get_running_loop()
        if "path" in settings:
            _, wire = await loop.create_unix_connection(self._new_wire, settings["path"])
        else:
            _, wire = await loop.create_connection(self._new_wire, *place, ssl=self._tls())
        try:
            for command in _greeting(settings):
                reply = await wire.send(_pack(command))
                if isinstance(reply, Exception):
                    raise reply
            if home is not None and home.told(await wire.send(_pack(("EXISTS", home.key))), place):
                wire.close("the keys are on another node")
                return None
        except BaseException:
            wire.close("the greeting failed")
            raise
        self._wire_at = place
        return wire

    def _new_wire(self) -> Wire:
        self.traffic.connections += 1
        return Wire(self.traffic)

    def _tls(self) -> ssl.SSLContext | None:
        connection = self.connection_pool.make_connection()  # type: ignore[no-untyped-call]
        return connection.ssl_context.get() if isinstance(connection, SSLConnection) else None


class Batch(Pipeline):
    """A pipeline that leaves over the link as one piece; in a transaction, MULTI and EXEC are part of it."""

    def __init__(self, link: Link, transaction: bool) -> None:
        super().__init__(link.connection_pool, link.response_callbacks, transaction, None)
        self._link = link

    async def execute(self, raise_on_error: bool = True) -> list[Any]:
        if self.watching:
            return list(await super().execute(raise_on_error))
        commands, scripts = self.command_stack, list(self.scripts)
        try:
            if not commands:
                return []
            if scripts:
                await self._load(scripts)
            packed = [_pack(args) for args, _ in commands]
            if self.is_transaction:
                replies = _executed(await self._link.run_together([_MULTI, *packed, _EXEC]))
            else:
                replies = await self._link.run_together(packed)
            if raise_on_error:
                self.raise_first_error(commands, replies)
            return [
                reply if isinstance(reply, Exception) else self._link.shape(args[0], reply, options)
                for (args, options), reply in zip(commands, replies, strict=True)
            ]
        finally:
            await self.reset()  # type: ignore[no-untyped-call]

    async def _load(self, scripts: Iterable[Any]) -> None:
        """A script that Redis lacks would fail alone, in the middle of the others."""
        known = await self._link.script_exists(*(script.sha for script in scripts))
        for script, there in zip(scripts, known, strict=True):
            if not there:
                script.sha = await self._link.script_load(script.script)


def _refused(replies: list[Any]) -> bool:
    """Whether none of the commands has run, for some keys are on another node."""
    return isinstance(replies[-1], exceptions.ExecAbortError) or all(
        isinstance(reply, exceptions.MovedError) for reply in replies
    )


def _executed(replies: list[Any]) -> list[Any]:
    """What EXEC answered; replies are those to MULTI, to each command as it was queued, and to EXEC."""
    *queued, answer = replies
    if isinstance(answer, list):
        return answer
    refused = next((reply for reply in queued if isinstance(reply, Exception)), None)
    if refused is not None:
        raise refused
    raise answer if isinstance(answer, Exception) else exceptions.ExecAbortError("EXEC gave no list of replies")


def _pack(args: tuple[Any, ...]) -> bytes:
    name = args[0]
    if " " in name:
        args = (*name.split(), *args[1:])
    try:
        packed: bytes = hiredis.pack_command(args)
    except TypeError as error:
        raise exceptions.DataError(f"{name}: only bytes, texts and numbers can be sent") from error
    return packed


def _greeting(settings: dict[str, Any]) -> Iterable[tuple[Any, ...]]:
    if settings.get("password"):
        user = settings.get("username")
        yield ("AUTH", user, settings["password"]) if user else ("AUTH", settings["password"])
    if settings.get("db"):
        yield ("SELECT", settings["db"])
