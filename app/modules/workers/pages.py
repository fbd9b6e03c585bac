"""`/dashboard/owner/workers`: the worker processes, and the buttons on them."""

from typing import Any
from uuid import UUID

from litestar import Controller, Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Template

from app.core.templating import PREFIX, render, told
from app.modules.workers.permissions import MANAGE, READ
from app.modules.workers.schemas import read
from app.modules.workers.service import WorkerService

AnyRequest = Request[Any, Any, Any]


async def shown(request: AnyRequest, workers: WorkerService, message: str | None = None) -> Template:
    """The page, or for HTMX its table; with a short message for whoever pressed a button."""
    context = {"workers": [read(row) for row in await workers.list()], "path": f"{PREFIX}/workers"}
    view = render(request, "workers/index.html", context, fragment="workers/_workers.html")
    return told(view, message)


class WorkerPages(Controller):
    path = "/workers"

    @get("/", permission=READ)
    async def index(self, request: AnyRequest, workers: NamedDependency[WorkerService]) -> Template:
        return await shown(request, workers)

    @post("/{worker_id:uuid}/quiet", permission=MANAGE, audit="owner.worker.quiet", status_code=200)
    async def quiet(
        self, request: AnyRequest, worker_id: FromPath[UUID], workers: NamedDependency[WorkerService]
    ) -> Template:
        row = await workers.quiet(worker_id)
        return await shown(request, workers, f"Process {row.pid} starts nothing more")

    @post("/{worker_id:uuid}/resume", permission=MANAGE, audit="owner.worker.resume", status_code=200)
    async def resume(
        self, request: AnyRequest, worker_id: FromPath[UUID], workers: NamedDependency[WorkerService]
    ) -> Template:
        row = await workers.resume(worker_id)
        return await shown(request, workers, f"Process {row.pid} goes on")

    @post("/{worker_id:uuid}/stop", permission=MANAGE, audit="owner.worker.stop", status_code=200)
    async def stop(
        self, request: AnyRequest, worker_id: FromPath[UUID], workers: NamedDependency[WorkerService]
    ) -> Template:
        row = await workers.stop(worker_id)
        return await shown(request, workers, f"Process {row.pid} is told to stop")
