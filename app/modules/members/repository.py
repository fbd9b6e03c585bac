"""Queries on members and their workspaces."""

from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Select, column, delete, exists, func, or_, select, table
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.locks import hold
from app.core.roles import ADMIN, OWNER
from app.modules.members.models import TenantMember, WorkspaceMember, WorkspaceRole

# Of the module below, by name: its models are its own.
_ROLE = table("role", column("tenant_id"), column("id"), column("built_in"))
LOOK_AFTER = (OWNER, ADMIN)
"""The built-in roles of which a tenant keeps at least one member."""


@dataclass(frozen=True, slots=True)
class MemberFilter:
    """Which members; None means any. `text` is a part of name or e-mail, in any case."""

    text: str | None = None
    role_id: UUID | None = None
    workspace_id: UUID | None = None


async def count(session: AsyncSession, tenant_id: UUID) -> int:
    query = select(func.count()).where(TenantMember.tenant_id == tenant_id)
    return await session.scalar(query) or 0


def members(tenant_id: UUID, wanted: MemberFilter = MemberFilter()) -> Select[tuple[TenantMember]]:
    query = select(TenantMember).where(TenantMember.tenant_id == tenant_id)
    if wanted.text:
        columns = (TenantMember.name, TenantMember.email)
        query = query.where(or_(*(each.icontains(wanted.text, autoescape=True) for each in columns)))
    if wanted.role_id is not None:
        query = query.where(TenantMember.role_id == wanted.role_id)
    if wanted.workspace_id is not None:
        place = (WorkspaceMember.member_id == TenantMember.id, WorkspaceMember.workspace_id == wanted.workspace_id)
        query = query.where(exists().where(*place))
    return query


async def some(
    session: AsyncSession, tenant_id: UUID, ids: Collection[UUID], *, lock: bool = False
) -> list[TenantMember]:
    query = members(tenant_id).where(TenantMember.id.in_(ids)).order_by(TenantMember.id)
    return list(await session.scalars(query.with_for_update() if lock else query))


async def belongs(session: AsyncSession, tenant_id: UUID, user_id: UUID) -> bool:
    same = members(tenant_id).where(TenantMember.user_id == user_id)
    return bool(await session.scalar(select(same.exists())))


async def lock_members(session: AsyncSession, tenant_id: UUID) -> None:
    """Until the transaction ends nobody else takes an admin of this tenant away."""
    await hold(session, f"members {tenant_id}")


async def admins(session: AsyncSession, tenant_id: UUID) -> set[UUID]:
    """The members who have the built-in role of owner or admin."""
    chief = select(_ROLE.c.id).where(_ROLE.c.tenant_id == tenant_id, _ROLE.c.built_in.in_(LOOK_AFTER))
    query = select(TenantMember.id).where(TenantMember.tenant_id == tenant_id, TenantMember.role_id.in_(chief))
    return set(await session.scalars(query))


async def places(
    session: AsyncSession, tenant_id: UUID, members: Collection[UUID]
) -> dict[UUID, dict[UUID, list[UUID]]]:
    """By member and workspace, the ids of the roles there."""
    query = (
        select(WorkspaceMember.member_id, WorkspaceMember.workspace_id, WorkspaceRole.role_id)
        .outerjoin(
            WorkspaceRole,
            (WorkspaceRole.tenant_id == WorkspaceMember.tenant_id)
            & (WorkspaceRole.workspace_member_id == WorkspaceMember.id),
        )
        .where(WorkspaceMember.tenant_id == tenant_id, WorkspaceMember.member_id.in_(members))
        .order_by(WorkspaceMember.id)
    )
    found: dict[UUID, dict[UUID, list[UUID]]] = {}
    for row in await session.execute(query):
        roles = found.setdefault(row.member_id, {}).setdefault(row.workspace_id, [])
        if row.role_id is not None:
            roles.append(row.role_id)
    return found


async def put_place(session: AsyncSession, member: TenantMember, workspace_id: UUID, roles: Collection[UUID]) -> None:
    """Make these, and no others, the member's roles in the workspace; without any it is no place of his."""
    here = (
        WorkspaceMember.tenant_id == member.tenant_id,
        WorkspaceMember.member_id == member.id,
        WorkspaceMember.workspace_id == workspace_id,
    )
    await session.execute(delete(WorkspaceMember).where(*here))
    if not roles:
        return
    place = WorkspaceMember(tenant_id=member.tenant_id, member_id=member.id, workspace_id=workspace_id)
    session.add(place)
    await session.flush()
    of = {"tenant_id": member.tenant_id, "workspace_member_id": place.id}
    session.add_all([WorkspaceRole(**of, role_id=role) for role in sorted(set(roles))])
    await session.flush()
