"""A tenant's members in their part of the dashboard: what they see, and what they do not."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from httpx2 import AsyncClient

from app.core.database import Database, Plane, Scope
from app.core.policy import Actor
from app.modules.articles.schemas import ArticleCreate
from app.modules.articles.service import ArticleService
from app.modules.members.service import MemberService
from app.modules.people.models import User
from app.modules.roles.service import RoleService
from app.modules.tenants.service import TenantService
from tests.conftest import Made

Person = Callable[..., Awaitable[AsyncClient]]
MakeTenant = Callable[[str], Awaitable[Made]]


@pytest.fixture
def write(database: Database, operator: Actor) -> Callable[..., Awaitable[UUID]]:
    """Writes an article of a tenant, perhaps in a workspace."""

    async def write(of: Made, title: str, workspace: UUID | None = None) -> UUID:
        async with database.transaction(Scope(Plane.TENANT, of.id)) as session:
            article = await ArticleService(session, operator).create(
                ArticleCreate(title=title, body="Words.", workspace_id=workspace)
            )
            return article.id

    return write


@pytest.mark.promise("S4-3")
async def test_a_member_lands_in_the_tenants_dashboard_and_sees_its_articles_only(
    member: Person, tenant: Made, make_tenant: MakeTenant, write: Callable[..., Awaitable[UUID]]
) -> None:
    other = await make_tenant("Stranger")
    ours, theirs = await write(tenant, "Tides"), await write(other, "Secret")
    ann = await member("ann@example.org", "viewer")
    home = f"/dashboard/t/{tenant.slug}"
    assert (await ann.get("/dashboard")).headers["location"] == home
    assert (await ann.get(home)).status_code == 200
    page = await ann.get(f"{home}/articles")
    assert page.status_code == 200 and "Tides" in page.text and "Secret" not in page.text
    assert f'href="{home}/articles/{ours}"' in page.text and "/dashboard/owner" not in page.text
    assert (await ann.get(f"{home}/articles/{ours}")).status_code == 200
    assert (await ann.get(f"{home}/articles/{theirs}")).status_code == 404
    assert (await ann.get("/dashboard/owner/articles")).status_code == 403
    assert (await ann.get("/api/v1/articles")).status_code == 403


async def test_another_tenants_address_answers_as_a_missing_one(
    member: Person, owner: AsyncClient, make_tenant: MakeTenant
) -> None:
    other = await make_tenant("Stranger")
    ann = await member("ann@example.org", "owner")
    answers = [await who.get(f"/dashboard/t/{slug}/articles") for who in (ann, owner) for slug in (other.slug, "none")]
    assert [answer.status_code for answer in answers] == [404] * 4
    bodies = {answer.text.replace(answer.headers["x-request-id"], "") for answer in answers}
    assert len(bodies) == 1


async def test_a_workspace_role_reaches_the_things_of_its_workspace_alone(
    member: Person,
    tenant: Made,
    database: Database,
    operator: Actor,
    write: Callable[..., Awaitable[UUID]],
    make_person: Callable[..., Awaitable[User]],
    sign_in: Person,
) -> None:
    await member("chief@example.org", "owner")
    await make_person("ann@example.org")
    async with database.transaction(operator.scope) as session:
        news = await TenantService(session, operator).create_workspace(tenant.id, "News")
        roles, members = RoleService(session, operator), MemberService(session, operator)
        viewer, auditor = await roles.named(tenant.id, "viewer"), await roles.named(tenant.id, "auditor")
        ann = await members.add(tenant.id, "ann@example.org", viewer.id)
        await members.set_role(tenant.id, ann.id, None)
        await members.set_place(tenant.id, ann.id, news.id, [viewer.id, auditor.id])
    inside, outside = await write(tenant, "Inside", news.id), await write(tenant, "Outside")
    browser = await sign_in("ann@example.org")
    home = f"/dashboard/t/{tenant.slug}"
    page = await browser.get(f"{home}/articles")
    assert "Inside" in page.text and "Outside" not in page.text
    assert (await browser.get(f"{home}/articles/{inside}")).status_code == 200
    assert (await browser.get(f"{home}/articles/{outside}")).status_code == 404
    # What cannot be divided by workspace is nothing that a role in a workspace gives.
    assert (await browser.get(f"{home}/logs/audit")).status_code == 403


async def test_who_is_removed_or_loses_a_role_is_out_with_the_next_request(
    member: Person, tenant: Made, owner: AsyncClient
) -> None:
    ann = await member("ann@example.org", "auditor")
    await member("chief@example.org", "admin")
    home, api = f"/dashboard/t/{tenant.slug}", f"/api/owner/tenants/{tenant.id}"
    assert (await ann.get(f"{home}/logs/audit")).status_code == 200
    items: list[dict[str, Any]] = (await owner.get(f"{api}/members?q=ann")).json()["items"]
    roles = {role["name"]: role["id"] for role in (await owner.get(f"{api}/roles")).json()["items"]}
    place = f"{api}/members/{items[0]['id']}"
    assert (await owner.patch(place, json={"roleId": roles["Viewer"]})).status_code == 200
    assert (await ann.get(f"{home}/logs/audit")).status_code == 403
    assert (await ann.get(f"{home}/articles")).status_code == 200
    assert (await owner.delete(place)).status_code == 204
    assert (await ann.get(f"{home}/articles")).status_code == 404
    assert "belong to no tenant" in (await ann.get("/dashboard")).text


async def test_who_belongs_to_several_tenants_chooses_and_a_suspended_one_is_closed(
    member: Person, tenant: Made, make_tenant: MakeTenant, owner: AsyncClient, database: Database, operator: Actor
) -> None:
    other = await make_tenant("Quay Press")
    ann = await member("ann@example.org", "viewer")
    async with database.transaction(operator.scope) as session:
        viewer = await RoleService(session, operator).named(other.id, "viewer")
        await MemberService(session, operator).add(other.id, "ann@example.org", viewer.id)
    chooser = await ann.get("/dashboard")
    assert all(f'href="/dashboard/t/{each.slug}"' in chooser.text for each in (tenant, other))
    assert "Quay Press" in (await ann.get(f"/dashboard/t/{tenant.slug}/articles")).text
    await owner.patch(f"/api/owner/tenants/{other.id}", json={"status": "suspended"})
    closed = await ann.get(f"/dashboard/t/{other.slug}/articles")
    assert closed.status_code == 403 and "suspended" in closed.text


async def test_people_of_the_platform_may_what_their_role_says(
    make_person: Callable[..., Awaitable[User]], sign_in: Person, tenant: Made
) -> None:
    await make_person("audit@example.org", "auditor")
    await make_person("ops@example.org", "operator")
    auditor, ops = await sign_in("audit@example.org"), await sign_in("ops@example.org")
    assert (await auditor.get("/dashboard")).headers["location"] == "/dashboard/owner"
    assert (await auditor.get("/api/owner/logs/audit")).status_code == 200
    assert (await auditor.post("/api/owner/tenants", json={"name": "Mine"})).status_code == 403
    assert (await auditor.post("/api/owner/queues/ai:content/pause", json={"reason": "x"})).status_code == 403
    assert (await ops.post("/api/owner/queues/ai:content/pause", json={"reason": "x"})).status_code == 200
    assert (await ops.post("/api/owner/tenants", json={"name": "Mine"})).status_code == 403
    assert "New tenant" not in (await ops.get("/dashboard/owner/tenants")).text


async def test_a_person_renamed_is_renamed_in_every_tenant(
    member: Person, tenant: Made, admin: asyncpg.Connection
) -> None:
    await member("ann@example.org", "viewer")
    await admin.execute("""UPDATE "user" SET name = 'Ann Other', email = 'ann@example.net'""")
    row = await admin.fetchrow("SELECT name, email FROM tenant_member")
    assert tuple(row) == ("Ann Other", "ann@example.net")
