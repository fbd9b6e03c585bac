"""What the web process, the worker and the command line have in common."""

import gc
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
from app.modules.access.service import drop_old_months
from app.modules.ai.client import Provider, provider_for
from app.modules.email.client import Post
from app.modules.media.client import Folder, folder_of
from app.modules.prompts.service import Prompts
from app.modules.seals.service import Sealer, signing_key
from app.modules.tenants.service import room_for_jobs
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
GARBAGE = (10_000, 20, 20)
SEAL_EVERY_S = 5.0
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
    egress: Egress
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
        database.provide(quotas=registry.quotas(), room_for_jobs=room_for_jobs, limiter=limiter)
        database.provide(signer=Signer(settings.secret_key), cipher=Cipher(settings.encryption_key))
        database.provide(seal_key=signing_key(settings.encryption_key))
        egress = Egress(opened=settings.egress_networks)
        database.provide(subscribers=registry.subscribers(), mails=registry.mails(), egress=egress)
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
            egress,
            limiter,
        )

    def runner(self, worker: UUID | None = None) -> Runner:
        """Runs jobs in this process, with what processors may ask for by type; for a worker of its own, or another."""
        resources: dict[type, Any] = {
            Provider: provider_for(self.settings, self.egress, Prompts(self.database)),
            Post: Post(self.settings, registry.mails()),
            Folder: folder_of(self.settings),
            Database: self.database,
            Egress: self.egress,
            Sealer: self.sealer,
        }
        return Runner(self.database, self.kinds, self.engine.specs, worker or new_id(), resources)

    def loops(self) -> list[Loop]:
        """What the leading process does beside the queues."""
        retention = Retention(self.database, self.settings.job_retention_months)
        loops = [
            Loop("partitions", 3600.0, self._partitions),
            Loop("cancellations", 2.0, lambda: repeat_wishes(self.database)),
            Loop("trash", 60.0, self._trash),
            Loop("retention", DAY_S, retention.run, RETENTION_LIMIT_S),
            Loop("seals", SEAL_EVERY_S, self.sealer.seal),
            Loop("log-retention", DAY_S, self._old_logs, RETENTION_LIMIT_S),
            Loop("due", 1.0, lambda: note_due(self.database)),
        ]
        if self.settings.enable_scheduler:
            scheduler = Scheduler(self.database, tuple(registry.schedules().values()))
            loops.append(Loop("schedules", 1.0, scheduler.enqueue_due))
        return loops

    @property
    def sealer(self) -> Sealer:
        return Sealer(self.database, signing_key(self.settings.encryption_key))

    async def _old_logs(self) -> None:
        months = {"audit_log": self.settings.audit_retention_months}
        months |= {"data_access_log": self.settings.access_retention_months}
        months |= {"analytics_event": self.settings.analytics_retention_months}
        await drop_old_months(self.database, months)

    async def _trash(self) -> None:
        async with self.database.transaction(SYSTEM) as session:
            await trash.empty(session)

    async def _partitions(self) -> None:
        async with self.database.transaction(SYSTEM) as session:
            await session.execute(text("SELECT teknav_make_partitions(:months)"), {"months": MONTHS_AHEAD})

    async def close(self) -> None:
        await self.egress.aclose()
        await self.cache.close()
        await self.redis.close()
        for client in (self.queue_redis, self.patient_redis):
            await client.aclose(close_connection_pool=True)
        await self.database.close()


def collect_less() -> None:
    """Programs and settings stay for good, and jobs and requests leave few cycles behind: an eighth of a worker's time
    was garbage collection that found nothing."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE)
