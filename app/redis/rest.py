"""Redis over Upstash's REST API, for reads and writes across regions: bounded, and its errors are told apart."""

import asyncio
from collections.abc import Sequence
from typing import Any

from upstash_redis.asyncio import Redis
from upstash_redis.errors import UpstashError

from app.core.errors import Unavailable
from app.core.settings import Settings

REST_S = 3.0
"""One request lasts no longer, in seconds: another region is far, but not that far."""
Command = Sequence[Any]


class RestRefused(Exception):
    """Upstash answered and did not do it: a wrong token, or a command that it cannot run."""


class Rest:
    """One request for one or many commands. Nothing is retried; a write that was cut off may have run."""

    def __init__(self, settings: Settings) -> None:
        self._client: Redis | None = None
        if settings.upstash_redis_rest_url:
            self._client = Redis(
                url=settings.upstash_redis_rest_url,
                token=settings.upstash_redis_rest_token,
                rest_retries=0,  # its own would wait three seconds in between
                allow_telemetry=False,
            )

    async def set(self, key: str, value: Any, ttl_s: int | None) -> None:
        client = self._configured()
        await self._bounded(client.set(key, value, ex=ttl_s))

    async def run(self, commands: Sequence[Command]) -> list[Any]:
        """
        Raises:
            Unavailable; RestRefused.
        """
        client = self._configured()
        if len(commands) == 1:
            return [await self._bounded(client.execute([*commands[0]]))]
        pipeline = client.pipeline()
        for command in commands:
            pipeline.execute([*command])
        return list(await self._bounded(pipeline.exec()))

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()

    def _configured(self) -> Redis:
        if self._client is None:
            raise Unavailable("UPSTASH_REDIS_REST_URL is not set")
        return self._client

    async def _bounded(self, call: Any) -> Any:
        try:
            async with asyncio.timeout(REST_S):
                return await call
        except TimeoutError:
            raise Unavailable(f"Upstash did not answer within {REST_S:g} seconds") from None
        except UpstashError as error:
            raise RestRefused(str(error)) from error
        except AttributeError as error:
            # The client takes a refused pipeline for a list of results.
            raise RestRefused("Upstash refused the pipeline: look at UPSTASH_REDIS_REST_TOKEN") from error
        except Exception as error:
            # Its HTTP library's errors, and those of an answer that is no JSON.
            raise Unavailable(f"Upstash cannot be reached: {type(error).__name__}") from error
