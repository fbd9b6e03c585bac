"""Worker processes: who works on what, and what they are told to do."""

from litestar.di import NamedDependency
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.policy import Actor
from app.core.signs import SignSource
from app.core.templating import NavigationItem
from app.module import Module
from app.modules.workers import permissions
from app.modules.workers.controllers import WorkerController
from app.modules.workers.pages import WorkerPages
from app.modules.workers.repository import signs
from app.modules.workers.service import WorkerService
from app.queues.record import TOPIC


def provide_workers(session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]) -> WorkerService:
    return WorkerService(session, actor)


workers = Module(
    name="workers",
    owner_api=[WorkerController],
    pages=[WorkerPages],
    providers={"workers": provide_workers},
    permissions=permissions.ALL,
    signs=[SignSource(signs, permissions.READ, TOPIC)],
    navigation=[NavigationItem("Operations", "Workers", "/workers", "server", permissions.READ, 45)],
)
