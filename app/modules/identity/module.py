"""Identity: how people come in, and what proves who they are."""

from typing import Any

from litestar import Request
from litestar.di import NamedDependency
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.policy import Actor
from app.module import Mail, Module
from app.modules.identity.jobs import PurgeExpired
from app.modules.identity.pages import FrontDoor
from app.modules.identity.processor import purge_expired
from app.modules.identity.service import SignIn
from app.modules.sessions.service import SessionBook
from app.queues.schedules import Schedule
from app.queues.spec import Backoff, QueueSpec
from app.queues.timing import Timing


def provide_book(session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]) -> SessionBook:
    return SessionBook(session, actor)


def provide_door(request: Request[Any, Any, Any]) -> SignIn:
    return SignIn.of(request)


identity = Module(
    name="identity",
    public=(FrontDoor,),
    providers={"book": provide_book, "door": provide_door},
    actions=("account.sign_in.close",),
    processors=(purge_expired,),
    mails=(Mail("known"), Mail("new_device")),
    queues=(QueueSpec("platform:tasks", attempts=3, backoff=Backoff("exponential", 2), timeout_s=300),),
    schedules=(Schedule("purge-expired", Timing(cron="17 * * * *"), PurgeExpired()),),
)
