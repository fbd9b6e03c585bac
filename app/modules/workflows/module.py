"""Workflows: what shall happen with articles, step by step, as tenants write it down."""

from litestar.di import NamedDependency
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.live import Topic
from app.core.policy import Actor
from app.core.templating import NavigationItem
from app.module import Module
from app.modules.workflows.controllers import WorkflowController
from app.modules.workflows.pages import WorkflowPages
from app.modules.workflows.permissions import ALL, READ
from app.modules.workflows.service import TOPIC, WorkflowService


def provide_workflows(session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]) -> WorkflowService:
    return WorkflowService(session, actor)


workflows = Module(
    name="workflows",
    api=[WorkflowController],
    owner_api=[WorkflowController],
    pages=[WorkflowPages],
    member_pages=[WorkflowPages],
    providers={"workflows": provide_workflows},
    permissions=ALL,
    topics=[Topic(TOPIC, READ)],
    navigation=[NavigationItem("Workflows", "Workflows", "/workflows", "git-branch", READ, 35)],
    links={"workflow": ("/workflows/{id}", READ)},
)
