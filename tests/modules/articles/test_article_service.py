"""The rules that no route of this module shows."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

import asyncpg
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Database, Plane, Scope
from app.core.errors import Invalid, NotFound
from app.core.ids import new_id
from app.core.policy import Actor
from app.modules.articles.schemas import ArticleChange, ArticleCreate
from app.modules.articles.service import ArticleService
from app.modules.members.models import TenantMember
from app.modules.members.service import MemberService
from app.modules.roles.service import RoleService
from app.modules.tenants.service import TenantService
from tests.conftest import Made, Person
from tests.modules.articles.test_article_api import Clients

Drain = Callable[..., Awaitable[int]]
Transaction = Callable[[Scope], AbstractAsyncContextManager[AsyncSession]]


def writer(tenant: Any) -> Actor:
    return Actor("token", new_id(), "writer", frozenset(), Plane.TENANT, tenant.id)


async def test_a_summary_is_kept_with_who_wrote_it(
    transaction: Transaction, tenant: Any, admin: asyncpg.Connection
) -> None:
    actor = writer(tenant)
    async with transaction(actor.scope) as session:
        made = await ArticleService(session, actor).create(ArticleCreate(title="Tides", body="Twice a day."))
    async with transaction(actor.scope) as session:
        await ArticleService(session, actor).set_summary(made.id, "Twice.", ["tide", "day"], "local")
    async with transaction(actor.scope) as session:
        kept = await ArticleService(session, actor).get(made.id)
    assert (kept.summary, kept.summary_keywords, kept.summary_provider) == ("Twice.", ["tide", "day"], "local")
    assert kept.summary_at is not None
    assert kept.version == 2
    action = await admin.fetchrow("SELECT after FROM audit_log WHERE action = 'article.summarize'")
    assert "Twice." in action["after"]
    async with transaction(actor.scope) as session:
        with pytest.raises(NotFound):
            await ArticleService(session, actor).set_summary(new_id(), "Twice.", [], "local")


async def test_a_caller_tied_to_a_workspace_sees_that_workspace_only(
    transaction: Transaction, tenant: Any, admin: asyncpg.Connection
) -> None:
    main = await admin.fetchval("SELECT id FROM workspace WHERE tenant_id = $1", tenant.id)
    free, tied = writer(tenant), replace(writer(tenant), workspace_id=main)
    async with transaction(free.scope) as session:
        service = ArticleService(session, free)
        loose = await service.create(ArticleCreate(title="Loose", body=""))
        placed = await service.create(ArticleCreate(title="Placed", body="", workspace_id=main))
        own = await ArticleService(session, tied).create(ArticleCreate(title="Own", body=""))
        assert own.workspace_id == main
    async with transaction(tied.scope) as session:
        service = ArticleService(session, tied)
        assert (await service.get(placed.id)).title == "Placed"
        for act in (service.get(loose.id), service.delete(loose.id), service.update(loose.id, ArticleChange())):
            with pytest.raises(NotFound):
                await act
        with pytest.raises(Invalid, match="workspaceId"):
            await service.create(ArticleCreate(title="Other", body="", workspace_id=new_id()))


async def test_another_tenants_workspace_is_no_workspace(
    transaction: Transaction, tenant: Any, make_tenant: Callable[[str], Any], admin: asyncpg.Connection
) -> None:
    other = await make_tenant("Casa Verde")
    foreign = await admin.fetchval("SELECT id FROM workspace WHERE tenant_id = $1", other.id)
    actor = writer(tenant)
    async with transaction(actor.scope) as session:
        with pytest.raises(Invalid, match="workspaceId"):
            await ArticleService(session, actor).create(ArticleCreate(title="x", body="", workspace_id=foreign))


async def test_many_articles_are_treated_by_a_job_which_passes_over_what_cannot_be(
    tenant_client: Any,
    owner: Any,
    tenant: Any,
    make_tenant: Callable[[str], Any],
    drain: Any,
    admin: asyncpg.Connection,
) -> None:
    app = await tenant_client()
    made = [(await app.post("/api/v1/articles", json={"title": f"N {n}", "body": ""})).json() for n in range(3)]
    ids = [one["id"] for one in made]
    await app.post(f"/api/v1/articles/{ids[0]}/publication")
    await app.patch(f"/api/v1/articles/{ids[0]}", json={"slug": "other"})
    await app.patch(f"/api/v1/articles/{ids[1]}", json={"slug": made[0]["slug"]})
    asked = await app.post("/api/v1/articles/batches", json={"treatment": "publish", "ids": [*ids[1:], ids[1]]})
    assert asked.status_code == 202, asked.text
    await drain()
    seen = [(await app.get(f"/api/v1/articles/{id_}")).json()["publishedVersion"] for id_ in ids]
    assert seen == [1, None, 1], "readers find another article under the second's slug"
    job = await admin.fetchrow("SELECT state, tenant_id FROM job WHERE id = $1", asked.json()["jobId"])
    assert (job["state"], job["tenant_id"]) == ("completed", tenant.id)
    rows = await admin.fetch("SELECT reason FROM audit_log WHERE action = 'article.publish' AND actor_kind = 'system'")
    assert [row["reason"][:12] for row in rows] == ["Asked for by"]
    foreign = await tenant_client(of=await make_tenant("Casa Verde"))
    for caller, given in ((foreign, ids[:1]), (app, []), (app, [str(new_id())]), (app, [str(new_id())] * 501)):
        refused = await caller.post("/api/v1/articles/batches", json={"treatment": "delete", "ids": given})
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "ids"), refused.text
    publisher = await tenant_client("articles:publish")
    refused = await publisher.post("/api/v1/articles/batches", json={"treatment": "delete", "ids": ids})
    assert (refused.status_code, refused.json()["code"]) == (403, "permission_missing")
    listed = await owner.get("/dashboard/owner/articles", params={"tenantId": str(tenant.id)})
    here = f"/dashboard/owner/tenants/{tenant.id}/articles/batches"
    assert here in listed.text
    assert (await owner.post(here, data={"treatment": "delete", "ids": ids})).status_code == 200
    await drain()
    assert (await app.get("/api/v1/articles")).json()["items"] == []
    assert (await owner.post(here, data={"treatment": "delete", "ids": ids[0]})).status_code == 422


@pytest.mark.promise("S4-3")
async def test_who_may_not_unpublish_does_not_delete_what_readers_see_by_any_way(
    tenant_client: Clients, member: Person, tenant: Made, database: Database, operator: Actor, drain: Drain
) -> None:
    """An author of the whole tenant who is an editor in one workspace, and tokens, by API, page and batch."""
    async with database.transaction(operator.scope) as session:
        news = await TenantService(session, operator).create_workspace(tenant.id, "News")
    ann = await member("ann@example.org", "author")
    async with database.transaction(operator.scope) as session:
        editor = await RoleService(session, operator).named(tenant.id, "editor")
        [found] = (await session.scalars(select(TenantMember))).all()
        await MemberService(session, operator).set_place(tenant.id, found.id, news.id, [editor.id])
    app, writer = await tenant_client(), await tenant_client("articles:read", "articles:write")
    home = f"/dashboard/t/{tenant.slug}/articles"

    async def made(*, shown: bool, **more: Any) -> str:
        id_: str = (await app.post("/api/v1/articles", json={"title": "Tides", "body": "Twice.", **more})).json()["id"]
        assert not shown or (await app.post(f"/api/v1/articles/{id_}/publication")).status_code == 200
        return id_

    public, inside = await made(shown=True), await made(shown=True, workspaceId=str(news.id))
    reopened = await made(shown=True)
    await app.patch(f"/api/v1/articles/{reopened}", json={"title": "Newer"})  # a draft again, which readers see
    for id_ in (public, reopened):
        for refused in (
            await writer.delete(f"/api/v1/articles/{id_}"),
            await ann.post(f"{home}/{id_}/removal", data={}),
        ):
            assert refused.status_code == 403 and "articles:publish" in refused.text, refused.text
        assert (await app.get(f"/api/v1/articles/{id_}/publication")).status_code == 200
        assert f"{id_}/removal" not in (await ann.get(f"{home}/{id_}")).text
    for batch in ([public], [inside, public]):
        refused = await ann.post(f"{home}/batches", data={"treatment": "delete", "ids": batch})
        assert refused.status_code == 422 and "ids" in refused.text, refused.text
    assert f"{inside}/removal" in (await ann.get(f"{home}/{inside}")).text
    assert (await ann.post(f"{home}/batches", data={"treatment": "delete", "ids": [inside]})).status_code == 200
    await drain()
    assert (await app.get(f"/api/v1/articles/{inside}")).status_code == 404
    draft = await made(shown=False)
    assert f"{draft}/removal" in (await ann.get(f"{home}/{draft}")).text
    assert (await ann.post(f"{home}/{draft}/removal", data={})).status_code == 200
    assert (await writer.delete(f"/api/v1/articles/{await made(shown=False)}")).status_code == 204
    assert (await app.delete(f"/api/v1/articles/{public}")).status_code == 204
