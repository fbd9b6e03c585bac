"""`/dashboard/owner/traces/{id}`: what a request set going, on one line of time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from litestar import Controller, Request, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Template

from app.core.templating import render
from app.core.trace import Step
from app.modules.traces.permissions import READ
from app.modules.traces.schemas import TRACE_SEEN
from app.modules.traces.service import Traces

LEAST = 0.4


@dataclass(frozen=True, slots=True)
class Bar:
    """A step's place on the line of time: begin and width in per cent of the whole, and milliseconds."""

    step: Step
    x: float
    width: float
    after_ms: float
    took_ms: float | None


class TracePages(Controller):
    path = "/traces"

    @get("/{trace_id:uuid}", permission=READ, access=TRACE_SEEN)
    async def show(
        self, request: Request[Any, Any, Any], trace_id: FromPath[UUID], traces: NamedDependency[Traces]
    ) -> Template:
        steps = await traces.steps(trace_id)
        context = {"id": trace_id, "bars": bars(steps, datetime.now(UTC)), "topics": " ".join(traces.topics)}
        return render(request, "traces/show.html", context, fragment="traces/_trace.html")


def bars(steps: Sequence[Step], now: datetime) -> list[Bar]:
    """What is open reaches to now; a moment is a stroke."""
    begin = steps[0].began_at
    ends = [step.ended_at or (now if step.open else step.began_at) for step in steps]
    whole_s = max((max(ends) - begin).total_seconds(), 0.001)
    found = []
    for step, end in zip(steps, ends, strict=True):
        after_s, took_s = ((at - since).total_seconds() for at, since in ((step.began_at, begin), (end, step.began_at)))
        width = max(took_s / whole_s * 100, LEAST)
        x = min(after_s / whole_s * 100, 100 - width)
        took_ms = took_s * 1000 if step.ended_at or step.open else None
        found.append(Bar(step, round(x, 2), round(width, 2), after_s * 1000, took_ms))
    return found
