"""Locales: a site's languages, and what its interface says in each."""

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
from app.modules.locales import permissions
from app.modules.locales.controllers import LocaleController, TenantLocaleController
from app.modules.locales.pages import LocalePages, TenantLocalePages, Views
from app.modules.locales.schemas import BUNDLES
from app.modules.locales.service import TOPIC, LocaleService
from app.modules.tenants.service import TenantService


def provide_locales(
    session: NamedDependency[AsyncSession], actor: NamedDependency[Actor], holder: NamedDependency[UUID]
) -> LocaleService:
    return LocaleService(session, actor, holder)


def provide_views(
    request: Request[Any, Any, Any],
    session: NamedDependency[AsyncSession],
    actor: NamedDependency[Actor],
    locales: NamedDependency[LocaleService],
    pager: NamedDependency[Pager],
) -> Views:
    return Views(request, locales, TenantService(session, actor), pager)


locales = Module(
    name="locales",
    api=[LocaleController],
    owner_api=[TenantLocaleController],
    pages=[TenantLocalePages],
    member_pages=[LocalePages],
    providers={"locales": provide_locales, "views": provide_views, "holder": holder_of},
    permissions=permissions.ALL,
    caches=[BUNDLES],
    topics=[Topic(TOPIC, permissions.READ)],
    navigation=[NavigationItem("Tenant", "Languages", "/locales", "world", permissions.READ, 66, Plane.TENANT)],
)
