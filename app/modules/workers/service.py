"""Worker processes: which there are, and what they are told to do. Every command is audited in its transaction."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import Conflict, NotFound
from app.core.ids import PLATFORM_TENANT
from app.core.live import signal
from app.core.policy import Actor
from app.modules.audit.service import record
from app.modules.workers import repository
from app.modules.workers.schemas import Doing, doing
from app.modules.workers.schemas import read as read  # other pages show workers too
from app.queues.models import Command, WorkerRow
from app.queues.orders import tell_worker
from app.queues.record import TOPIC


class WorkerService:
    """A command is a wish in the worker's row; the process obeys within two seconds."""

    def __init__(self, session: AsyncSession, actor: Actor) -> None:
        self._session = session
        self._actor = actor

    async def list(self) -> list[WorkerRow]:
        return list(await repository.workers(self._session))

    async def get(self, worker_id: UUID) -> WorkerRow:
        """
        Raises:
            NotFound: no such process, or it has ended.
        """
        row = await self._session.get(WorkerRow, worker_id)
        if row is None:
            raise NotFound("There is no worker process with this id, or it has ended")
        return row

    async def quiet(self, worker_id: UUID) -> WorkerRow:
        """Start nothing more; what runs comes to its end.

        Raises:
            NotFound; Conflict: it is quiet (`already_quiet`), is to stop (`already_stopping`) or is gone (`lost`).
        """
        row = await self._alive(worker_id)
        if row.command == Command.QUIET:
            raise Conflict("This worker is quiet already", code="already_quiet")
        return await self._command(row, "owner.worker.quiet", Command.QUIET)

    async def resume(self, worker_id: UUID) -> WorkerRow:
        """Start jobs again.

        Raises:
            NotFound; Conflict: it is not quiet (`not_quiet`), is to stop (`already_stopping`) or is gone (`lost`).
        """
        row = await self._alive(worker_id)
        if row.command != Command.QUIET:
            raise Conflict("This worker is not quiet", code="not_quiet")
        return await self._command(row, "owner.worker.resume", None)

    async def stop(self, worker_id: UUID) -> WorkerRow:
        """End the process as SIGTERM does: jobs have twenty seconds, what still runs then is handed back.

        What started it may start it again, as `teknav up` does.

        Raises:
            NotFound; Conflict: it is to stop already (`already_stopping`) or is gone (`lost`).
        """
        return await self._command(await self._alive(worker_id), "owner.worker.stop", Command.STOP)

    async def _alive(self, worker_id: UUID) -> WorkerRow:
        query = select(WorkerRow).where(WorkerRow.id == worker_id).with_for_update()
        row = await self._session.scalar(query) or await self.get(worker_id)
        if doing(row) is Doing.LOST:
            raise Conflict("This worker has not told of itself for long: nobody would obey", code="lost")
        if row.command == Command.STOP or doing(row) is Doing.STOPPING:
            raise Conflict("This worker is stopping already", code="already_stopping")
        return row

    async def _command(self, row: WorkerRow, action: str, command: Command | None) -> WorkerRow:
        before, row.command = {"command": row.command}, command
        await self._session.flush()
        tell_worker(self._session, row.id)
        signal(self._session, TOPIC, row.id, PLATFORM_TENANT)
        resource = ("worker", row.id, f"process {row.pid} on {row.host}")
        await record(self._session, self._actor, action, resource=resource, before=before, after={"command": command})
        return row
