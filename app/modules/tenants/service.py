"""The rules of tenants: who they are, the workspaces that divide their work, and what they may use at most."""

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from msgspec import UNSET
from sqlalchemy import Select, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Plane, scope_of
from app.core.errors import Conflict, Invalid, NotFound
from app.core.etag import Expected, require
from app.core.events import emit
from app.core.ids import new_id
from app.core.limits import DAY_S, Limiter, Window, today
from app.core.live import signal
from app.core.paging import Page, Pager, Sorts
from app.core.policy import Actor, Membership
from app.core.queries import at_once, text_of
from app.core.quota import API_CALLS_PER_DAY, JOBS_IN_FLIGHT, NEARLY, Quota, exceeded
from app.core.signs import Sign, Weight
from app.core.wire import one_line
from app.module import Keyed
from app.modules.audit.service import record
from app.modules.tenants import repository
from app.modules.tenants.events import TenantCreated, TimezoneChanged
from app.modules.tenants.jobs import EraseTenant
from app.modules.tenants.models import Tenant, TenantRecord, Workspace
from app.modules.tenants.schemas import MAX_NAME, MAX_REASON, QuotaRead, TenantChange
from app.queues.clock import clock
from app.queues.enqueue import enqueue
from app.queues.timing import checked_zone

most_of = repository.most_of
TOPIC = "tenants"
SORTS = Sorts("-createdAt", {"createdAt": Tenant.id, "name": Tenant.name})
WORKSPACE_SORTS = Sorts("-createdAt", {"createdAt": Workspace.id, "name": Workspace.name})
SUSPENDED, DELETING = "suspended", "deleting"
GRACE = timedelta(days=7)
Fields = dict[str, Any]
FIRST_WORKSPACE = "Main"
MOST = 10**12


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
        """`text` is looked for in name and slug.

        Raises:
            Invalid (`q`).
        """
        text = text_of("q", text)
        return await pager.page(
            self._session,
            repository.tenants(text, status),
            key=Tenant.id,
            of=f"tenants {text} {status}",
            limit=limit,
            cursor=cursor,
            sorts=SORTS,
        )

    async def update(self, tenant_id: UUID, change: TenantChange, *, expected: Expected = None) -> Tenant:
        """Change what `change` names; nothing new makes no new version. The slug stays, since addresses use it.

        Args:
            expected: the versions that the caller is willing to change; None means any.

        Raises:
            NotFound, Stale, Invalid, Conflict (`name_taken`; `deleting`: only its name can be changed).
        """
        tenant = self._found(await repository.tenant(self._session, tenant_id, lock=True))
        require(tenant.version, expected, "tenant")
        before = _settable(tenant)
        if change.name is not UNSET:
            tenant.name = await self._free_name(change.name, tenant)
        if change.status is not UNSET and change.status != tenant.status:
            if tenant.status == DELETING:
                raise Conflict("This tenant is being deleted: take that back first", code="deleting")
            tenant.status = change.status
            tenant.reason = _reason(change.reason) if change.status == SUSPENDED else None
        if change.timezone is not UNSET:
            tenant.timezone = checked_zone(change.timezone)
        if _settable(tenant) != before:
            await self._session.flush()
            await self._session.refresh(tenant)
            await self._trace("owner.tenant.update", tenant, before, _settable(tenant), change.reason)
            if tenant.timezone != before["timezone"]:
                await emit(self._session, TimezoneChanged(tenant.id))
        return tenant

    async def suspend_many(self, ids: Collection[UUID], reason: str | None = None) -> int:
        """Refuse the members and programs of these tenants, of all or of none; returns how many were not suspended.

        Raises:
            NotFound: one is no tenant. Invalid (`ids`, `reason`). Conflict (`deleting`).
        """
        return await self._each(ids, TenantChange(status="suspended", reason=reason))

    async def resume_many(self, ids: Collection[UUID]) -> int:
        """Let these tenants go on, all or none; returns how many were suspended.

        Raises:
            NotFound: one is no tenant. Invalid (`ids`). Conflict (`deleting`).
        """
        return await self._each(ids, TenantChange(status="active"))

    async def _each(self, ids: Collection[UUID], change: TenantChange) -> int:
        chosen = at_once(ids)
        rows = await repository.locked(self._session, chosen)
        if len(rows) != len(chosen):
            raise NotFound("There is no such tenant")
        others = [row.id for row in rows if row.status != change.status]
        for tenant_id in others:
            await self.update(tenant_id, change)
        return len(others)

    async def delete(self, tenant_id: UUID, *, reason: str | None = None, expected: Expected = None) -> Tenant:
        """Shut the tenant's doors now, and erase all that is its in seven days, unless that is taken back.

        Raises:
            NotFound, Stale. Conflict (`deleting`): it is being deleted already.
        """
        tenant = self._found(await repository.tenant(self._session, tenant_id, lock=True))
        require(tenant.version, expected, "tenant")
        if tenant.status == DELETING:
            raise Conflict("This tenant is being deleted already", code="deleting")
        before = _settable(tenant)
        tenant.status, tenant.status_before = DELETING, tenant.status
        tenant.reason = _reason(reason) or tenant.reason
        tenant.erase_at = clock.moment() + GRACE
        await self._session.flush()
        await self._session.refresh(tenant)
        await enqueue(self._session, EraseTenant(tenant_id=tenant.id, erase_at=tenant.erase_at), run_at=tenant.erase_at)
        await self._trace("owner.tenant.delete", tenant, before, _settable(tenant), reason)
        return tenant

    async def undelete(self, tenant_id: UUID) -> Tenant:
        """Take a deletion back: the tenant is what it was before.

        Raises:
            NotFound. Conflict (`not_deleting`): it is not being deleted, or its time is over.
        """
        tenant = self._found(await repository.tenant(self._session, tenant_id, lock=True))
        if tenant.erase_at is None or tenant.erase_at <= clock.moment():
            raise Conflict("There is no deletion to take back, or its time is over", code="not_deleting")
        before = _settable(tenant)
        tenant.status, tenant.status_before = tenant.status_before or "active", None
        tenant.reason = tenant.reason if tenant.status == SUSPENDED else None
        tenant.erase_at = None
        await self._session.flush()
        await self._session.refresh(tenant)
        await self._trace("owner.tenant.undelete", tenant, before, _settable(tenant))
        return tenant

    async def workspaces(
        self,
        pager: Pager,
        tenant_id: UUID,
        *,
        text: str | None = None,
        limit: int = 25,
        cursor: str | None = None,
    ) -> Page[Workspace]:
        """`text` is looked for in name and slug.

        Raises:
            NotFound: there is no such tenant. Invalid (`q`).
        """
        await self.called(tenant_id)
        text = text_of("q", text)
        return await pager.page(
            self._session,
            repository.workspaces(tenant_id, text),
            key=Workspace.id,
            of=f"workspaces {tenant_id} {text}",
            limit=limit,
            cursor=cursor,
            sorts=WORKSPACE_SORTS,
        )

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
        after = {"name": workspace.name, "slug": workspace.slug, "tenant": tenant.slug}
        await self._trace_workspace("owner.workspace.create", tenant, workspace, None, after)
        return workspace

    async def update_workspace(
        self, tenant_id: UUID, workspace_id: UUID, name: str, *, expected: Expected = None
    ) -> Workspace:
        """Give a workspace another name. The slug stays, since addresses use it.

        Raises:
            NotFound, Stale, Invalid, Conflict (`name_taken`).
        """
        tenant = await self.get(tenant_id)
        workspace = await self.workspace(tenant_id, workspace_id)
        require(workspace.version, expected, "workspace")
        before = {"name": workspace.name}
        workspace.name = await self._free_workspace_name(tenant, name, workspace)
        if workspace.name != before["name"]:
            await self._session.flush()
            await self._session.refresh(workspace)
            await self._trace_workspace("owner.workspace.update", tenant, workspace, before, {"name": workspace.name})
        return workspace

    async def delete_workspace(self, tenant_id: UUID, workspace_id: UUID) -> None:
        """Delete a workspace in which nothing is left.

        Raises:
            NotFound. Conflict (`not_empty`, `last_workspace`).
        """
        tenant = self._found(await repository.tenant(self._session, tenant_id, lock=True))
        workspace = await self.workspace(tenant_id, workspace_id)
        before = {"name": workspace.name, "slug": workspace.slug}
        if len(await self.workspace_names(tenant_id)) == 1:
            raise Conflict("A tenant keeps at least one workspace", code="last_workspace")
        try:
            # The foreign keys know what is in it, also what is added at this moment.
            async with self._session.begin_nested():
                await self._session.delete(workspace)
        except IntegrityError as error:
            held = repository.table_of(error)
            raise Conflict(f"There is still something in {before['name']}: {held}", code="not_empty") from None
        await self._trace_workspace("owner.workspace.delete", tenant, workspace, before, None)

    async def _add_workspace(self, tenant: Tenant, name: str) -> Workspace:
        label = await self._free_workspace_name(tenant, name)
        values = {"id": new_id(), "tenant_id": tenant.id, "name": label}
        taken = select(Workspace.slug).where(Workspace.tenant_id == tenant.id)
        return await repository.add(self._session, Workspace, values, taken)

    async def _free_workspace_name(self, tenant: Tenant, name: str, of: Workspace | None = None) -> str:
        label = named("name", name)
        rows = repository.workspaces(tenant.id)
        others = rows if of is None else rows.where(Workspace.id != of.id)
        if await repository.take_name(self._session, label, others, Workspace.name):
            raise Conflict(f"{tenant.name} has a workspace called {label} already", code="name_taken")
        return label

    async def _free_name(self, name: str, of: Tenant | None = None) -> str:
        """The name as it is kept; `of` is who may have it already."""
        label = named("name", name)
        others = repository.tenants() if of is None else repository.tenants().where(Tenant.id != of.id)
        if await repository.take_name(self._session, label, others, Tenant.name):
            raise Conflict(f"There is a tenant called {label} already", code="name_taken")
        return label

    async def _trace(
        self, action: str, tenant: Tenant, before: Fields | None, after: Fields, reason: str | None = None
    ) -> None:
        resource = ("tenant", tenant.id, tenant.name)
        changes: Fields = {"before": before, "after": after, "reason": reason}
        await record(self._session, self._actor, action, resource=resource, tenant_id=tenant.id, **changes)
        signal(self._session, TOPIC, tenant.id, scope_of(self._session).tenant_id)

    async def _trace_workspace(
        self, action: str, tenant: Tenant, workspace: Workspace, before: Fields | None, after: Fields | None
    ) -> None:
        resource = ("workspace", workspace.id, f"{tenant.name} / {workspace.name}")
        changes: Fields = {"before": before, "after": after}
        await record(self._session, self._actor, action, resource=resource, tenant_id=tenant.id, **changes)
        signal(self._session, TOPIC, tenant.id, scope_of(self._session).tenant_id)

    def _found(self, tenant: Tenant | None) -> Tenant:
        if tenant is None:
            raise NotFound("There is no such tenant")
        return tenant


class QuotaService:
    """What tenants may use at most. The modules that count things declare the quotas."""

    def __init__(self, session: AsyncSession, actor: Actor) -> None:
        self._session = session
        self._actor = actor

    async def all(self, tenant_id: UUID) -> list[QuotaRead]:
        """Every quota with what is used of it now.

        Raises:
            NotFound: there is no such tenant.
        """
        await TenantService(self._session, self._actor).called(tenant_id)
        most = await repository.quotas(self._session, tenant_id)
        return [
            QuotaRead(
                name=each.name, label=each.label, used=await each.used(self._session, tenant_id), most=most.get(name)
            )
            for name, each in _known(self._session).items()
        ]

    async def change(self, tenant_id: UUID, wanted: dict[str, int | None]) -> list[QuotaRead]:
        """Set the quotas that are named; None takes one away. What is used already stays, also where it is more.

        Raises:
            NotFound. Invalid: naming what is no quota, or below zero.
        """
        tenant = await TenantService(self._session, self._actor).get(tenant_id)
        known = _known(self._session)
        for name, most in wanted.items():
            if name not in known:
                raise Invalid.field(name, f"is no quota; there are {', '.join(known)}")
            if most is not None and not 0 <= most <= MOST:
                raise Invalid.field(name, f"must be from 0 to {MOST:,}, or null")
        before = await repository.quotas(self._session, tenant_id)
        for name, most in wanted.items():
            await repository.set_quota(self._session, tenant_id, name, most)
        after = await repository.quotas(self._session, tenant_id)
        if after != before:
            await record(
                self._session,
                self._actor,
                "owner.quota.update",
                resource=("tenant", tenant.id, tenant.name),
                before={name: before.get(name) for name in wanted},
                after={name: after.get(name) for name in wanted},
                tenant_id=tenant.id,
            )
            signal(self._session, TOPIC, tenant.id, scope_of(self._session).tenant_id)
        return await self.all(tenant_id)


def all_of_tenant(given: Mapping[str, str]) -> Select[tuple[TenantRecord]]:
    """What the export of a tenant holds; `given` has its `tenantId`.

    Raises:
        Invalid (`tenantId`).
    """
    return repository.everything(_exported(given))


def rest_of_tenant(given: Mapping[str, str]) -> Sequence[Keyed]:
    """The rows without an id that stand behind those."""
    return repository.without_ids(_exported(given))


def _exported(given: Mapping[str, str]) -> UUID:
    try:
        tenant_id = UUID(given.get("tenantId", ""))
    except ValueError:
        raise Invalid.field("tenantId", "must be the id of a tenant") from None
    if extra := sorted({*given} - {"tenantId"}):
        raise Invalid.field(extra[0], "is not known here")
    return tenant_id


async def require_room(session: AsyncSession, tenant_id: UUID, name: str, wanted: int = 1) -> None:
    """Ask whether a tenant may have so many more of something, before they are made in this transaction.

    Where the tenant has this quota, nobody else gets an answer about it until the transaction ends: two at once
    cannot both take the last place. Without one this costs one statement.

    Raises:
        QuotaExceeded: naming the quota, its limit and its use.
    """
    most = await repository.hold_quota(session, tenant_id, name)
    if most is None:
        return
    quota = _known(session)[name]
    used = await quota.used(session, tenant_id) or 0
    if used + wanted > most:
        raise exceeded(quota.label, most, used)


async def may_send(session: AsyncSession) -> bool:
    """Whether work of the transaction's tenant may reach outside: not while it is suspended or being deleted.

    What a processor of a tenant's job asks before it calls a receiver, a mail server or a provider for it.
    """
    return await repository.active(session)


async def signs(session: AsyncSession) -> list[Sign]:
    """The quotas of this transaction's tenant that are nearly used up."""
    tenant_id, found = scope_of(session).tenant_id, []
    for name, most in (await repository.quotas(session, tenant_id)).items():
        quota = _known(session).get(name)
        if quota is None:
            continue  # its module is gone
        used = await quota.used(session, tenant_id) or 0
        if most and used >= most * NEARLY:
            text = f"{quota.label}: {used:,} of {most:,} are used"
            found.append(Sign(quota.label, f"{used:,} of {most:,}", text, Weight.WARN, "/workspaces"))
    return found


async def timezone_of(session: AsyncSession, tenant_id: UUID) -> ZoneInfo:
    """Where a tenant's site is at home. A tenant's own transaction may ask for itself only, and gets UTC else."""
    return ZoneInfo(await repository.timezone(session, tenant_id) or "UTC")


async def tenant_names(session: AsyncSession) -> dict[UUID, str]:
    """The first 500 by name, to choose one from; a tenant's own transaction may not read tenants, and finds none."""
    if scope_of(session).plane is Plane.TENANT:
        return {}
    rows = await session.execute(
        repository.tenants().with_only_columns(Tenant.id, Tenant.name).order_by(Tenant.name).limit(500)
    )
    return {row.id: row.name for row in rows}


async def calls_today(session: AsyncSession, tenant_id: UUID) -> int | None:
    """The calls of the API in the last 24 hours by all programs of a tenant; None while Redis is away.

    They are counted where the tenant has that quota.
    """
    limiter: Limiter = session.info["limiter"]
    most = (await repository.quotas(session, tenant_id)).get(API_CALLS_PER_DAY)
    return None if most is None else await limiter.used(today(tenant_id), Window(most, DAY_S))


async def room_for_jobs(session: AsyncSession, tenant_id: UUID, jobs: int) -> None:
    """The port that the queues want."""
    await require_room(session, tenant_id, JOBS_IN_FLIGHT, jobs)


def _known(session: AsyncSession) -> dict[str, Quota]:
    found: dict[str, Quota] = session.info["quotas"]
    return found


def _settable(tenant: Tenant) -> Fields:
    names = ("name", "status", "reason", "erase_at", "timezone")
    return {name: getattr(tenant, name) for name in names}


def _reason(text: str | None) -> str | None:
    return one_line("reason", text, MAX_REASON) if text and text.strip() else None
