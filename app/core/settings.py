"""Settings: one frozen struct, read once from the environment.

Every field is one variable, named as the field in capitals; its text is the line that
`.env.example` shows. A test keeps that file equal to `example()`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from app.core.choices import explained

PLACEHOLDERS = ("change-me", "changeme", "secret", "example", "placeholder")
SECRETS = ("secret_key", "jwt_secret", "encryption_key")
SECRET_FIELD = re.compile(r"(_key|_secret|_token|_url)$")
LONGEST_AI_ANSWER_S = 100.0
UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
JWT_LASTS = timedelta(minutes=1), timedelta(days=90)
ENV_NAMES = {"development": "dev", "testing": "test", "production": "prod"}


def _doc(text: str, *, ge: int | None = None, le: int | None = None) -> Meta:
    return Meta(description=text, ge=ge, le=le)


class SettingsError(Exception):
    """The environment cannot be used; `problems` has one line for each variable that is wrong."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    app_env: Annotated[Literal["dev", "test", "prod"], _doc("dev, test or prod (NODE_ENV is accepted too)")] = "dev"
    debug: Annotated[bool, _doc("full error pages; refused in prod")] = False
    host: Annotated[str, _doc("address the web process listens on")] = "127.0.0.1"
    port: Annotated[int, _doc("port the web process listens on")] = 8000
    public_url: Annotated[str, _doc("address people see; default http://HOST:PORT")] = ""
    trusted_proxies: Annotated[
        tuple[str, ...], _doc("addresses or networks whose X-Forwarded-For is believed, with commas between")
    ] = ()
    teknav_data_dir: Annotated[Path, _doc("where `teknav up` keeps its databases and secrets")] = Path("var")
    log_level: Annotated[Literal["debug", "info", "warning", "error"], _doc("least severe line logged")] = "info"
    log_format: Annotated[Literal["json", "console"], _doc("json for machines, console for people")] = "json"

    database_url: Annotated[str, _doc("PostgreSQL for tenants' work; empty: `teknav up` starts its own")] = ""
    platform_database_url: Annotated[
        str, _doc("a second login for the platform's own work; recommended, default DATABASE_URL")
    ] = ""
    migration_database_url: Annotated[str, _doc("the login that owns the tables; default DATABASE_URL")] = ""
    database_pool_size: Annotated[int, _doc("connections each process may open per login")] = 10
    database_pooler: Annotated[bool, _doc("true behind PgBouncer: no prepared statements are kept")] = False

    redis_url: Annotated[
        str, _doc("Redis 7 or Valkey 8 for queues; rediss:// for TLS; any node of a cluster; must not evict")
    ] = ""
    cache_redis_url: Annotated[str, _doc("optional second Redis for caches, which may evict")] = ""
    redis_key_prefix: Annotated[str, _doc("first part of every key and the queues' hash tag")] = "teknav"
    redis_max_memory: Annotated[
        str, _doc("most memory of the Redis that `teknav up` starts: 512mb, 2gb; empty: no limit. It never evicts")
    ] = ""
    upstash_redis_rest_url: Annotated[str, _doc("optional Upstash REST address for reads across regions")] = ""
    upstash_redis_rest_token: Annotated[str, _doc("token for the Upstash REST address")] = ""

    secret_key: Annotated[str, _doc("signs cookies, CSRF tokens and cursors; 32 characters or more")] = ""
    jwt_secret: Annotated[
        str, _doc("signs API clients' JWTs; 32 characters or more; several with commas: the first signs, all verify")
    ] = ""
    jwt_expires_in: Annotated[str, _doc("how long API clients' JWTs are good: 30m, 12h, 7d; at most 90d")] = "7d"
    encryption_key: Annotated[str, _doc("encrypts columns at rest, seals the audit log; 32 characters or more")] = ""

    enable_rate_limit: Annotated[bool, _doc("false counts no calls of the API: where a gateway in front does")] = True
    rate_limit_max: Annotated[int, _doc("calls of /api/owner that one address may make in a window", ge=1)] = 60
    rate_limit_window_ms: Annotated[int, _doc("length of that window in milliseconds, at least 1000", ge=1000)] = 60_000
    smtp_url: Annotated[
        str, _doc("mail server, smtp://user:password@host:587 or smtps://…:465; empty: mails go to a folder")
    ] = ""
    email_from: Annotated[str, _doc("who mails are from")] = "teknav@localhost"
    egress_networks: Annotated[
        tuple[str, ...],
        _doc("networks of your own that addresses given by tenants may lead to, with commas between: 10.1.0.0/16"),
    ] = ()
    open_registration: Annotated[bool, _doc("true lets anybody make an account, with an e-mail that works")] = False

    ai_provider: Annotated[Literal["local", "openrouter"], _doc("local (no network) or openrouter")] = "local"
    ai_model: Annotated[str, _doc("the model asked for at OpenRouter")] = "openrouter/auto"
    openrouter_api_key: Annotated[str, _doc("key for OpenRouter, or for a server that speaks its protocol")] = ""
    openrouter_base_url: Annotated[str, _doc("address of the OpenAI-compatible API")] = "https://openrouter.ai/api/v1"
    ai_timeout_s: Annotated[float, _doc("seconds the provider may take for one answer")] = 60.0

    enable_queue: Annotated[bool, _doc("false runs jobs inside the web process, without Redis queues")] = True
    enable_scheduler: Annotated[bool, _doc("false leaves what is due by schedule undone, on this process")] = True
    worker_queues: Annotated[tuple[str, ...], _doc("queues a worker serves, with commas between; empty: all")] = ()
    worker_concurrency: Annotated[int, _doc("jobs of one queue that a worker runs at once")] = 10
    worker_processes: Annotated[
        int, _doc("worker processes that `teknav worker` keeps running, from 1 to 64", ge=1, le=64)
    ] = 1
    worker_hang_s: Annotated[
        int, _doc("seconds after which a worker that hangs ends itself, to be started again; 0: never", ge=0)
    ] = 60
    job_retention_months: Annotated[
        int, _doc("whole months that jobs are kept after their own, unless unfinished or dead; 0: for ever", ge=0)
    ] = 12

    audit_retention_months: Annotated[
        int, _doc("whole months that the audit log is kept after their own; 0: for ever", ge=0)
    ] = 13
    access_retention_months: Annotated[
        int, _doc("whole months that the access log is kept after their own; 0: for ever", ge=0)
    ] = 13
    analytics_retention_months: Annotated[
        int, _doc("whole months that readers' events are kept after their own; counts stay; 0: for ever", ge=0)
    ] = 13

    def __repr__(self) -> str:
        """Without secrets; addresses hold passwords too."""
        shown = {name: getattr(self, name) for name in self.__struct_fields__ if not SECRET_FIELD.search(name)}
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in shown.items())})"

    @property
    def data_dir(self) -> Path:
        return self.teknav_data_dir.expanduser().absolute()

    @property
    def base_url(self) -> str:
        return (self.public_url or f"http://{self.host}:{self.port}").rstrip("/")

    @property
    def jwt_secrets(self) -> tuple[str, ...]:
        """The one that signs first, then those that are still believed."""
        return _several(self.jwt_secret)

    @property
    def jwt_lasts(self) -> timedelta:
        return _duration(self.jwt_expires_in) or timedelta(days=7)

    @property
    def secure_cookies(self) -> bool:
        return self.base_url.startswith("https://")

    @property
    def cache_apart(self) -> bool:
        """Whether the cache has another Redis than the queues."""
        return self.cache_redis_url not in ("", self.redis_url)

    @property
    def queue_prefix(self) -> str:
        """BullMQ's prefix: one hash tag, so that a Redis Cluster keeps all queues in one slot."""
        return f"{{{self.redis_key_prefix}-{self.app_env}}}"

    def key(self, area: str, entity: str, what: str, version: int = 1) -> str:
        """A Redis key, `teknav:dev:owner:tenants:list:v1`."""
        return f"{self.redis_key_prefix}:{self.app_env}:{area}:{entity}:{what}:v{version}"


def load(environ: Mapping[str, str]) -> Settings:
    """Read and check every variable.

    Raises:
        SettingsError: with one line for each variable that is wrong.
    """
    values: dict[str, Any] = {}
    problems: list[str] = []
    hints = get_type_hints(Settings, include_extras=True)
    for field in msgspec.structs.fields(Settings):
        raw = environ.get(field.name.upper(), "").strip()
        if field.name == "app_env":
            raw = raw or environ.get("NODE_ENV", "").strip()
            raw = ENV_NAMES.get(raw, raw)
        if not raw:
            continue
        value: Any = [part.strip() for part in raw.split(",") if part.strip()] if _is_list(field.type) else raw
        try:
            values[field.name] = msgspec.convert(
                value, hints[field.name], strict=False, dec_hook=lambda kind, text: kind(text)
            )
        except msgspec.ValidationError as error:
            problems.append(f"{field.name.upper()}: {explained(error, hints[field.name])}")
    settings = Settings(**values)
    problems += _unsafe(settings)
    if problems:
        raise SettingsError(problems)
    return settings


def given(settings: Settings) -> dict[str, str]:
    """The variables that make these settings, without those that have their default."""
    found = {}
    for field in msgspec.structs.fields(Settings):
        value = getattr(settings, field.name)
        if value != field.default:
            found[field.name.upper()] = ",".join(value) if isinstance(value, tuple) else str(value)
    return found


def _is_list(kind: Any) -> bool:
    return "tuple" in str(kind)


def _unsafe(settings: Settings) -> list[str]:
    found: list[str] = []
    if not re.fullmatch(r"[a-z0-9-]{1,32}", settings.redis_key_prefix):
        found.append("REDIS_KEY_PREFIX: use 1 to 32 of a-z, 0-9 and -")
    if not re.fullmatch(r"|[1-9]\d{0,8}(kb|mb|gb)", settings.redis_max_memory):
        found.append("REDIS_MAX_MEMORY: use a number with kb, mb or gb, such as 512mb")
    for name in SECRETS:
        values = settings.jwt_secrets if name == "jwt_secret" else (getattr(settings, name),)
        if any(value and _guessable(value) for value in values):
            found.append(f"{name.upper()}: set 32 or more random characters, for instance from `openssl rand -hex 32`")
    lasts = _duration(settings.jwt_expires_in)
    if lasts is None or not JWT_LASTS[0] <= lasts <= JWT_LASTS[1]:
        found.append("JWT_EXPIRES_IN: a number with s, m, h or d, from 60s to 90d")
    if settings.ai_provider == "openrouter" and not settings.openrouter_api_key:
        found.append("OPENROUTER_API_KEY: set it, or set AI_PROVIDER=local")
    if not 0 < settings.ai_timeout_s <= LONGEST_AI_ANSWER_S:
        found.append(f"AI_TIMEOUT_S: from 1 to {LONGEST_AI_ANSWER_S:g}: the queue ends a job after 120 seconds")
    smtp = urlsplit(settings.smtp_url)
    if settings.smtp_url and (smtp.scheme not in ("smtp", "smtps") or not smtp.hostname):
        found.append("SMTP_URL: use smtp://HOST:PORT or smtps://HOST:PORT, with user:password@ where it wants them")
    if not re.fullmatch(r"[^\r\n<>]*<?[^@\s<>]+@[^@\s<>]+>?", settings.email_from):
        found.append("EMAIL_FROM: use an address, or Name <address>")
    found += [f"EGRESS_NETWORKS: {text} is no network" for text in settings.egress_networks if not _is_network(text)]
    if settings.app_env == "prod":
        if settings.debug:
            found.append("DEBUG: must be false in production")
        if "*" in settings.trusted_proxies:
            found.append("TRUSTED_PROXIES: name the proxies; * would believe anyone")
    return found


def _is_network(text: str) -> bool:
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def _guessable(secret: str) -> bool:
    return len(secret) < 32 or any(word in secret.lower() for word in PLACEHOLDERS)


def _several(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _duration(text: str) -> timedelta | None:
    found = re.fullmatch(r"(\d{1,9})([smhd])", text)
    return timedelta(**{UNITS[found[2]]: int(found[1])}) if found else None


def missing_for_service(settings: Settings) -> list[str]:
    """What `teknav web` and `teknav worker` cannot start without; `teknav up` provides all of it."""
    needed = ("database_url", "redis_url", *SECRETS)
    hint = "set it, or use `teknav up`, which makes it"
    return [f"{name.upper()}: {hint}" for name in needed if not getattr(settings, name)]


def example() -> str:
    """The text of `.env.example`."""
    lines = ["# Every variable that TekNav reads, with its default. Copy to .env and change what you need."]
    hints = get_type_hints(Settings, include_extras=True)
    for field in msgspec.structs.fields(Settings):
        text = next(m.description for m in hints[field.name].__metadata__ if isinstance(m, Meta))
        default = field.default
        if isinstance(default, tuple):
            default = ",".join(default)
        elif isinstance(default, bool):
            default = str(default).lower()
        lines += ["", f"# {text}", f"{field.name.upper()}={default}"]
    return "\n".join(lines) + "\n"
