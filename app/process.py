"""What the web process, the worker and the command line have in common."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from redis.asyncio import Redis
from sqlalchemy import text

from app import registry
from app.core.database import SYSTEM, Database
from app.core.egress import Egress
from app.core.ids import new_id
from app.core.live import Broker
from app.core.secrets import Cipher, Signer
from app.core.settings import Settings
from app.module import Parts
from app.queues import trash
from app.queues.cancel import repeat_wishes
from app.queues.due import note_due
from app.queues.engine import Engine
from app.queues.job import Kinds
from app.queues.loops import Loop
from app.queues.push import Queues
from app.queues.retention import Retention
from app.queues.runner import Runner
from app.queues.schedules import Scheduler
from app.redis.broker import RedisBroker
from app.redis.cache import Cache
from app.redis.connection import hasty, patient
from app.redis.rate_limit import RateLimiter
from app.redis.service import RedisService

MONTHS_AHEAD = 3
OF_JOBS = "job_retention_months"
DAY_S, RETENTION_LIMIT_S = 86_400.0, 600.0


@dataclass(slots=True)
class Process:
    """The connections of one process, plugged together. Nothing is connected before it is first used."""

    settings: Settings
    database: Database
    redis: RedisService
    cache: Cache
    queue_redis: Redis
    patient_redis: Redis
    engine: Engine
    broker: Broker
    kinds: Kinds
    parts: Parts
    limiter: RateLimiter

    @classmethod
    def open(cls, settings: Settings) -> "Process":
        database = Database(settings)
        queue_redis = hasty(settings.redis_url, settings.queue_prefix)
        patient_redis = patient(settings.redis_url, settings.queue_prefix)
        specs, kinds = registry.specs(), registry.kinds()
        engine = Engine(queue_redis, settings.queue_prefix, specs)
        broker = RedisBroker(queue_redis, patient_redis, settings.key("live", "signals", "all"))
        limiter = RateLimiter(queue_redis, settings.queue_prefix)
        queues = Queues(database, specs, kinds, engine if settings.enable_queue else None)
        schedules = registry.schedules()
        redis = RedisService(settings, None if settings.cache_apart else queue_redis)
        cache = Cache(redis, settings, patient(settings.cache_redis_url) if settings.cache_apart else patient_redis)
        database.provide(broker=broker, queues=queues, schedules=schedules, cache=cache)
        database.provide(
            caches=registry.caches(),
            exportables=registry.exportables(),
            permissions=registry.permissions(),
            owner_scopes=registry.owner_scopes(),
        )
        database.provide(quotas=registry.quotas(), limiter=limiter)
        database.provide(signer=Signer(settings.secret_key), cipher=Cipher(settings.encryption_key))
        egress = Egress(opened=settings.egress_networks)
        months = {
            table: getattr(settings, setting) for table, setting in registry.months().items() if setting != OF_JOBS
        }
        parts = Parts(settings, database, egress, registry.mails(), months)
        database.provide(subscribers=registry.subscribers(), mails=parts.mails, egress=egress, **registry.ports(parts))
        return cls(
            settings,
            database,
            redis,
            cache,
            queue_redis,
            patient_redis,
            engine,
            broker,
            kinds,
            parts,
            limiter,
        )

    def runner(self, worker: UUID | None = None) -> Runner:
        """Runs jobs in this process, with what processors may ask for by type; for a worker of its own, or another."""
        return Runner(self.database, self.kinds, self.engine.specs, worker or new_id(), self.resources())

    def resources(self) -> dict[type, Any]:
        """What processors may ask for, by type."""
        return {Database: self.database, Egress: self.parts.egress, **registry.resources(self.parts)}

    def loops(self) -> list[Loop]:
        """What the leading process does beside the queues."""
        beside = [table for table, setting in registry.months().items() if setting == OF_JOBS]
        retention = Retention(self.database, getattr(self.settings, OF_JOBS), beside)
        loops = [
            Loop("partitions", 3600.0, self._partitions),
            Loop("cancellations", 2.0, lambda: repeat_wishes(self.database)),
            Loop("trash", 60.0, self._trash),
            Loop("retention", DAY_S, retention.run, RETENTION_LIMIT_S),
            Loop("due", 1.0, lambda: note_due(self.database)),
            *registry.loops(self.parts),
        ]
        if self.settings.enable_scheduler:
            scheduler = Scheduler(self.database, tuple(registry.schedules().values()))
            loops.append(Loop("schedules", 1.0, scheduler.enqueue_due))
        return loops

    async def _trash(self) -> None:
        async with self.database.transaction(SYSTEM) as session:
            await trash.empty(session)

    async def _partitions(self) -> None:
        async with self.database.transaction(SYSTEM) as session:
            await session.execute(text("SELECT teknav_make_partitions(:months)"), {"months": MONTHS_AHEAD})

    async def close(self) -> None:
        await self.parts.egress.aclose()
        await self.cache.close()
        await self.redis.close()
        for client in (self.queue_redis, self.patient_redis):
            await client.aclose(close_connection_pool=True)
        await self.database.close()
