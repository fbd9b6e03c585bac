"""Asking for a flow: a parent that runs when all its children have ended, and children that may be parents too."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.queues.enqueue import Wanted, insert_rows, row_for
from app.queues.job import Job
from app.queues.keys import take_keys
from app.queues.models import JobRow, State
from app.queues.quota import require_room


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """A job with those it waits for. The processor of a parent reads their results by `work.children()`.

    `required`, of a child: when it ends without being completed (dead, cancelled or removed), the parent dies
    instead of running, once its other children have ended. With `required=False` the parent runs all the same.
    """

    job: Job | Wanted
    children: Sequence["Job | Wanted | Flow"] = ()
    required: bool = True


async def enqueue_flow(session: AsyncSession, flow: Flow) -> UUID:
    """Write a whole flow into this transaction by one INSERT; those that wait for none are pushed after the commit.

    Returns:
        the parent's id; or that of the unfinished job that has the parent's key, and then nothing is written.

    Raises:
        ValueError: a child has a key, whose holder could belong to another parent. Invalid: as `enqueue`.
    """
    rows: list[JobRow] = []
    parent = _collect(session, flow, rows)
    if parent.key is not None:
        keep = [parent.id] if isinstance(flow.job, Wanted) and flow.job.keep_key else []
        holder = (await take_keys(session, [parent], keep))[parent.id]
        if holder != parent.id:
            return holder
    await require_room(session, len(rows))
    await insert_rows(session, rows)
    return parent.id


def _collect(session: AsyncSession, node: Flow, rows: list[JobRow], *, child: bool = False) -> JobRow:
    """Appends the rows below the node, then its own, so that ids rise from the leaves to the root: see `cancel`."""
    wanted = node.job if isinstance(node.job, Wanted) else Wanted(job=node.job)
    if child and wanted.key is not None:
        raise ValueError("a child of a flow cannot have a key")
    nodes = (one if isinstance(one, Flow) else Flow(job=one) for one in node.children)
    below = [_collect(session, one, rows, child=True) for one in nodes]
    values: dict[str, Any] = {"required": node.required, "children": len(below)}
    if below:
        values |= {"state": State.WAITING_CHILDREN, "delayed": False}
    row = row_for(session, wanted, **values)
    for child_row in below:
        child_row.parent_id = row.id
    rows.append(row)
    return row
