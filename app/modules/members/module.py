"""Members: who belongs to a tenant, and to which of its workspaces."""

from typing import Any
from uuid import UUID

from litestar import Request
from litestar.di import NamedDependency
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Plane
from app.core.live import Topic
from app.core.paging import Pager
from app.core.policy import Actor, holder_of
from app.core.quota import MEMBERS, Quota
from app.core.templating import NavigationItem
from app.module import Module
from app.modules.members.controllers import MemberController
from app.modules.members.pages import MemberPages, TenantMemberPages, Views
from app.modules.members.permissions import ALL, READ
from app.modules.members.repository import count
from app.modules.members.service import TOPIC, MemberService
from app.modules.roles.service import RoleService
from app.modules.tenants.service import TenantService


def provide_members(session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]) -> MemberService:
    return MemberService(session, actor)


def provide_views(
    request: Request[Any, Any, Any],
    session: NamedDependency[AsyncSession],
    actor: NamedDependency[Actor],
    members: NamedDependency[MemberService],
    holder: NamedDependency[UUID],
    pager: NamedDependency[Pager],
) -> Views:
    return Views(request, holder, members, RoleService(session, actor), TenantService(session, actor), pager)


members = Module(
    name="members",
    owner_api=(MemberController,),
    pages=(TenantMemberPages,),
    member_pages=(MemberPages,),
    providers={"members": provide_members, "views": provide_views, "holder": holder_of},
    permissions=ALL,
    quotas=[Quota(MEMBERS, "Members", count)],
    topics=(Topic(TOPIC, READ),),
    navigation=(NavigationItem("Tenant", "Members", "/members", "users", READ, 60, Plane.TENANT),),
)
