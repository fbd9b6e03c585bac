"""People: who there is, and where they are signed in."""

from litestar.di import NamedDependency
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.live import Topic
from app.core.policy import Actor
from app.core.templating import NavigationItem
from app.module import Module
from app.modules.people.controllers import SessionController, UserController
from app.modules.people.pages import SessionPages, UserPages
from app.modules.people.permissions import ALL, READ
from app.modules.people.service import TOPIC, People
from app.modules.sessions.service import SessionBook


def provide_people(session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]) -> People:
    return People(session, actor)


def provide_book(session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]) -> SessionBook:
    return SessionBook(session, actor)


people = Module(
    name="people",
    owner_api=(UserController, SessionController),
    pages=(UserPages, SessionPages),
    providers={"people": provide_people, "book": provide_book},
    permissions=ALL,
    dangerous=("owner.user.update", "owner.user.role", "owner.user.ban", "owner.user.erase", "owner.user.factor_reset"),
    topics=(Topic(TOPIC, READ),),
    navigation=(
        NavigationItem("Platform", "Users", "/users", "users", READ, order=66),
        NavigationItem("Platform", "Sessions", "/sessions", "device-desktop", READ, order=67),
    ),
)
