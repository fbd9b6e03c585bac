"""The rules of roles: what they may do, and that nobody gives a right that they do not have."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from msgspec import UNSET
from sqlalchemy.ext.asyncio import AsyncSession

from app.core import roles as built_in
from app.core.errors import Conflict, Forbidden, Invalid, NotFound
from app.core.etag import Expected, require
from app.core.ids import new_id
from app.core.live import signal
from app.core.paging import Page, Pager, Sorts
from app.core.policy import Actor, Permission
from app.core.queries import text_of
from app.core.wire import one_line
from app.modules.audit.service import record
from app.modules.roles import repository
from app.modules.roles.models import Role
from app.modules.roles.schemas import MAX_ABOUT, MAX_NAME, RoleChange
from app.modules.tenants.events import TenantCreated
from app.modules.tenants.service import TenantService

__all__ = ["TOPIC", "Role", "RoleService", "seed"]
TOPIC = "roles"
SORTS = Sorts("-createdAt", {"createdAt": Role.id, "name": Role.name})


async def seed(session: AsyncSession, event: TenantCreated) -> None:
    """Give a new tenant the roles that every tenant has."""
    for each in built_in.BUILT_IN:
        session.add(Role(tenant_id=event.tenant_id, name=each.name, about=each.about, built_in=each.key))
    await session.flush()


class RoleService:
    """A tenant's roles, for its members and for the platform. Every change is audited in its transaction."""

    def __init__(self, session: AsyncSession, actor: Actor) -> None:
        self._session = session
        self._actor = actor
        self._known: Mapping[str, Permission] = session.info["permissions"]
        self._tenants = TenantService(session, actor)

    async def search(
        self,
        pager: Pager,
        tenant_id: UUID,
        *,
        text: str | None = None,
        limit: int = 25,
        cursor: str | None = None,
    ) -> Page[Role]:
        """`text` is looked for in names and descriptions.

        Raises:
            NotFound: there is no such tenant. Invalid (`q`).
        """
        await self._tenants.called(tenant_id)
        text = text_of("q", text)
        return await pager.page(
            self._session,
            repository.roles(tenant_id, text),
            key=Role.id,
            of=f"roles {tenant_id} {text}",
            limit=limit,
            cursor=cursor,
            sorts=SORTS,
        )

    async def all(self, tenant_id: UUID) -> list[Role]:
        """Every role of the tenant: built-in ones first, the others by name."""
        rows = (await self._session.scalars(repository.roles(tenant_id))).all()
        order = [each.key for each in built_in.BUILT_IN]
        return sorted(rows, key=lambda row: (order.index(row.built_in) if row.built_in else len(order), row.name))

    async def get(self, tenant_id: UUID, role_id: UUID, *, lock: bool = False) -> Role:
        """
        Raises:
            NotFound: the tenant has no such role.
        """
        role = await repository.one(self._session, tenant_id, role_id, lock=lock)
        if role is None:
            raise NotFound("There is no such role")
        return role

    async def chosen(self, tenant_id: UUID, role_id: UUID) -> Role:
        """The role that somebody is to have.

        Raises:
            Invalid (`roleId`): the tenant has no such role.
        """
        role = await repository.one(self._session, tenant_id, role_id)
        if role is None:
            raise Invalid.field("roleId", "there is no such role in this tenant")
        return role

    async def named(self, tenant_id: UUID, name: str) -> Role:
        """
        Raises:
            NotFound: the tenant has no role of this name.
        """
        role = await repository.named(self._session, tenant_id, name)
        if role is None:
            raise NotFound(f"There is no role {name}")
        return role

    async def rights(self, roles: Iterable[Role]) -> dict[UUID, frozenset[str]]:
        """What each of these may do."""
        rows = list(roles)
        given = await repository.given(self._session, [row.id for row in rows if row.built_in is None])
        return {row.id: built_in.of_member(self._known, row.built_in, given.get(row.id, ())) for row in rows}

    async def holders(self, tenant_id: UUID) -> dict[UUID, int]:
        """How many members have each role in the whole tenant."""
        return await repository.holders(self._session, tenant_id)

    def grantable(self) -> list[Permission]:
        """What the actor can give a role: what members may have at all, and it has itself in the whole tenant."""
        found = built_in.grantable(self._known)
        return [found[name] for name in sorted(found) if name in self._actor.permissions]

    async def within(self, roles: Sequence[Role]) -> list[Role]:
        """Those of these that may do nothing that the actor may not, and so are the actor's to give."""
        rights = await self.rights(roles)
        return [role for role in roles if rights[role.id] <= self._actor.permissions]

    async def require_within(self, *roles: Role) -> None:
        """
        Raises:
            Forbidden (`right_not_held`): one of these may do what the actor may not.
        """
        rights = await self.rights(roles)
        self._require_held(frozenset().union(*rights.values()))

    async def create(self, tenant_id: UUID, name: str, about: str, permissions: Collection[str]) -> Role:
        """
        Raises:
            NotFound: there is no such tenant. Invalid: naming `name`, `about` or `permissions`.
            Conflict (`name_taken`). Forbidden (`right_not_held`).
        """
        await self._tenants.called(tenant_id)
        names = self._chosen(permissions)
        label = await self._free_name(tenant_id, name)
        role = Role(id=new_id(), tenant_id=tenant_id, name=label, about=_about(about))
        self._session.add(role)
        await self._session.flush()
        await repository.give(self._session, role, names)
        await self._session.refresh(role)
        await self._trace("role.create", role, None, _audited(role, names))
        return role

    async def update(self, tenant_id: UUID, role_id: UUID, change: RoleChange, *, expected: Expected = None) -> Role:
        """Change what `change` names, from now on for everybody who has the role.

        Raises:
            NotFound, Stale, Invalid; Conflict (`name_taken`, `built_in`); Forbidden (`right_not_held`).
        """
        role = await self._own(tenant_id, role_id)
        require(role.version, expected, "role")
        had = (await self.rights([role]))[role.id]
        before = _audited(role, had)
        names = had if change.permissions is UNSET else self._chosen(change.permissions)
        label = role.name if change.name is UNSET else await self._free_name(tenant_id, change.name, role)
        about = role.about if change.about is UNSET else _about(change.about)
        after = {"name": label, "about": about, "permissions": sorted(names)}
        if after == before:
            return role
        role.name, role.about = label, about
        role.version += 1  # also where only the permissions change, which stand in rows of their own
        await repository.give(self._session, role, names)
        await self._session.refresh(role)
        await self._trace("role.update", role, before, after)
        return role

    async def delete(self, tenant_id: UUID, role_id: UUID) -> Role:
        """
        Raises:
            NotFound; Conflict (`built_in`, `role_in_use`); Forbidden (`right_not_held`).
        """
        role = await self._own(tenant_id, role_id)
        if await repository.in_use(self._session, role):
            raise Conflict(f"Somebody has the role {role.name}: give them another first", code="role_in_use")
        before = _audited(role, (await self.rights([role]))[role.id])
        await self._session.delete(role)
        await self._session.flush()
        await self._trace("role.delete", role, before, None)
        return role

    async def _own(self, tenant_id: UUID, role_id: UUID) -> Role:
        role = await self.get(tenant_id, role_id, lock=True)
        if role.built_in is not None:
            raise Conflict(f"{role.name} is built in: make a role of your own instead", code="built_in")
        await self.require_within(role)
        return role

    def _chosen(self, permissions: Collection[str]) -> frozenset[str]:
        names = frozenset(permissions)
        unknown = sorted(names - built_in.grantable(self._known).keys())
        if unknown:
            raise Invalid.field("permissions", f"a role cannot be given {', '.join(unknown)}")
        self._require_held(names)
        if not names:
            raise Invalid.field("permissions", "choose at least one")
        return names

    def _require_held(self, names: frozenset[str]) -> None:
        if beyond := sorted(names - self._actor.permissions):
            raise Forbidden(f"You do not have {', '.join(beyond)}, so it is not yours to give", code="right_not_held")

    async def _free_name(self, tenant_id: UUID, name: str, of: Role | None = None) -> str:
        label = one_line("name", name, MAX_NAME)
        other = await repository.named(self._session, tenant_id, label)
        if other is not None and (of is None or other.id != of.id):
            raise Conflict(f"There is a role called {label} already", code="name_taken")
        return label

    async def _trace(
        self, action: str, role: Role, before: dict[str, Any] | None, after: dict[str, Any] | None
    ) -> None:
        resource = ("role", role.id, role.name)
        await record(
            self._session, self._actor, action, resource=resource, before=before, after=after, tenant_id=role.tenant_id
        )
        signal(self._session, TOPIC, role.id, role.tenant_id)


def _audited(role: Role, permissions: Collection[str]) -> dict[str, Any]:
    return {"name": role.name, "about": role.about, "permissions": sorted(permissions)}


def _about(text: str) -> str:
    return one_line("about", text, MAX_ABOUT) if text.strip() else ""
