"""Identity: people and their sessions, and the tokens of programs."""

from typing import Any

from litestar import Request
from litestar.di import NamedDependency
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.live import Topic
from app.core.policy import Actor
from app.core.templating import NavigationItem
from app.module import Module
from app.modules.identity.controllers import AccountController, PlatformTokenController, TenantTokenController
from app.modules.identity.jobs import PurgeExpired
from app.modules.identity.pages import AccountPages, FrontDoor, PlatformTokenPages, TokenPages, provide_holder
from app.modules.identity.permissions import ALL, READ
from app.modules.identity.processor import purge_expired
from app.modules.identity.service import TOPIC, IdentityService, SignIn, TokenService
from app.modules.tenants.service import TenantService
from app.queues.schedules import Schedule
from app.queues.spec import Backoff, QueueSpec
from app.queues.timing import Timing


def provide_tokens(session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]) -> TokenService:
    return TokenService(session, actor)


def provide_identity(session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]) -> IdentityService:
    return IdentityService(session, actor)


def provide_door(request: Request[Any, Any, Any]) -> SignIn:
    address: str | None = request.scope.get("client_address")  # type: ignore[assignment]
    return SignIn(request.app.state.database, address, request.headers.get("user-agent"))


def provide_tenants(session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]) -> TenantService:
    return TenantService(session, actor)


identity = Module(
    name="identity",
    owner_api=(TenantTokenController, PlatformTokenController, AccountController),
    pages=(TokenPages, PlatformTokenPages, AccountPages),
    public=(FrontDoor,),
    providers={
        "tokens": provide_tokens,
        "identity": provide_identity,
        "tenants": provide_tenants,
        "holder": provide_holder,
        "door": provide_door,
    },
    processors=(purge_expired,),
    queues=(QueueSpec("platform:tasks", attempts=3, backoff=Backoff("exponential", 2), timeout_s=300),),
    schedules=(Schedule("purge-expired", Timing(cron="17 * * * *"), PurgeExpired()),),
    permissions=ALL,
    topics=(Topic(TOPIC, READ),),
    navigation=(NavigationItem("Platform", "Platform tokens", "/tokens", "key", READ, order=70),),
)
