"""What the web process, the worker and the command line have in common."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from app import registry
from app.core.database import Database
from app.core.egress import Egress
from app.core.live import Broker
from app.core.settings import Settings
from app.modules.ai.client import Provider, provider_for
from app.queues.engine import Engine
from app.queues.enqueue import Queues
from app.queues.job import Kinds
from app.redis.broker import RedisBroker
from app.redis.connection import hasty, patient
from app.redis.service import RedisService


def resources(settings: Settings) -> Mapping[type, Any]:
    """What processors may ask for by type; made where jobs run."""
    return {Provider: provider_for(settings, Egress())}


@dataclass(slots=True)
class Process:
    """The connections of one process, plugged together. Nothing is connected before it is first used."""

    settings: Settings
    database: Database
    redis: RedisService
    queue_redis: Redis
    patient_redis: Redis
    engine: Engine
    broker: Broker
    kinds: Kinds

    @classmethod
    def open(cls, settings: Settings) -> "Process":
        database = Database(settings)
        queue_redis, patient_redis = hasty(settings.redis_url), patient(settings.redis_url)
        specs = registry.specs()
        engine = Engine(queue_redis, settings.queue_prefix, specs)
        broker = RedisBroker(queue_redis, patient_redis, settings.key("live", "signals", "all"))
        kinds = registry.kinds()
        queues = Queues(database, specs, kinds, engine if settings.enable_queue else None)
        database.provide(broker=broker, queues=queues, permissions=registry.permissions())
        return cls(settings, database, RedisService(settings), queue_redis, patient_redis, engine, broker, kinds)

    async def close(self) -> None:
        await self.redis.close()
        for client in (self.queue_redis, self.patient_redis):
            await client.aclose(close_connection_pool=True)
        await self.database.close()
