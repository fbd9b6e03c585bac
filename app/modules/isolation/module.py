"""Isolation: what tenants must not be able to do is tried against the live database, and the results are kept."""

from litestar.di import NamedDependency
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.live import Topic
from app.core.policy import Actor
from app.core.signs import SignSource
from app.core.templating import NavigationItem
from app.module import Module
from app.modules.isolation import permissions
from app.modules.isolation.controllers import IsolationController
from app.modules.isolation.pages import IsolationPages
from app.modules.isolation.processor import try_isolation
from app.modules.isolation.service import TOPIC, IsolationService, signs


def provide_isolation(session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]) -> IsolationService:
    return IsolationService(session, actor)


isolation = Module(
    name="isolation",
    owner_api=[IsolationController],
    pages=[IsolationPages],
    providers={"isolation": provide_isolation},
    processors=[try_isolation],
    permissions=permissions.ALL,
    signs=[SignSource(signs, permissions.READ, TOPIC)],
    topics=[Topic(TOPIC, permissions.READ)],
    navigation=[NavigationItem("Platform", "Isolation", "/isolation", "lock", permissions.READ, order=69)],
)
