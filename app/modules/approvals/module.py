"""Approvals: questions that something running puts to people, and goes on with their answer."""

from litestar.di import NamedDependency
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.live import Topic
from app.core.policy import Actor
from app.core.signs import SignSource
from app.core.templating import NavigationItem
from app.core.trace import TraceSource
from app.module import Module
from app.modules.approvals.controllers import ApprovalController
from app.modules.approvals.pages import ApprovalPages
from app.modules.approvals.permissions import ALL, READ
from app.modules.approvals.service import TOPIC, ApprovalService, signs, steps


def provide_approvals(session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]) -> ApprovalService:
    return ApprovalService(session, actor)


approvals = Module(
    name="approvals",
    api=[ApprovalController],
    owner_api=[ApprovalController],
    pages=[ApprovalPages],
    member_pages=[ApprovalPages],
    providers={"approvals": provide_approvals},
    permissions=ALL,
    topics=[Topic(TOPIC, READ)],
    navigation=[NavigationItem("Workflows", "Approvals", "/approvals", "circle-check", READ, 37)],
    signs=[SignSource(signs, READ, TOPIC, plane=None)],
    traces=[TraceSource(steps, READ, TOPIC)],
    links={"approval": ("/approvals/{id}", READ)},
)
