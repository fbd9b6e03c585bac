"""Impersonation: somebody of the platform sees a tenant as one of its members does."""

from litestar.di import NamedDependency
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Plane
from app.core.policy import Actor, holder_of
from app.core.templating import NavigationItem
from app.module import Module
from app.modules.impersonation.controllers import ImpersonationController
from app.modules.impersonation.pages import EndPages, ImpersonationPages, StartPages, TenantImpersonationPages
from app.modules.impersonation.permissions import ALL, READ
from app.modules.impersonation.service import ImpersonationService
from app.modules.tenants.service import TenantService


def provide_impersonations(
    session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]
) -> ImpersonationService:
    return ImpersonationService(session, actor)


def provide_tenants(session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]) -> TenantService:
    return TenantService(session, actor)


impersonation = Module(
    name="impersonation",
    owner_api=(ImpersonationController,),
    pages=(TenantImpersonationPages, StartPages),
    member_pages=(ImpersonationPages,),
    public=(EndPages,),
    providers={"impersonations": provide_impersonations, "tenants": provide_tenants, "holder": holder_of},
    permissions=ALL,
    dangerous=("impersonation.start",),
    navigation=(NavigationItem("Tenant", "Impersonations", "/impersonations", "eye", READ, 63, Plane.TENANT),),
)
