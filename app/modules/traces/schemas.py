"""Wire shapes of traces."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from app.core.access import Access
from app.core.trace import Step
from app.core.wire import Outgoing, Sensitive

TRACE_SEEN = Access("owner.read.trace", "trace", of="trace_id", fields=("steps",))


class StepRead(Outgoing):
    """One step. `endedAt` is absent for a moment, and for what is still open."""

    kind: str
    label: str
    status: str
    began_at: datetime
    ended_at: datetime | None
    open: bool
    note: str | None
    tenant_id: UUID | None


class TraceRead(Sensitive):
    """What happened under one correlation id, from the first step on."""

    id: UUID
    began_at: datetime
    open: bool
    items: list[StepRead]


def read(trace_id: UUID, steps: Sequence[Step]) -> TraceRead:
    items = [
        StepRead(
            kind=step.kind,
            label=step.label,
            status=step.status,
            began_at=step.began_at,
            ended_at=step.ended_at,
            open=step.open,
            note=step.note,
            tenant_id=step.tenant_id,
        )
        for step in steps
    ]
    return TraceRead(id=trace_id, began_at=items[0].began_at, open=any(item.open for item in items), items=items)
