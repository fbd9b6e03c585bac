"""Roles: what the members of a tenant may do there."""

from typing import Any
from uuid import UUID

from litestar import Request
from litestar.di import NamedDependency
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Plane
from app.core.live import Topic
from app.core.paging import Pager
from app.core.policy import Actor, holder_of
from app.core.templating import NavigationItem
from app.module import Module
from app.modules.roles.controllers import RoleController
from app.modules.roles.pages import RolePages, TenantRolePages, Views
from app.modules.roles.permissions import ALL, READ
from app.modules.roles.service import TOPIC, RoleService, seed
from app.modules.tenants.events import TenantCreated
from app.modules.tenants.service import TenantService


def provide_roles(session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]) -> RoleService:
    return RoleService(session, actor)


def provide_views(
    request: Request[Any, Any, Any],
    session: NamedDependency[AsyncSession],
    actor: NamedDependency[Actor],
    roles: NamedDependency[RoleService],
    holder: NamedDependency[UUID],
    pager: NamedDependency[Pager],
) -> Views:
    return Views(request, holder, roles, TenantService(session, actor), pager)


roles = Module(
    name="roles",
    owner_api=(RoleController,),
    pages=(TenantRolePages,),
    member_pages=(RolePages,),
    providers={"roles": provide_roles, "views": provide_views, "holder": holder_of},
    subscribers=((TenantCreated, seed),),
    permissions=ALL,
    topics=(Topic(TOPIC, READ),),
    navigation=(NavigationItem("Tenant", "Roles", "/roles", "shield-check", READ, 62, Plane.TENANT),),
)
