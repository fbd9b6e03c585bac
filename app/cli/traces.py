"""`teknav trace`: what one request set going."""

from typing import Any
from uuid import UUID

import rich_click as click
from msgspec import to_builtins

from app.cli.command import Shown, as_json, columns, show
from app.cli.transactions import in_platform


@click.command()
@click.argument("trace_id", type=click.UUID)
@as_json
def trace(trace_id: UUID, as_json: bool) -> None:
    """Show everything that happened under a correlation id, in the order in which it began.

    Logs, jobs and the audit log name the id. Reading it leaves a row in the access log.
    """

    async def find(_: Any, session: Any, actor: Any) -> Any:
        from app import registry
        from app.modules.access.service import record_read
        from app.modules.traces.schemas import TRACE_SEEN, read
        from app.modules.traces.service import Traces

        found = read(trace_id, await Traces(session, actor, registry.traces()).steps(trace_id))
        await record_read(session, actor, TRACE_SEEN, resource_id=str(trace_id), rows=len(found.items))
        return found

    found = in_platform(find)
    rows = [
        (
            f"+{(one.began_at - found.began_at).total_seconds():.3f} s",
            one.kind,
            one.label,
            one.status,
            f"{(one.ended_at - one.began_at).total_seconds():.3f} s" if one.ended_at else "",
            one.note or "",
        )
        for one in found.items
    ]
    text = columns(("after", "kind", "what", "state", "took", "note"), rows)
    show(as_json, to_builtins(found), text=text)


SHOWN = Shown("Who did what", (trace,), 20)
