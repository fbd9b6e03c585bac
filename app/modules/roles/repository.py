"""Queries on roles."""

from collections.abc import Collection, Mapping
from uuid import UUID

from sqlalchemy import Select, column, delete, exists, func, or_, select, table
from sqlalchemy.ext.asyncio import AsyncSession

from app.modules.roles.models import Role, RolePermission

# Of the module above, by name: its models are its own.
_MEMBER = table("tenant_member", column("tenant_id"), column("role_id"))
_WORKSPACE_ROLE = table("workspace_role", column("tenant_id"), column("role_id"))


def roles(tenant_id: UUID, words: str | None = None) -> Select[tuple[Role]]:
    query = select(Role).where(Role.tenant_id == tenant_id)
    if words:
        found = or_(Role.name.icontains(words, autoescape=True), Role.about.icontains(words, autoescape=True))
        query = query.where(found)
    return query


async def one(session: AsyncSession, tenant_id: UUID, role_id: UUID, *, lock: bool = False) -> Role | None:
    query = roles(tenant_id).where(Role.id == role_id)
    found: Role | None = await session.scalar(query.with_for_update() if lock else query)
    return found


async def named(session: AsyncSession, tenant_id: UUID, name: str) -> Role | None:
    """By name, whatever the case."""
    found: Role | None = await session.scalar(roles(tenant_id).where(func.lower(Role.name) == func.lower(name)))
    return found


async def given(session: AsyncSession, ids: Collection[UUID]) -> Mapping[UUID, set[str]]:
    """The permissions that stand in rows, by role."""
    query = select(RolePermission.role_id, RolePermission.permission).where(RolePermission.role_id.in_(ids))
    found: dict[UUID, set[str]] = {}
    for row in await session.execute(query):
        found.setdefault(row.role_id, set()).add(row.permission)
    return found


async def give(session: AsyncSession, role: Role, permissions: Collection[str]) -> None:
    """Make these, and no others, the role's."""
    here = (RolePermission.tenant_id == role.tenant_id, RolePermission.role_id == role.id)
    await session.execute(delete(RolePermission).where(*here))
    place = {"tenant_id": role.tenant_id, "role_id": role.id}
    session.add_all([RolePermission(**place, permission=name) for name in sorted(permissions)])
    await session.flush()


async def in_use(session: AsyncSession, role: Role) -> bool:
    """Whether somebody has it, in the tenant or in a workspace."""
    held = [exists().where(t.c.tenant_id == role.tenant_id, t.c.role_id == role.id) for t in (_MEMBER, _WORKSPACE_ROLE)]
    return bool(await session.scalar(select(or_(*held))))


async def holders(session: AsyncSession, tenant_id: UUID) -> dict[UUID, int]:
    """How many members have each role in the whole tenant."""
    query = select(_MEMBER.c.role_id, func.count().label("members")).where(_MEMBER.c.tenant_id == tenant_id)
    rows = await session.execute(query.where(_MEMBER.c.role_id.is_not(None)).group_by(_MEMBER.c.role_id))
    return {row.role_id: row.members for row in rows}
