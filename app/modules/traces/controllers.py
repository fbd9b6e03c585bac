"""`/api/owner/traces`."""

from uuid import UUID

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from app.modules.traces.permissions import READ
from app.modules.traces.schemas import TRACE_SEEN, TraceRead, read
from app.modules.traces.service import Traces


class TraceController(Controller):
    path = "/traces"

    @get("/{trace_id:uuid}", permission=READ, access=TRACE_SEEN)
    async def show(self, trace_id: FromPath[UUID], traces: NamedDependency[Traces]) -> TraceRead:
        """Read what happened under a correlation id: requests, changes, jobs with their attempts, AI runs and more."""
        return read(trace_id, await traces.steps(trace_id))
