"""Is everything there, and is it safe? Asked at boot, by `/health/ready` and by `teknav doctor`."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec
import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import select, text
from sqlalchemy.exc import SQLAlchemyError

from app import __version__
from app.core.database import SYSTEM, Database, Plane
from app.core.egress import Egress, EgressError, TooLarge
from app.core.errors import Unavailable
from app.core.settings import Settings, SettingsError
from app.migrate import head
from app.queues import lag
from app.queues.models import WorkerRow
from app.queues.relay import ALIVE
from app.redis.insight import look, warnings
from app.redis.rest import RestRefused
from app.redis.service import RedisService

log = structlog.get_logger()
REDIS_AT_LEAST = (7, 0)
POSTGRESQL_AT_LEAST = 150_000
REACH_S = 5.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `remedy` says what to do about it, where it is not `ok`."""

    part: str
    level: Literal["ok", "warning", "error"]
    message: str
    remedy: str = ""
    latency_ms: float | None = None


async def _timed(part: str, ask: Callable[[], Awaitable[Finding]], remedy: str) -> Finding:
    started = time.perf_counter()
    try:
        found = await ask()
    except (SQLAlchemyError, RedisError, OSError) as error:
        return Finding(part, "error", _message(error), remedy)
    return Finding(
        found.part, found.level, found.message, found.remedy, round((time.perf_counter() - started) * 1000, 1)
    )


async def database(db: Database) -> Finding:
    async def ask() -> Finding:
        await db.ping()
        async with db.engine(Plane.PLATFORM).connect() as connection:
            number = int((await connection.execute(text("SHOW server_version_num"))).scalar_one())
        if number < POSTGRESQL_AT_LEAST:
            return Finding(
                "database", "error", f"PostgreSQL {number // 10000} is too old", "Use PostgreSQL 15 or later"
            )
        return Finding("database", "ok", f"PostgreSQL {number // 10000}")

    return await _timed("database", ask, "Check DATABASE_URL and PLATFORM_DATABASE_URL, and that PostgreSQL runs")


async def migrations(db: Database) -> Finding:
    async def ask() -> Finding:
        async with db.engine(Plane.PLATFORM).connect() as connection:
            there = (await connection.execute(text("SELECT to_regclass('alembic_version')"))).scalar_one()
            query = text("SELECT version_num FROM alembic_version")
            found = (await connection.execute(query)).scalar_one_or_none() if there else None
        if found != head():
            return Finding("migrations", "error", f"the tables are at {found or 'nothing'}", "Run `teknav migrate`")
        return Finding("migrations", "ok", f"at {found}")

    return await _timed("migrations", ask, "Run `teknav migrate`")


_LOGIN = text(
    """
    SELECT l.rolname, l.rolsuper, l.rolbypassrls,
           EXISTS (SELECT 1 FROM pg_class c WHERE c.relname = 'tenant' AND c.relowner = l.oid) AS owner,
           array_remove(array_agg(r.rolname::text), NULL) AS may_take,
           bool_or(pg_has_role(l.oid, r.oid, 'USAGE')) AS inherits
    FROM pg_roles l LEFT JOIN pg_roles r ON r.rolname = ANY(:roles) AND pg_has_role(l.oid, r.oid, 'MEMBER')
    WHERE l.rolname = current_user GROUP BY l.oid, l.rolname, l.rolsuper, l.rolbypassrls
    """
)
_APART = {Plane.TENANT: frozenset({Plane.TENANT}), Plane.PLATFORM: frozenset({Plane.PLATFORM, Plane.SYSTEM})}
_GRANT = "Run `teknav migrate`, which makes the roles and grants them"
_OWN = "Use a login of its own: CREATE ROLE teknav_app LOGIN NOINHERIT PASSWORD '…', then `teknav migrate`"


async def logins(db: Database, settings: Settings) -> list[Finding]:
    """Row-level security only holds when the logins cannot step around it."""
    apart = settings.platform_database_url not in ("", settings.database_url)
    planes = {"DATABASE_URL": Plane.TENANT} | ({"PLATFORM_DATABASE_URL": Plane.PLATFORM} if apart else {})
    found: list[Finding] = []
    for name, plane in planes.items():
        try:
            async with db.engine(plane).connect() as connection:
                row = (await connection.execute(_LOGIN, {"roles": [each.value for each in Plane]})).one()
        except (SQLAlchemyError, OSError) as error:
            found.append(Finding("logins", "error", f"{name}: {_message(error)}", _GRANT))
            continue
        wanted = _APART[plane] if apart else frozenset(Plane)
        found += _login(row, name, wanted, strict=settings.app_env == "prod")
    return found or [Finding("logins", "ok", "the logins cannot step around row-level security")]


def _login(row: Any, name: str, wanted: frozenset[Plane], *, strict: bool) -> list[Finding]:
    """`wanted` are the roles that the login has to be able to take; it should not be able to take others."""
    missing = {role.value for role in wanted} - set(row.may_take) if not row.rolsuper else set()
    if missing:
        message = f"{name}: {row.rolname} may not take {' and '.join(sorted(missing))}"
        return [Finding("logins", "error", message, _GRANT)]
    found = []
    if row.inherits and not row.rolsuper:
        # Every statement would have the roles' rights, whatever the unit of work says.
        found.append(Finding("logins", "error", f"{name}: {row.rolname} inherits the roles' rights", _GRANT))
    words = {"is a superuser": row.rolsuper, "has BYPASSRLS": row.rolbypassrls, "owns the tables": row.owner}
    weak = [word for word, is_so in words.items() if is_so]
    if wanted == _APART[Plane.TENANT] and len(row.may_take) > 1 and not row.rolsuper:
        weak.append("may take the platform's roles too")
    if weak:
        level: Literal["warning", "error"] = "error" if strict else "warning"
        found.append(Finding("logins", level, f"{name}: {row.rolname} {' and '.join(weak)}", _OWN))
    return found


def _message(error: Exception) -> str:
    return (str(getattr(error, "orig", None) or error).splitlines() or [type(error).__name__])[0]


def proxies(settings: Settings) -> Finding:
    """Sign-in is limited by the caller's address, which behind a proxy is the proxy's unless that is trusted."""
    if settings.base_url.startswith("https:") and not settings.trusted_proxies:
        message = "PUBLIC_URL is https, so a proxy stands in front, and all callers seem to have its address"
        return Finding("proxies", "warning", message, "Name the proxy's addresses in TRUSTED_PROXIES")
    return Finding("proxies", "ok", "callers' addresses are their own")


def mail(settings: Settings) -> Finding:
    """Where mails go. In a folder, whoever reads them can sign in as others."""
    if settings.smtp_url:
        return Finding("mail", "ok", f"sent by {urlsplit(settings.smtp_url).hostname}")
    message = f"no mail server is named, so mails are kept in {settings.data_dir / 'mail'}"
    if settings.app_env == "prod":
        return Finding("mail", "warning", message, "Name one in SMTP_URL")
    return Finding("mail", "ok", message)


async def web(egress: Egress, address: str) -> Finding:
    """Whether the web process answers, and is of this version."""
    remedy = "Start `teknav web`, or set PUBLIC_URL, or HOST and PORT, to where it is"
    try:
        answer = await egress.request("GET", f"{address}/health", timeout=REACH_S, private_ok=True)
    except EgressError as error:
        return Finding("web", "error", str(error), remedy)
    if answer.status != 200:
        return Finding("web", "error", f"{address}/health answers {answer.status}", remedy)
    version = _version(answer.body)
    if version != __version__:
        message = f"what answers at {address} is of version {version}, and this is {__version__}"
        return Finding("web", "warning", message, "Start `teknav web` anew")
    return Finding("web", "ok", f"answers at {address}, of version {version}")


def _version(health: bytes) -> str:
    """What an answer of `/health` says; what is not one says none."""
    try:
        return msgspec.json.decode(health, type=dict[str, str]).get("version", "none")
    except msgspec.MsgspecError:
        return "none"


async def provider(egress: Egress, settings: Settings) -> Finding:
    """Whether somebody answers at the provider's address; nothing is asked of it that costs."""
    if settings.ai_provider == "local":
        return Finding("ai", "ok", "local, which needs no network")
    try:
        await egress.request("GET", settings.openrouter_base_url, timeout=REACH_S, private_ok=True)
    except TooLarge:
        pass  # somebody answered
    except EgressError as error:
        return Finding("ai", "error", str(error), "Check OPENROUTER_BASE_URL and the way out of this network")
    return Finding("ai", "ok", f"{settings.ai_provider} answers at {urlsplit(settings.openrouter_base_url).netloc}")


async def redis(client: Redis) -> Finding:
    async def ask() -> Finding:
        info = await client.info()
        version = str(info.get("valkey_version") or info["redis_version"])
        name = "Valkey" if "valkey_version" in info else "Redis"
        if tuple(int(part) for part in version.split(".")[:2]) < REDIS_AT_LEAST:
            return Finding("redis", "error", f"{name} {version} is too old", "Use Redis 7.0 or Valkey 8 or later")
        policy = info.get("maxmemory_policy")
        if policy is None:
            hint = "Make sure that its maxmemory-policy is noeviction"
            return Finding("redis", "warning", "the eviction policy cannot be read", hint)
        if policy != "noeviction":
            return Finding(
                "redis",
                "error",
                f"REDIS_URL: maxmemory-policy is {policy}, which drops jobs",
                "Set maxmemory-policy noeviction there, or name another Redis for caches in CACHE_REDIS_URL",
            )
        return Finding("redis", "ok", f"{name} {version}")

    return await _timed("redis", ask, "Check REDIS_URL, and that Redis runs")


async def cache(service: RedisService, settings: Settings) -> list[Finding]:
    """The Redis of the cache, where it has one of its own: without it values come from their source."""
    if not settings.cache_apart:
        return []
    ping = await service.ping()
    try:
        told = warnings(await look(service.client), apart=True) if ping.ok else ["it does not answer"]
    except (RedisError, OSError) as error:
        told = [_message(error)]
    if told:
        remedy = "Check CACHE_REDIS_URL and the settings of that Redis; until then values come from their source"
        return [Finding("cache", "warning", f"CACHE_REDIS_URL: {' '.join(told)}", remedy, ping.latency_ms)]
    return [Finding("cache", "ok", "has a Redis of its own", latency_ms=ping.latency_ms)]


async def rest(service: RedisService, settings: Settings) -> list[Finding]:
    """Upstash's REST API, where there is one; nothing that is served depends on it."""
    if not settings.upstash_redis_rest_url:
        return []
    try:
        await service.get_via_rest(settings.key("cache", "health", "probe"))
    except (Unavailable, RestRefused) as error:
        remedy = "Check UPSTASH_REDIS_REST_URL and UPSTASH_REDIS_REST_TOKEN"
        return [Finding("upstash", "warning", f"UPSTASH_REDIS_REST_URL: {error}", remedy)]
    return [Finding("upstash", "ok", "answers over its REST API")]


async def workers(db: Database) -> Finding:
    async def ask() -> Finding:
        async with db.transaction(SYSTEM) as session:
            alive = len((await session.scalars(select(WorkerRow.id).where(WorkerRow.beat_at > ALIVE))).all())
        if not alive:
            return Finding("worker", "error", "no worker has shown itself for 30 seconds", "Start `teknav worker`")
        return Finding("worker", "ok", f"{alive} running")

    return await _timed("worker", ask, "Start `teknav worker`")


async def loops(db: Database) -> Finding:
    """A warning only: requests are served and jobs run without a leader, until something gets lost or is due."""

    async def ask() -> Finding:
        async with db.transaction(SYSTEM) as session:
            found = await lag.read(session)
        if found.trouble:
            remedy = "See the loops on the queues page, and the log of the worker that leads"
            return Finding("loops", "warning", found.trouble, remedy)
        return Finding("loops", "ok", f"{len(found.loops)} on time, led by {found.place or found.leader}")

    return await _timed("loops", ask, "Run `teknav migrate`")


async def readiness(db: Database, client: Redis, settings: Settings) -> list[Finding]:
    """The parts without which work does not get done."""
    found = [await database(db)]
    if found[0].level != "error":
        found.append(await migrations(db))
        if settings.enable_queue and found[-1].level != "error":
            found += [await workers(db), await loops(db)]
    return [*found, await redis(client)]


async def boot(db: Database, client: Redis, settings: Settings) -> list[Finding]:
    """What web and worker look at before they start; an error here refuses the boot."""
    found = [await database(db)]
    if found[0].level != "error":
        found.append(await migrations(db))
        if found[-1].level != "error":
            found += await logins(db, settings)
    return [*found, await redis(client)]


async def refuse_unsafe(db: Database, client: Redis, settings: Settings) -> None:
    """Log what is weak, and refuse to start over what is wrong.

    Raises:
        SettingsError: with one line for each thing that is missing or unsafe.
    """
    found = await boot(db, client, settings)
    for item in found:
        if item.level == "warning":
            log.warning("boot.unsafe", part=item.part, message=item.message, remedy=item.remedy)
    errors = [f"{item.part}: {item.message}. {item.remedy}" for item in found if item.level == "error"]
    if errors:
        raise SettingsError(errors)
