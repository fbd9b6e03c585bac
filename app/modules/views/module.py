"""Views: a list's filters under a name."""

from litestar.di import NamedDependency
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.policy import Actor
from app.module import Module
from app.modules.views.controllers import ViewController
from app.modules.views.pages import ViewPages
from app.modules.views.service import Views


def provide_views(session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]) -> Views:
    return Views(session, actor)


views = Module(name="views", owner_api=(ViewController,), pages=(ViewPages,), providers={"views": provide_views})
