"""Invitations: how people come into a tenant."""

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
from app.module import Mail, Module
from app.modules.invitations.controllers import InvitationController
from app.modules.invitations.pages import InvitationPages, TenantInvitationPages, Views, WelcomePages
from app.modules.invitations.permissions import ALL, READ
from app.modules.invitations.service import TOPIC, InvitationService, Welcome
from app.modules.roles.service import RoleService
from app.modules.tenants.service import TenantService


def provide_invitations(session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]) -> InvitationService:
    return InvitationService(session, actor)


def provide_welcome(request: Request[Any, Any, Any]) -> Welcome:
    return Welcome(request.app.state.database)


def provide_views(
    request: Request[Any, Any, Any],
    session: NamedDependency[AsyncSession],
    actor: NamedDependency[Actor],
    invitations: NamedDependency[InvitationService],
    holder: NamedDependency[UUID],
    pager: NamedDependency[Pager],
) -> Views:
    return Views(request, holder, invitations, RoleService(session, actor), TenantService(session, actor), pager)


invitations = Module(
    name="invitations",
    owner_api=(InvitationController,),
    pages=(TenantInvitationPages,),
    member_pages=(InvitationPages,),
    public=(WelcomePages,),
    providers={
        "invitations": provide_invitations,
        "welcome": provide_welcome,
        "views": provide_views,
        "holder": holder_of,
    },
    permissions=ALL,
    topics=(Topic(TOPIC, READ),),
    mails=(Mail("invitation"),),
    navigation=(NavigationItem("Tenant", "Invitations", "/invitations", "mail", READ, 61, Plane.TENANT),),
)
