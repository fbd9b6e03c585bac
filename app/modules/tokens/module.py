"""Tokens: the credentials of programs."""

from litestar.di import NamedDependency
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Plane
from app.core.live import Topic
from app.core.policy import Actor
from app.core.templating import NavigationItem
from app.module import Module
from app.modules.tenants.service import TenantService
from app.modules.tokens.controllers import PlatformTokenController, TenantTokenController
from app.modules.tokens.pages import PlatformTokenPages, TokenPages, provide_holder
from app.modules.tokens.permissions import ALL, READ
from app.modules.tokens.service import TOPIC, TokenService


def provide_tokens(session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]) -> TokenService:
    return TokenService(session, actor)


def provide_tenants(session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]) -> TenantService:
    return TenantService(session, actor)


tokens = Module(
    name="tokens",
    owner_api=(TenantTokenController, PlatformTokenController),
    pages=(TokenPages, PlatformTokenPages),
    providers={"tokens": provide_tokens, "tenants": provide_tenants, "holder": provide_holder},
    permissions=ALL,
    topics=(Topic(TOPIC, READ),),
    navigation=(NavigationItem("Platform", "Platform tokens", "/tokens", "key", READ, 70, Plane.PLATFORM),),
)
