"""Traces: what one request set going, through all modules."""

from typing import Any

from litestar import Request
from litestar.di import NamedDependency
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.policy import Actor
from app.module import Module
from app.modules.traces.controllers import TraceController
from app.modules.traces.pages import TracePages
from app.modules.traces.permissions import ALL
from app.modules.traces.service import Traces


def provide_traces(
    request: Request[Any, Any, Any], session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]
) -> Traces:
    return Traces(session, actor, request.app.state.traces)


traces = Module(
    name="traces",
    owner_api=[TraceController],
    pages=[TracePages],
    providers={"traces": provide_traces},
    permissions=ALL,
)
