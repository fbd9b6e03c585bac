"""Identity: people and their sessions."""

from typing import Any

from litestar import Request
from litestar.di import NamedDependency
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.policy import Actor
from app.module import Module
from app.modules.identity.controllers import AccountController
from app.modules.identity.jobs import PurgeExpired
from app.modules.identity.pages import AccountPages, FrontDoor
from app.modules.identity.processor import purge_expired
from app.modules.identity.service import IdentityService, SignIn
from app.queues.schedules import Schedule
from app.queues.spec import Backoff, QueueSpec
from app.queues.timing import Timing


def provide_identity(session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]) -> IdentityService:
    return IdentityService(session, actor)


def provide_door(request: Request[Any, Any, Any]) -> SignIn:
    address: str | None = request.scope.get("client_address")  # type: ignore[assignment]
    return SignIn(request.app.state.database, address, request.headers.get("user-agent"))


identity = Module(
    name="identity",
    owner_api=(AccountController,),
    pages=(AccountPages,),
    public=(FrontDoor,),
    providers={"identity": provide_identity, "door": provide_door},
    processors=(purge_expired,),
    queues=(QueueSpec("platform:tasks", attempts=3, backoff=Backoff("exponential", 2), timeout_s=300),),
    schedules=(Schedule("purge-expired", Timing(cron="17 * * * *"), PurgeExpired()),),
)
