"""Live signals over Redis pub/sub."""

import asyncio
from collections.abc import Callable, Sequence

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.redis.connection import HASTY_S

log = structlog.get_logger()


class RedisBroker:
    """Fills the `live.Broker` port: one channel, every process."""

    def __init__(self, publisher: Redis, subscriber: Redis, channel: str) -> None:
        self._publisher = publisher
        self._subscriber = subscriber
        self._channel = channel

    async def publish(self, messages: Sequence[bytes]) -> None:
        try:
            async with asyncio.timeout(HASTY_S), self._publisher.pipeline(transaction=False) as pipe:
                for message in messages:
                    pipe.publish(self._channel, message)
                await pipe.execute()
        except (RedisError, OSError):
            # Best effort: a viewer that misses a signal sees the change at its next refresh.
            log.debug("live.publish_failed")

    async def listen(self, receive: Callable[[bytes], None], joined: Callable[[], None] | None = None) -> None:
        """As the port says; `joined` is called when a subscription begins: what was said before is lost."""
        while True:
            try:
                async with self._subscriber.pubsub() as channel:
                    await channel.subscribe(self._channel)
                    async for message in channel.listen():
                        if message["type"] == "message":
                            receive(message["data"].encode())
                        elif message["type"] == "subscribe" and joined is not None:
                            joined()
            except (RedisError, OSError, ValueError) as error:
                if isinstance(error, ValueError):
                    # One message that nobody can read is no reason to hear no more.
                    log.warning("live.unreadable_message", error=type(error).__name__)
                await asyncio.sleep(0.5)
