"""Settings are read once, checked all at once, and never show their secrets."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.core.settings import SECRETS, Settings, SettingsError, example, load, missing_for_service

ROOT = Path(__file__).parents[2]
RANDOM = "8f1c0b7d3a5e4296b1d0c7f8a9e2d4c6"
SECRET_VALUES = {
    "SECRET_KEY": RANDOM,
    "JWT_SECRET": RANDOM[::-1],
    "ENCRYPTION_KEY": RANDOM.upper(),
    "OPENROUTER_API_KEY": "sk-or-v1-0a1b2c3d4e5f",
    "UPSTASH_REDIS_REST_TOKEN": "AXlkASQgNzY5",
    "DATABASE_URL": "postgresql://app:Hg7-database@db.internal/teknav",
    "PLATFORM_DATABASE_URL": "postgresql://platform:Hg7-platform@db.internal/teknav",
    "MIGRATION_DATABASE_URL": "postgresql://owner:Hg7-migration@db.internal/teknav",
    "REDIS_URL": "rediss://default:Hg7-redis@redis.internal:6379/0",
    "CACHE_REDIS_URL": "redis://:Hg7-cache@redis.internal:6380/0",
}
HIDDEN = [value.rpartition("@")[0].rpartition(":")[2] or value for value in SECRET_VALUES.values()]


def problems(environ: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        load(environ)
    return raised.value.problems


@pytest.mark.promise("S4-67")
def test_the_example_lists_every_variable_with_its_default() -> None:
    assert (ROOT / ".env.example").read_text() == example()


@pytest.mark.promise("S4-67")
def test_the_example_is_a_valid_environment_that_changes_nothing() -> None:
    lines = [line for line in example().splitlines() if line and not line.startswith("#")]
    assert load(dict(line.split("=", 1) for line in lines)) == load({}) == Settings()


def test_settings_cannot_be_changed_after_they_were_read() -> None:
    settings: object = load({})
    with pytest.raises(AttributeError):
        settings.port = 1  # type: ignore[attr-defined]


@pytest.mark.promise("S4-66")
@pytest.mark.parametrize(
    ("given", "app_env"),
    [
        ({}, "dev"),
        ({"APP_ENV": "prod"}, "prod"),
        ({"NODE_ENV": "production"}, "prod"),
        ({"NODE_ENV": "development"}, "dev"),
        ({"APP_ENV": "testing"}, "test"),
        ({"APP_ENV": "test", "NODE_ENV": "production"}, "test"),
    ],
)
def test_the_environment_has_short_and_long_names(given: dict[str, str], app_env: str) -> None:
    assert load(given).app_env == app_env


def test_values_are_read_by_their_types() -> None:
    given = {"PORT": "9000", "ENABLE_QUEUE": "false", "AI_TIMEOUT_S": "2.5", "WORKER_QUEUES": "ai:content, ai:seo,"}
    settings = load(given | {"TEKNAV_DATA_DIR": "~/teknav"})
    assert (settings.port, settings.enable_queue, settings.ai_timeout_s) == (9000, False, 2.5)
    assert settings.worker_queues == ("ai:content", "ai:seo")
    assert settings.data_dir == Path.home() / "teknav"


def test_keys_carry_prefix_and_environment() -> None:
    settings = load({"APP_ENV": "prod", "REDIS_KEY_PREFIX": "acme"})
    assert settings.key("owner", "tenants", "list") == "acme:prod:owner:tenants:list:v1"
    assert settings.queue_prefix == "{acme-prod}"


def test_all_problems_are_told_at_once_each_with_its_variable() -> None:
    found = problems(
        {"APP_ENV": "live", "PORT": "http", "DEBUG": "perhaps", "SECRET_KEY": "short", "REDIS_KEY_PREFIX": "a:b"}
    )
    names = [line.partition(":")[0] for line in found]
    assert sorted(names) == ["APP_ENV", "DEBUG", "PORT", "REDIS_KEY_PREFIX", "SECRET_KEY"]
    assert all(line.partition(": ")[2] for line in found)


@pytest.mark.parametrize("name", [name.upper() for name in SECRETS])
@pytest.mark.parametrize(
    "value", ["short", "change-me-change-me-change-me-change-me", "a-secret-of-more-than-32-characters"]
)
def test_a_short_or_placeholder_secret_is_refused(name: str, value: str) -> None:
    (problem,) = problems({name: value})
    assert problem.startswith(f"{name}: set 32 or more random characters")
    assert value not in problem


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"DEBUG": "true"}, "DEBUG"),
        ({"TRUSTED_PROXIES": "10.0.0.1,*"}, "TRUSTED_PROXIES"),
        ({"AI_PROVIDER": "openrouter"}, "OPENROUTER_API_KEY"),
    ],
)
def test_unsafe_production_is_refused_with_one_line(given: dict[str, str], name: str) -> None:
    (problem,) = problems({"APP_ENV": "prod"} | given)
    assert problem.startswith(f"{name}: ")
    assert "\n" not in problem


def test_debug_is_allowed_outside_production() -> None:
    assert load({"DEBUG": "true"}).debug


def test_a_service_names_everything_that_it_misses() -> None:
    names = [line.partition(":")[0] for line in missing_for_service(load({}))]
    assert names == ["DATABASE_URL", "REDIS_URL", "SECRET_KEY", "JWT_SECRET", "ENCRYPTION_KEY"]
    assert missing_for_service(load(SECRET_VALUES)) == []


def test_the_text_of_the_settings_holds_no_secret() -> None:
    shown = f"{load(SECRET_VALUES)!r} {load(SECRET_VALUES)}"
    assert "ai_provider='local'" in shown
    assert [value for value in HIDDEN if value in shown] == []


def test_a_problem_does_not_repeat_a_secret() -> None:
    told = "\n".join(problems(SECRET_VALUES | {"SECRET_KEY": "tooshort-9f8e", "PORT": "x"}))
    assert "tooshort-9f8e" not in told


LOGS = """
import os, structlog
from app.core.logging import configure
from app.core.settings import load
settings = load(os.environ)
configure(settings)
log = structlog.get_logger()
values = {name: getattr(settings, name) for name in settings.__struct_fields__}
log.info("boot", settings=settings, nested=[{"deep": values}])
try:
    raise ConnectionError(f"cannot reach {settings.database_url}")
except ConnectionError:
    log.exception("failed", database=settings.database_url)
"""


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_no_secret_reaches_the_log(log_format: str) -> None:
    environ = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG")}
    done = subprocess.run(
        [sys.executable, "-c", LOGS],
        env=environ | SECRET_VALUES | {"LOG_FORMAT": log_format},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "boot" in done.stderr and "ConnectionError" in done.stderr
    assert [value for value in HIDDEN if value in done.stderr + done.stdout] == []
