"""What boot, `/health/ready` and `teknav doctor` find out."""

import pytest
from msgspec.structs import replace

from app import checks
from app.core.database import Database
from app.core.settings import Settings
from app.redis.service import RedisService

NOWHERE = "postgresql://app@127.0.0.1:9/none"


async def test_logins_that_cannot_be_asked_are_a_finding_each_and_no_crash(settings: Settings) -> None:
    lost = replace(settings, database_url=NOWHERE, platform_database_url=NOWHERE + "2")
    database = Database(lost)
    found = await checks.logins(database, lost)
    await database.close()
    assert [(one.level, one.message.split(":")[0]) for one in found] == [
        ("error", "DATABASE_URL"),
        ("error", "PLATFORM_DATABASE_URL"),
    ]


async def test_a_login_that_the_settings_do_not_name_is_judged_by_what_it_may_take(
    settings: Settings, database: Database
) -> None:
    """A pooler in front of PostgreSQL may sign in as somebody else than the address says."""
    renamed = replace(settings, database_url=settings.database_url.replace("teknav_app", "pooled"))
    assert {one.level for one in await checks.logins(database, renamed)} == {"ok"}


@pytest.mark.parametrize(("trusted", "level"), [((), "warning"), (("10.0.0.1",), "ok")])
def test_an_https_address_without_trusted_proxies_is_warned_about(
    settings: Settings, trusted: tuple[str, ...], level: str
) -> None:
    behind = replace(settings, public_url="https://example.org", trusted_proxies=trusted)
    assert checks.proxies(behind).level == level


async def test_a_cache_without_its_redis_is_a_warning_and_no_error(settings: Settings) -> None:
    shared = RedisService(settings)
    assert await checks.cache(shared, settings) == []
    apart = replace(settings, cache_redis_url=settings.redis_url + "?")
    [found] = await checks.cache(shared, apart)
    assert (found.level, "maxmemory is not set" in found.message) == ("warning", True)
    lost = replace(settings, cache_redis_url="redis://127.0.0.1:9/0")
    service = RedisService(lost)
    [found] = await checks.cache(service, lost)
    assert (found.level, "does not answer" in found.message) == ("warning", True)
    for each in (shared, service):
        await each.close()
