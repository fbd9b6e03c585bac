"""Tenants: the customers, and the workspaces that divide their work."""

from litestar.di import NamedDependency
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.live import Topic
from app.core.policy import Actor
from app.core.templating import NavigationItem
from app.module import Module
from app.modules.tenants.controllers import TenantController
from app.modules.tenants.pages import TenantPages
from app.modules.tenants.permissions import ALL, READ
from app.modules.tenants.service import TOPIC, TenantService


def provide_tenants(session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]) -> TenantService:
    return TenantService(session, actor)


tenants = Module(
    name="tenants",
    owner_api=(TenantController,),
    pages=(TenantPages,),
    providers={"tenants": provide_tenants},
    permissions=ALL,
    topics=(Topic(TOPIC, READ),),
    navigation=(NavigationItem("Platform", "Tenants", "/tenants", "building", READ, order=60),),
    links={"tenant": ("/tenants/{id}", READ)},
)
