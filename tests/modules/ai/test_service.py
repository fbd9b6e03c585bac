"""The rules of asking for a summary."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Database, Plane, Scope
from app.core.errors import NotFound
from app.core.ids import new_id
from app.core.policy import Actor
from app.modules.ai.models import AiTask
from app.modules.ai.schemas import SummaryWanted
from app.modules.ai.service import AiService
from app.modules.articles.schemas import ArticleCreate
from app.modules.articles.service import ArticleService
from app.modules.audit.models import AuditLog
from app.modules.tenants.models import Workspace
from app.queues.models import JobRow
from tests.conftest import Made
from tests.modules.ai import stage

Enter = Callable[[Actor], AbstractAsyncContextManager[AsyncSession]]


@pytest.fixture
def enter(database: Database) -> Enter:
    @asynccontextmanager
    async def transaction(actor: Actor) -> AsyncGenerator[AsyncSession, None]:
        async with database.transaction(actor.scope) as session:
            yield session

    return transaction


def app_of(tenant: UUID, workspace: UUID | None = None) -> Actor:
    return Actor("token", new_id(), "the tenant's app", frozenset({"ai:run"}), Plane.TENANT, tenant, workspace)


async def new_article(enter: Enter, actor: Actor) -> UUID:
    async with enter(actor) as session:
        return (await ArticleService(session, actor).create(ArticleCreate(title=stage.TITLE, body=stage.BODY))).id


async def request(enter: Enter, actor: Actor, article_id: UUID) -> UUID:
    async with enter(actor) as session:
        return (await AiService(session, actor).start(SummaryWanted(article_id=article_id))).id


async def test_a_request_writes_task_job_and_audit_row_in_one_transaction(
    enter: Enter, database: Database, tenant: Made
) -> None:
    actor = app_of(tenant.id)
    article_id = await new_article(enter, actor)
    with pytest.raises(RuntimeError, match="changed my mind"):
        async with enter(actor) as session:
            await AiService(session, actor).start(SummaryWanted(article_id=article_id))
            raise RuntimeError("changed my mind")
    assert await stage.rows(database, AiTask) == []
    assert await stage.rows(database, JobRow) == []

    task_id = await request(enter, actor, article_id)
    (task,) = await stage.rows(database, AiTask)
    (job,) = await stage.rows(database, JobRow)
    assert (task.id, task.tenant_id, task.requested_by) == (task_id, tenant.id, "the tenant's app")
    assert (task.job_id, job.payload) == (job.id, {"taskId": str(task_id)})
    assert (job.queue, job.kind, job.tenant_id, job.max_attempts) == ("ai:content", "summarize_article", tenant.id, 3)
    (row,) = [row for row in await stage.rows(database, AuditLog) if row.action == "ai.task.start"]
    assert (row.resource_id, row.resource_label, row.tenant_id) == (str(article_id), stage.TITLE, tenant.id)


async def test_requests_at_the_same_moment_share_one_task(enter: Enter, database: Database, tenant: Made) -> None:
    actor = app_of(tenant.id)
    article_id = await new_article(enter, actor)
    asked = await asyncio.gather(*(request(enter, actor, article_id) for _ in range(5)))
    assert len(set(asked)) == 1
    assert len(await stage.rows(database, AiTask)) == 1
    assert len(await stage.rows(database, JobRow)) == 1


async def test_a_finished_summary_may_be_asked_for_again(
    enter: Enter, database: Database, tenant: Made, drain: Callable[..., Awaitable[int]]
) -> None:
    actor = app_of(tenant.id)
    article_id = await new_article(enter, actor)
    first = await request(enter, actor, article_id)
    await drain()
    second = await request(enter, actor, article_id)
    assert first != second
    await drain()
    assert [task.status for task in await stage.rows(database, AiTask)] == ["completed", "completed"]


async def test_another_tenants_article_is_not_found(
    enter: Enter, database: Database, tenant: Made, make_tenant: Callable[[str], Awaitable[Made]]
) -> None:
    article_id = await new_article(enter, app_of(tenant.id))
    other = app_of((await make_tenant("Other")).id)
    with pytest.raises(NotFound):
        await request(enter, other, article_id)
    assert await stage.rows(database, AiTask) == []


async def test_an_app_of_one_workspace_finds_only_that_ones_tasks(enter: Enter, operator: Actor, tenant: Made) -> None:
    async with enter(operator) as session:
        main = (await session.scalars(select(Workspace.id).where(Workspace.tenant_id == tenant.id))).one()
    inside, outside = app_of(tenant.id, main), app_of(tenant.id)
    theirs = await request(enter, inside, await new_article(enter, inside))
    others = await request(enter, outside, await new_article(enter, outside))
    async with enter(inside) as session:
        ai = AiService(session, inside)
        assert (await ai.task(theirs)).id == theirs
        with pytest.raises(NotFound):
            await ai.task(others)


async def test_the_tenants_role_cannot_reach_another_tenants_rows(
    database: Database, enter: Enter, tenant: Made, make_tenant: Callable[[str], Awaitable[Made]]
) -> None:
    await request(enter, app_of(tenant.id), await new_article(enter, app_of(tenant.id)))
    other = await make_tenant("Other")
    async with database.transaction(Scope(Plane.TENANT, other.id)) as session:
        assert (await session.scalars(select(AiTask))).all() == []
