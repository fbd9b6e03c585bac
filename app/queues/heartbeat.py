"""What a worker process tells of itself, every few seconds, and the command that people leave for it in its row."""

import os
import resource
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import delete, func, text
from sqlalchemy.dialects.postgresql import insert

from app import __version__
from app.core.database import SYSTEM, Database
from app.queues.models import WorkerRow, WorkerState
from app.queues.slots import Slots

log = structlog.get_logger()
LISTED = 20
FORGET_AFTER = text("now() - interval '1 day'")


class Heartbeat:
    """
    Args:
        lag_ms: how late the event loop was at worst since the last question.
        leads: whether this process runs the loops that only one runs.
    """

    def __init__(
        self,
        database: Database,
        worker: UUID,
        queues: Sequence[str],
        slots: Slots,
        lag_ms: Callable[[], float],
        leads: Callable[[], bool],
    ) -> None:
        self.state = WorkerState.RUNNING
        self._database = database
        self._slots = slots
        self._lag_ms = lag_ms
        self._leads = leads
        self._worker = worker
        self._is = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "version": __version__,
            "queues": list(queues),
        }

    async def beat(self) -> str | None:
        """Tell how the process fares; returns what it is to do, see `models.Command`."""
        changes = self._now()
        query = (
            insert(WorkerRow)
            .values(id=self._worker, **self._is, **changes)
            .on_conflict_do_update(index_elements=["id"], set_=changes)
            .returning(WorkerRow.command)
        )
        async with self._database.transaction(SYSTEM) as session:
            command: str | None = await session.scalar(query)
        return command

    async def forget_gone(self) -> None:
        """Of all processes: what has been silent for a day is no worker any more."""
        async with self._database.transaction(SYSTEM) as session:
            await session.execute(delete(WorkerRow).where(WorkerRow.beat_at < FORGET_AFTER))

    async def goodbye(self) -> None:
        try:
            async with self._database.transaction(SYSTEM) as session:
                await session.execute(delete(WorkerRow).filter_by(id=self._worker))
        except Exception as error:
            log.warning("worker.goodbye_failed", error=str(error))

    def _now(self) -> dict[str, Any]:
        in_hand: list[dict[str, Any]] = [
            {
                "id": str(delivery.job_id or delivery.engine_id),
                "kind": delivery.fields.get("name"),
                "queue": spec.name,
                "since": int(delivery.fields.get("processedOn") or 0) / 1000,
            }
            for spec, delivery in self._slots.in_hand()
        ]
        return {
            "state": self.state,
            "jobs": self._slots.jobs,
            "in_hand": sorted(in_hand, key=lambda one: one["since"])[:LISTED],
            "leads": self._leads(),
            "lag_ms": self._lag_ms(),
            "memory_bytes": _memory_bytes(),
            "beat_at": func.now(),
        }


def _memory_bytes() -> int:
    """What the process has in memory; where the system does not tell, the most that it ever had."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024
