"""Tokens: the credentials of programs."""

from litestar.di import NamedDependency
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Plane
from app.core.live import Topic
from app.core.policy import Actor, holder_of
from app.core.templating import NavigationItem
from app.module import Module
from app.modules.tenants.service import TenantService
from app.modules.tokens.controllers import (
    ClientController,
    PlatformTokenController,
    TenantTokenController,
)
from app.modules.tokens.jobs import PurgeCredentials
from app.modules.tokens.pages import (
    ClientPages,
    OwnClientPages,
    OwnTokenPages,
    TokenPages,
    provide_client_views,
    provide_token_views,
)
from app.modules.tokens.permissions import ALL, READ
from app.modules.tokens.processor import purge_credentials
from app.modules.tokens.service import TOPIC, ClientService, TokenService
from app.queues.schedules import Schedule
from app.queues.timing import Timing


def provide_tokens(session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]) -> TokenService:
    return TokenService(session, actor)


def provide_clients(session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]) -> ClientService:
    return ClientService(session, actor)


def provide_tenants(session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]) -> TenantService:
    return TenantService(session, actor)


tokens = Module(
    name="tokens",
    owner_api=(TenantTokenController, PlatformTokenController, ClientController),
    pages=(TokenPages, OwnTokenPages, ClientPages),
    member_pages=(OwnTokenPages, OwnClientPages),
    providers={
        "tokens": provide_tokens,
        "clients": provide_clients,
        "tenants": provide_tenants,
        "holder": holder_of,
        "token_views": provide_token_views,
        "client_views": provide_client_views,
    },
    processors=(purge_credentials,),
    schedules=(Schedule("purge-credentials", Timing(cron="41 3 * * *"), PurgeCredentials()),),
    permissions=ALL,
    dangerous=[
        f"owner.{kind}.{act}" for kind in ("token", "client") for act in ("create", "update", "rotate", "revoke")
    ],
    topics=(Topic(TOPIC, READ),),
    navigation=(
        NavigationItem("Platform", "Platform tokens", "/tokens", "key", READ, 70, Plane.PLATFORM),
        NavigationItem("Tenant", "Tokens", "/tokens", "key", READ, 64, Plane.TENANT),
        NavigationItem("Tenant", "Clients", "/clients", "plug", READ, 65, Plane.TENANT),
    ),
)
