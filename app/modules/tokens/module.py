"""Tokens: the credentials of programs."""

from litestar.di import NamedDependency
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.live import Topic
from app.core.policy import Actor
from app.core.templating import NavigationItem
from app.module import Module
from app.modules.tenants.service import TenantService
from app.modules.tokens.controllers import (
    ClientController,
    OAuthController,
    PlatformTokenController,
    TenantTokenController,
)
from app.modules.tokens.pages import (
    ClientPages,
    PlatformTokenPages,
    TokenPages,
    provide_client_views,
    provide_holder,
    provide_token_views,
)
from app.modules.tokens.permissions import ALL, READ
from app.modules.tokens.service import TOPIC, ClientService, TokenService


def provide_tokens(session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]) -> TokenService:
    return TokenService(session, actor)


def provide_clients(session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]) -> ClientService:
    return ClientService(session, actor)


def provide_tenants(session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]) -> TenantService:
    return TenantService(session, actor)


tokens = Module(
    name="tokens",
    api=(OAuthController,),
    owner_api=(TenantTokenController, PlatformTokenController, ClientController),
    pages=(TokenPages, PlatformTokenPages, ClientPages),
    providers={
        "tokens": provide_tokens,
        "clients": provide_clients,
        "tenants": provide_tenants,
        "holder": provide_holder,
        "token_views": provide_token_views,
        "client_views": provide_client_views,
    },
    permissions=ALL,
    topics=(Topic(TOPIC, READ),),
    navigation=(NavigationItem("Platform", "Platform tokens", "/tokens", "key", READ, order=70),),
)
