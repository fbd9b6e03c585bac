"""`teknav cache`: what is kept and how its Redis fares, and drops, without a browser."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import rich_click as click
from msgspec import to_builtins

from app.cli.command import Shown, as_json, columns, show
from app.cli.transactions import in_platform

T = TypeVar("T")


def _with(action: Callable[[Any], Awaitable[T]]) -> T:
    """Run `action(CacheService)` in a transaction of its own."""

    async def run(_: Any, session: Any, actor: Any) -> T:
        from app.modules.cache.service import CacheService

        return await action(CacheService(session, actor))

    return in_platform(run)


@click.group()
def cache() -> None:
    """What is kept so that it need not be asked for again."""


@cache.command("stats")
@as_json
def cache_stats(as_json: bool) -> None:
    """What is kept, how often it was found in 24 hours, and how Redis fares."""
    found = _with(lambda service: service.stats())
    redis = found.redis
    lines = [f"{redis.name} {redis.version} serves, {redis.latency_ms} ms" if redis.ok else "Redis does not serve"]
    lines += [f"Warning: {line}" for line in redis.warnings]
    rows = [
        (
            one.name,
            "-" if one.hit_rate is None else f"{one.hit_rate:.1%}",
            one.local_hits,
            one.redis_hits,
            one.shared_hits,
            one.loads,
            "-" if one.load_ms is None else f"{one.load_ms:g} ms",
            f"{one.ttl_s:g} s",
            ", ".join(one.tags),
        )
        for one in found.kinds
    ]
    head = ("kind", "hit rate", "memory", "redis", "shared", "loads", "each", "kept for", "tags")
    show(as_json, to_builtins(found), text="\n".join([*lines, "", columns(head, rows)]))


@cache.command("top")
@as_json
def cache_top(as_json: bool) -> None:
    """The keys that take the most memory, of a sample of up to 2,000."""
    found = _with(lambda service: service.keys())
    rows = [(one.key, one.kind or "-", one.bytes) for one in found.items]
    show(as_json, to_builtins(found), text=columns(("key", "kind", "bytes"), rows))


@cache.command("drop")
@click.option("--key", help="One value, by its key.")
@click.option("--tag", help="All values with this tag.")
@click.option("--area", help="All values of this area.")
@click.option("--all", "everything", is_flag=True, help="All values.")
@as_json
def cache_drop(key: str | None, tag: str | None, area: str | None, everything: bool, as_json: bool) -> None:
    """Drop what is kept; it is loaded anew when somebody asks."""
    from app.modules.cache.schemas import CacheClear

    wanted = CacheClear(key=key, tag=tag, area=area, all=everything)
    done = _with(lambda service: service.clear(wanted))
    count = "" if done.keys is None else f", {done.keys} key{'' if done.keys == 1 else 's'}"
    show(as_json, to_builtins(done), text=f"Dropped {done.what}{count}.")


SHOWN = Shown("Work", (cache,), 40)
