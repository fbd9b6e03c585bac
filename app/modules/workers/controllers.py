"""`/api/owner/workers`."""

from uuid import UUID

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from app.modules.workers.permissions import MANAGE, READ
from app.modules.workers.schemas import WorkerList, WorkerRead, read
from app.modules.workers.service import WorkerService


class WorkerController(Controller):
    path = "/workers"

    @get("/", permission=READ)
    async def index(self, workers: NamedDependency[WorkerService]) -> WorkerList:
        """Every worker process, also those that have not told of themselves for up to a day."""
        return WorkerList(items=[read(row) for row in await workers.list()])

    @get("/{worker_id:uuid}", permission=READ)
    async def show(self, worker_id: FromPath[UUID], workers: NamedDependency[WorkerService]) -> WorkerRead:
        """Read a worker process, with the jobs it has in hand."""
        return read(await workers.get(worker_id))

    @post("/{worker_id:uuid}/quiet", permission=MANAGE, audit="owner.worker.quiet", status_code=200)
    async def quiet(self, worker_id: FromPath[UUID], workers: NamedDependency[WorkerService]) -> WorkerRead:
        """Start nothing more; what runs comes to its end. 409 where it is quiet, stopping or gone."""
        return read(await workers.quiet(worker_id))

    @post("/{worker_id:uuid}/resume", permission=MANAGE, audit="owner.worker.resume", status_code=200)
    async def resume(self, worker_id: FromPath[UUID], workers: NamedDependency[WorkerService]) -> WorkerRead:
        """Start jobs again. 409 where it is not quiet."""
        return read(await workers.resume(worker_id))

    @post("/{worker_id:uuid}/stop", permission=MANAGE, audit="owner.worker.stop", status_code=200)
    async def stop(self, worker_id: FromPath[UUID], workers: NamedDependency[WorkerService]) -> WorkerRead:
        """End the process; what still runs after twenty seconds is handed back. 409 where it is stopping or gone."""
        return read(await workers.stop(worker_id))
