"""The rules of members: who belongs to a tenant, what they are there, and that one who looks after it stays."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from msgspec import UNSET, UnsetType
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import Conflict, Invalid, NotFound
from app.core.etag import Expected, require
from app.core.ids import new_id
from app.core.live import signal
from app.core.paging import Page, Pager, Sorts
from app.core.policy import Actor
from app.core.queries import at_once, text_of
from app.core.quota import MEMBERS
from app.modules.audit.service import record
from app.modules.members import repository
from app.modules.members.models import TenantMember
from app.modules.members.repository import LOOK_AFTER
from app.modules.members.repository import MemberFilter as MemberFilter
from app.modules.people.service import User, user_by_email
from app.modules.roles.service import Role, RoleService
from app.modules.tenants.service import TenantService, require_room

TOPIC = "members"
SORTS = Sorts("-createdAt", {"createdAt": TenantMember.id, "name": TenantMember.name, "email": TenantMember.email})


class MemberService:
    """A tenant's members, for themselves and for the platform. Every change is audited in its transaction."""

    def __init__(self, session: AsyncSession, actor: Actor) -> None:
        self._session = session
        self._actor = actor
        self._roles = RoleService(session, actor)
        self._tenants = TenantService(session, actor)

    async def search(
        self,
        pager: Pager,
        tenant_id: UUID,
        wanted: MemberFilter,
        *,
        limit: int = 25,
        cursor: str | None = None,
    ) -> Page[TenantMember]:
        """
        Raises:
            NotFound: there is no such tenant. Invalid (`q`).
        """
        await self._tenants.called(tenant_id)
        wanted = replace(wanted, text=text_of("q", wanted.text))
        return await pager.page(
            self._session,
            repository.members(tenant_id, wanted),
            key=TenantMember.id,
            of=f"members {tenant_id} {wanted}",
            limit=limit,
            cursor=cursor,
            sorts=SORTS,
        )

    async def get(self, tenant_id: UUID, member_id: UUID, *, lock: bool = False) -> TenantMember:
        """
        Raises:
            NotFound: the tenant has no such member.
        """
        found = await repository.some(self._session, tenant_id, [member_id], lock=lock)
        if not found:
            raise NotFound("There is no such member")
        return found[0]

    async def find(self, tenant_id: UUID, email: str) -> TenantMember:
        """By e-mail address, as people write it on a command line.

        Raises:
            NotFound: the tenant has no such member.
        """
        query = repository.members(tenant_id).where(TenantMember.email == email.strip().lower())
        member: TenantMember | None = await self._session.scalar(query)
        if member is None:
            raise NotFound(f"{email} is no member of this tenant")
        return member

    async def places(self, members: Sequence[TenantMember]) -> dict[UUID, dict[UUID, list[UUID]]]:
        """By member and workspace, the ids of the roles there."""
        if not members:
            return {}
        return await repository.places(self._session, members[0].tenant_id, [member.id for member in members])

    async def add(self, tenant_id: UUID, email: str, role_id: UUID) -> TenantMember:
        """Make a person who has an account a member. For the platform, which knows people; tenants invite.

        Raises:
            NotFound: there is no such tenant. Invalid: naming `email` or `roleId`. Conflict (`member_already`).
            Forbidden (`right_not_held`).
        """
        await self._tenants.called(tenant_id)
        person = await user_by_email(self._session, email)
        if person is None:
            raise Invalid.field("email", "nobody has an account with this address: send an invitation")
        role = await self._roles.chosen(tenant_id, role_id)
        await self._roles.require_within(role)
        return await self.enrol(tenant_id, person, role)

    async def enrol(self, tenant_id: UUID, person: User, role: Role) -> TenantMember:
        """Write down that a person belongs to the tenant; whoever calls has asked for rights.

        Raises:
            Conflict (`member_already`). QuotaExceeded: the tenant has as many members as it may.
        """
        if await repository.belongs(self._session, tenant_id, person.id):
            raise Conflict(f"{person.email} is a member already", code="member_already")
        await require_room(self._session, tenant_id, MEMBERS)
        member = TenantMember(
            id=new_id(), tenant_id=tenant_id, user_id=person.id, email=person.email, name=person.name, role_id=role.id
        )
        self._session.add(member)
        await self._session.flush()
        await self._session.refresh(member)
        await self._trace("member.add", member, None, {"email": member.email, "role": role.name})
        return member

    async def set_role(
        self, tenant_id: UUID, member_id: UUID, role_id: UUID | UnsetType | None, *, expected: Expected = None
    ) -> TenantMember:
        """Give a member another role in the whole tenant, or none; UNSET is the one that it has.

        Raises:
            NotFound, Stale; Invalid (`roleId`); Conflict (`last_admin`); Forbidden (`right_not_held`).
        """
        await repository.lock_members(self._session, tenant_id)
        member = await self.get(tenant_id, member_id, lock=True)
        require(member.version, expected, "member")
        if role_id is UNSET or member.role_id == role_id:
            return member
        wanted = None if role_id is None else await self._roles.chosen(tenant_id, role_id)
        had = (await self._held(tenant_id, [member])).get(member.id)
        await self._roles.require_within(*(role for role in (wanted, had) if role is not None))
        if wanted is None or wanted.built_in not in LOOK_AFTER:
            await self._require_another_admin(tenant_id, {member.id})
        member.role_id = role_id
        await self._session.flush()
        await self._session.refresh(member)
        await self._trace("member.update", member, {"role": _name(had)}, {"role": _name(wanted)})
        return member

    async def set_roles(self, tenant_id: UUID, ids: Iterable[UUID], role_id: UUID) -> int:
        """Give these this role in the whole tenant, all or none; returns how many had another.

        Raises:
            NotFound: one is none; Invalid: naming `ids` or `roleId`; Conflict (`last_admin`);
            Forbidden (`right_not_held`).
        """
        others = [member for member in await self._some(tenant_id, ids) if member.role_id != role_id]
        for member in others:
            await self.set_role(tenant_id, member.id, role_id)
        return len(others)

    async def set_place(
        self, tenant_id: UUID, member_id: UUID, workspace_id: UUID, role_ids: Collection[UUID]
    ) -> TenantMember:
        """Give a member these roles in one workspace, in place of those before; none takes it out of there.

        Raises:
            NotFound; Invalid: naming `workspaceId` or `roleIds`; Forbidden (`right_not_held`).
        """
        member = await self.get(tenant_id, member_id, lock=True)
        if workspace_id not in await self._tenants.workspace_names(tenant_id):
            raise Invalid.field("workspaceId", "there is no such workspace in this tenant")
        had = (await self.places([member])).get(member.id, {}).get(workspace_id, [])
        every = {role.id: role for role in await self._roles.all(tenant_id)}
        if unknown := [str(id_) for id_ in role_ids if id_ not in every]:
            raise Invalid.field("roleIds", f"there is no role {unknown[0]}")
        if set(had) == set(role_ids):
            return member
        await self._roles.require_within(*(every[id_] for id_ in {*had, *role_ids}))
        await repository.put_place(self._session, member, workspace_id, role_ids)
        before, after = (
            {"workspace": str(workspace_id), "roles": sorted(every[id_].name for id_ in ids)} for ids in (had, role_ids)
        )
        await self._trace("member.place", member, before, after)
        return member

    async def remove(self, tenant_id: UUID, ids: Iterable[UUID]) -> list[TenantMember]:
        """Take these out of the tenant, all or none; their accounts stay. From the next request on they are out.

        Raises:
            NotFound: one is none; Invalid (`ids`): none or too many; Conflict (`last_admin`);
            Forbidden (`right_not_held`).
        """
        members = await self._some(tenant_id, ids)
        held = await self._held(tenant_id, members)
        every = {role.id: role for role in await self._roles.all(tenant_id)}
        placed = {id_ for places in (await self.places(members)).values() for ids in places.values() for id_ in ids}
        await self._roles.require_within(*(every[id_] for id_ in placed | {role.id for role in held.values()}))
        await self._require_another_admin(tenant_id, {member.id for member in members})
        for member in members:
            before = {"email": member.email, "role": _name(held.get(member.id))}
            await self._session.delete(member)
            await self._session.flush()
            await self._trace("member.remove", member, before, None)
        return members

    async def _some(self, tenant_id: UUID, ids: Iterable[UUID]) -> list[TenantMember]:
        """Those members, for as long as nobody else takes an admin of the tenant away."""
        chosen = at_once(ids)
        await repository.lock_members(self._session, tenant_id)
        members = await repository.some(self._session, tenant_id, chosen, lock=True)
        if len(members) != len(chosen):
            raise NotFound("There is no such member")
        return members

    async def _held(self, tenant_id: UUID, members: Sequence[TenantMember]) -> dict[UUID, Role]:
        """By member, the role in the whole tenant: who has less than that does not touch the member."""
        every = {role.id: role for role in await self._roles.all(tenant_id)}
        return {member.id: every[member.role_id] for member in members if member.role_id}

    async def _require_another_admin(self, tenant_id: UUID, without: set[UUID]) -> None:
        admins = await repository.admins(self._session, tenant_id)
        if admins & without and not admins - without:
            raise Conflict("A tenant keeps at least one owner or admin", code="last_admin")

    async def _trace(
        self, action: str, member: TenantMember, before: dict[str, Any] | None, after: dict[str, Any] | None
    ) -> None:
        tenant = member.tenant_id
        resource = ("member", member.id, member.email)
        await record(
            self._session, self._actor, action, resource=resource, before=before, after=after, tenant_id=tenant
        )
        signal(self._session, TOPIC, member.id, tenant)


def _name(role: Role | None) -> str | None:
    return role.name if role is not None else None
