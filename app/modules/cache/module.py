"""The cache: what is kept, what it saves, and how its Redis fares."""

from litestar.di import NamedDependency
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.policy import Actor
from app.core.templating import NavigationItem
from app.module import Module
from app.modules.cache import permissions
from app.modules.cache.controllers import CacheController
from app.modules.cache.pages import CachePages
from app.modules.cache.service import CacheService, measured


def provide_caching(session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]) -> CacheService:
    return CacheService(session, actor)


cache = Module(
    name="cache",
    owner_api=[CacheController],
    pages=[CachePages],
    providers={"caching": provide_caching},
    permissions=permissions.ALL,
    metrics=[measured],
    navigation=[NavigationItem("Platform", "Cache", "/cache", "database", permissions.READ, 85)],
)
