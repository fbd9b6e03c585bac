"""The rules of tenants: who they are, and the workspaces that divide their work."""

from uuid import UUID

from msgspec import UNSET
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import scope_of
from app.core.errors import Conflict, Invalid, NotFound
from app.core.etag import Expected, require
from app.core.events import emit
from app.core.ids import new_id
from app.core.live import signal
from app.core.paging import Page, Pager
from app.core.policy import Actor, Membership
from app.core.wire import one_line
from app.modules.audit.service import record
from app.modules.tenants import repository
from app.modules.tenants.events import TenantCreated
from app.modules.tenants.models import Tenant, Workspace
from app.modules.tenants.schemas import MAX_NAME, TenantChange

TOPIC = "tenants"
FIRST_WORKSPACE = "Main"


def named(field: str, text: str) -> str:
    """A name that a slug can be made of.

    Raises:
        Invalid.
    """
    name = one_line(field, text, MAX_NAME)
    if not any(sign.isalnum() for sign in name):
        raise Invalid.field(field, "must have a letter or a digit")
    return name


class TenantService:
    """Tenants, for the platform. Every change is audited in its transaction."""

    def __init__(self, session: AsyncSession, actor: Actor) -> None:
        self._session = session
        self._actor = actor

    async def create(self, name: str) -> Tenant:
        """Make a tenant with a first workspace. Slugs get a number where they would clash.

        Raises:
            Invalid: the name is empty, too long, more than a line or without a letter. Conflict (`name_taken`).
        """
        values = {"id": new_id(), "name": await self._free_name(name), "status": "active"}
        tenant = await repository.add(self._session, Tenant, values, select(Tenant.slug))
        workspace = await self._add_workspace(tenant, FIRST_WORKSPACE)
        after = {"name": tenant.name, "slug": tenant.slug, "status": tenant.status, "workspace": workspace.slug}
        await self._trace("owner.tenant.create", tenant, None, after)
        await emit(self._session, TenantCreated(tenant.id))
        return tenant

    async def get(self, tenant_id: UUID) -> Tenant:
        """
        Raises:
            NotFound: there is none with this id; the platform's own is not a tenant.
        """
        return self._found(await repository.tenant(self._session, tenant_id))

    async def called(self, tenant_id: UUID) -> Membership:
        """The tenant that a member or the platform acts on; a tenant's own transaction cannot read tenants.

        Raises:
            NotFound: there is no such tenant.
        """
        if self._actor.tenant is not None and self._actor.tenant_id == tenant_id:
            return self._actor.tenant
        tenant = await self.get(tenant_id)
        return Membership(tenant.slug, tenant.name)

    async def find(self, name: str) -> Tenant:
        """By slug or by id, as people write it on a command line.

        Raises:
            NotFound: there is none.
        """
        tenant = await repository.tenant_by_slug(self._session, name)
        if tenant is None:
            try:
                tenant = await repository.tenant(self._session, UUID(name))
            except ValueError:
                tenant = None
        return self._found(tenant)

    async def search(
        self,
        pager: Pager,
        *,
        text: str | None = None,
        status: str | None = None,
        limit: int = 25,
        cursor: str | None = None,
    ) -> Page[Tenant]:
        """Newest first; `text` is looked for in name and slug.

        Raises:
            Invalid (`q`): it has a character that PostgreSQL cannot hold.
        """
        if text and "\0" in text:
            raise Invalid.field("q", "has a character that no name has")
        query = repository.tenants(text, status)
        return await pager.page(
            self._session, query, key=Tenant.id, of=f"tenants {text} {status}", limit=limit, cursor=cursor
        )

    async def update(self, tenant_id: UUID, change: TenantChange, *, expected: Expected = None) -> Tenant:
        """Change what `change` names; nothing new makes no new version. The slug stays, since addresses use it.

        Args:
            expected: the versions that the caller is willing to change; None means any.

        Raises:
            NotFound, Stale, Invalid, Conflict (`name_taken`).
        """
        tenant = self._found(await repository.tenant(self._session, tenant_id, lock=True))
        require(tenant.version, expected, "tenant")
        before = {"name": tenant.name, "status": tenant.status}
        after = {
            "name": before["name"] if change.name is UNSET else await self._free_name(change.name, tenant),
            "status": before["status"] if change.status is UNSET else change.status,
        }
        if after != before:
            tenant.name, tenant.status = after["name"], after["status"]
            await self._session.flush()
            await self._session.refresh(tenant)
            await self._trace("owner.tenant.update", tenant, before, after)
        return tenant

    async def workspaces(
        self, pager: Pager, tenant_id: UUID, *, limit: int = 25, cursor: str | None = None
    ) -> Page[Workspace]:
        """Newest first.

        Raises:
            NotFound: there is no such tenant.
        """
        await self.get(tenant_id)
        query, of = repository.workspaces(tenant_id), f"workspaces {tenant_id}"
        return await pager.page(self._session, query, key=Workspace.id, of=of, limit=limit, cursor=cursor)

    async def workspace(self, tenant_id: UUID, workspace_id: UUID) -> Workspace:
        """
        Raises:
            NotFound: the tenant has no such workspace.
        """
        query = repository.workspaces(tenant_id).where(Workspace.id == workspace_id)
        found = (await self._session.scalars(query)).one_or_none()
        if found is None:
            raise NotFound("There is no such workspace")
        return found

    async def workspace_names(self, tenant_id: UUID) -> dict[UUID, str]:
        """Every workspace of a tenant by id, the oldest first."""
        rows = await self._session.scalars(repository.workspaces(tenant_id).order_by(Workspace.id))
        return {row.id: row.name for row in rows}

    async def create_workspace(self, tenant_id: UUID, name: str) -> Workspace:
        """
        Raises:
            NotFound: there is no such tenant. Invalid: the name is empty, too long, more than a line or without a
            letter. Conflict (`name_taken`).
        """
        tenant = await self.get(tenant_id)
        workspace = await self._add_workspace(tenant, name)
        resource = ("workspace", workspace.id, f"{tenant.name} / {workspace.name}")
        after = {"name": workspace.name, "slug": workspace.slug, "tenant": tenant.slug}
        await record(self._session, self._actor, "owner.workspace.create", resource=resource, after=after)
        signal(self._session, TOPIC, tenant.id, scope_of(self._session).tenant_id)
        return workspace

    async def _add_workspace(self, tenant: Tenant, name: str) -> Workspace:
        label = named("name", name)
        if await repository.take_name(self._session, label, repository.workspaces(tenant.id), Workspace.name):
            raise Conflict(f"{tenant.name} has a workspace called {label} already", code="name_taken")
        values = {"id": new_id(), "tenant_id": tenant.id, "name": label}
        taken = select(Workspace.slug).where(Workspace.tenant_id == tenant.id)
        return await repository.add(self._session, Workspace, values, taken)

    async def _free_name(self, name: str, of: Tenant | None = None) -> str:
        """The name as it is kept; `of` is who may have it already."""
        label = named("name", name)
        others = repository.tenants() if of is None else repository.tenants().where(Tenant.id != of.id)
        if await repository.take_name(self._session, label, others, Tenant.name):
            raise Conflict(f"There is a tenant called {label} already", code="name_taken")
        return label

    async def _trace(self, action: str, tenant: Tenant, before: dict[str, str] | None, after: dict[str, str]) -> None:
        resource = ("tenant", tenant.id, tenant.name)
        await record(self._session, self._actor, action, resource=resource, before=before, after=after)
        signal(self._session, TOPIC, tenant.id, scope_of(self._session).tenant_id)

    def _found(self, tenant: Tenant | None) -> Tenant:
        if tenant is None:
            raise NotFound("There is no such tenant")
        return tenant
