"""What was last found in an article, on its page: kept for an hour, and as new as the last report and change."""

from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest
from httpx2 import AsyncClient
from litestar import Litestar

from app.core.database import Plane
from app.core.ids import new_id
from app.core.policy import Actor
from app.modules.reports.service import ReportService
from app.redis.cache import Cache
from app.redis.figures import Figures
from tests.conftest import Made
from tests.modules.ai import stage

TenantClient = Callable[..., Awaitable[AsyncClient]]
Person = Callable[..., Awaitable[AsyncClient]]
Drain = Callable[..., Awaitable[int]]
HTMX = {"HX-Request": "true"}
KIND = "tenant:reports:verdicts"
NOTHING = "Nobody has asked for a check of it yet"


async def shown(client: AsyncClient, home: str, article: str) -> str:
    answer = await client.get(f"{home}/ai/reports?articleId={article}&part=true", headers=HTMX)
    assert answer.status_code == 200, answer.text
    assert "<html" not in answer.text
    return answer.text


@pytest.mark.promise("S2-29")
async def test_an_articles_verdicts_are_kept_for_an_hour_and_every_report_and_change_is_seen_at_once(
    tenant_client: TenantClient, member: Person, owner: AsyncClient, drain: Drain, app: Litestar, tenant: Made
) -> None:
    cache: Cache = app.state.cache
    figures: Figures = cache.claims.figures
    client, reader = await tenant_client(), await member("reader@example.org", "viewer")
    home, before = f"/dashboard/t/{tenant.slug}", figures.total[KIND, "load"]
    article = await stage.article(client, body="# Bare\n\nTODO write it.")
    page = (await reader.get(f"{home}/articles/{article}")).text
    assert f'hx-get="{home}/ai/reports?articleId={article}&amp;part=true" hx-trigger="load"' in page
    drawer = (await reader.get(f"{home}/articles/{article}", headers=HTMX)).text
    assert f'href="{home}/ai/reports?articleId={article}"' in drawer

    async def loads_of(expected: str) -> int:
        """How often the record was read for two looks, each of which shows what is expected."""
        began = figures.total[KIND, "load"]
        for _ in range(2):
            assert expected in await shown(reader, home, article)
            cache.claims.memory.clear()  # the next look is another process's
        return figures.total[KIND, "load"] - began

    assert await loads_of(NOTHING) == 1
    await stage.start(client, "quality_check", article)
    await drain()
    (report,) = (await client.get("/api/v1/reports")).json()["items"]
    found = f'{home}/ai/reports/{report["id"]}">{report["score"]} of 100</a>'
    assert await loads_of(found) == 1
    assert "before the last change" not in await shown(reader, home, article)
    (key,) = await cache.redis.client.keys(f"*{KIND}:v1:t:{tenant.id}:*")
    assert 3_600_000 * 0.9 - 60_000 < await cache.redis.client.pttl(key) <= 3_600_000

    assert (await client.patch(f"/api/v1/articles/{article}", json={"body": "# Full"})).status_code == 200
    assert await loads_of("before the last change") == 1
    await stage.start(client, "quality_check", article)
    await stage.start(client, "seo_audit", article)
    await drain()
    newest = await shown(reader, home, article)
    assert newest.count(" of 100</a>") == 2 and report["id"] not in newest, "the last of each kind"
    assert "before the last change" not in newest
    loads = figures.total[KIND, "load"]
    assert newest.count(" of 100</a>") == (await shown(owner, "/dashboard/owner", article)).count(" of 100</a>")
    assert figures.total[KIND, "load"] == loads, "the owner reads the record"

    assert (await client.delete(f"/api/v1/articles/{article}")).status_code == 204
    assert await loads_of(NOTHING) == 1
    assert figures.total[KIND, "load"] > before


async def test_kept_verdicts_are_nobody_elses(
    tenant_client: TenantClient,
    member: Person,
    drain: Drain,
    app: Litestar,
    tenant: Made,
    make_tenant: Callable[[str], Awaitable[Made]],
) -> None:
    other = await make_tenant("Elsewhere")
    client, own = await tenant_client(), await member("own@example.org", "viewer")
    foreign = await member("foreign@example.org", "viewer", other)
    article = await stage.article(client)
    await stage.start(client, "quality_check", article)
    await drain()
    for _ in range(2):
        assert " of 100</a>" in await shown(own, f"/dashboard/t/{tenant.slug}", article)
        assert NOTHING in await shown(foreign, f"/dashboard/t/{other.slug}", article)
        refused = await foreign.get(f"/dashboard/t/{tenant.slug}/ai/reports?articleId={article}&part=true")
        assert refused.status_code == 404
    # The article is in no workspace; who is tied to one does not see it, nor what is kept of it.
    rights = frozenset({"reports:read"})
    for workspace, seen in ((None, 1), (new_id(), 0)):
        actor = Actor("token", new_id(), "app", rights, Plane.TENANT, tenant.id, workspace)
        async with app.state.database.transaction(actor.scope) as session:
            found = await ReportService(session, actor).verdicts(UUID(article), app.state.database, app.state.cache)
        assert len(found.newest) == seen
