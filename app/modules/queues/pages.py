"""`/dashboard/owner/queues`: the queues, their jobs and dead letters, and the buttons that act on them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from litestar import Controller, Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Template
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.paging import Pager
from app.core.templating import PREFIX, render
from app.modules.queues import repository
from app.modules.queues.permissions import MANAGE, READ
from app.modules.queues.repository import JobFilter
from app.modules.queues.schemas import read, state_of
from app.modules.queues.service import QueueService
from app.queues.job import declared
from app.queues.models import JobRow

BEATS_WITHIN = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Views:
    """What this module shows: each a whole page, or for HTMX the fragment that an act or a signal changed."""

    request: Request[Any, Any, Any]
    session: AsyncSession
    queues: QueueService
    pager: Pager

    async def overview(self) -> Template:
        context = {
            "queues": await self.queues.overview(),
            "workers": await self.queues.workers(),
            "lags": await self.queues.loops(),
            "alive_since": datetime.now(UTC) - BEATS_WITHIN,
        }
        return self._render("index", "_overview", context)

    async def jobs(self, queue: str, wanted: JobFilter, cursor: str) -> Template:
        page = await self.queues.jobs(self.pager, queue, wanted, cursor=cursor or None)
        filters = {"state": wanted.state, "kind": wanted.kind, "tenantId": wanted.tenant_id}
        context = await self._list(queue, page.items) | {
            "page": page,
            "cursor": cursor,
            "params": {name: str(value) for name, value in filters.items() if value},
            "kinds": sorted((one.kind, one.kind) for one in declared() if one.queue == queue),
        }
        return self._render("jobs", "_jobs", context)

    async def letters(self, queue: str, cursor: str) -> Template:
        page = await self.queues.letters(self.pager, queue, cursor=cursor or None)
        context = await self._list(queue, page.items) | {
            "page": page,
            "cursor": cursor,
            "alike": await self.queues.alike(queue, page.items),
        }
        return self._render("letters", "_letters", context)

    async def job(self, queue: str, job_id: UUID, fragment: str = "_job") -> Template:
        row, attempts = await self.queues.job(queue, job_id)
        context = {"job": row, "plain": read(row, attempts)} | await self._list(queue, [row])
        return self._render("job", fragment, context)

    async def after(self, queue: str, job_id: UUID, message: str) -> Template:
        """What shows an act on a job: the list that the button stood in, or else the job; and a message."""
        form = await self.request.form()
        place = str(form.get("list") or "")
        view = await (self.letters(queue, str(form.get("cursor") or "")) if place else self.job(queue, job_id))
        return told(view, message)

    async def _list(self, queue: str, rows: Sequence[JobRow]) -> dict[str, Any]:
        names = await repository.tenant_names(self.session, {row.tenant_id for row in rows})
        return {"queue": await self.queues.stats(queue), "tenants": names, "state_of": state_of}

    def _render(self, page: str, fragment: str, context: dict[str, Any]) -> Template:
        context["path"] = f"{PREFIX}/queues"
        return render(self.request, f"queues/{page}.html", context, fragment=f"queues/{fragment}.html")


def told(view: Template, message: str) -> Template:
    """The view, with a short message for whoever pressed the button."""
    view.headers["HX-Trigger"] = json.dumps({"toast": {"message": message, "tone": "ok"}})
    return view


class QueuePages(Controller):
    path = "/queues"

    @get("/", permission=READ)
    async def index(self, views: NamedDependency[Views]) -> Template:
        return await views.overview()

    @post("/{queue:str}/pause", permission=MANAGE, audit="owner.queue.pause", status_code=200)
    async def pause(self, queue: FromPath[str], views: NamedDependency[Views]) -> Template:
        form = await views.request.form()
        await views.queues.pause(queue, str(form.get("reason") or ""))
        return told(await views.overview(), f"{queue} is paused")

    @post("/{queue:str}/resume", permission=MANAGE, audit="owner.queue.resume", status_code=200)
    async def resume(self, queue: FromPath[str], views: NamedDependency[Views]) -> Template:
        await views.queues.resume(queue)
        return told(await views.overview(), f"{queue} goes on")

    @get("/{queue:str}/jobs", permission=READ)
    async def jobs(
        self,
        queue: FromPath[str],
        views: NamedDependency[Views],
        wanted: NamedDependency[JobFilter],
        cursor: FromQuery[str] = "",
    ) -> Template:
        return await views.jobs(queue, wanted, cursor)

    @get("/{queue:str}/jobs/{job_id:uuid}", permission=READ)
    async def job(
        self,
        queue: FromPath[str],
        job_id: FromPath[UUID],
        views: NamedDependency[Views],
        part: FromQuery[bool] = False,
    ) -> Template:
        return await views.job(queue, job_id, "_job" if part else "_drawer")

    @post("/{queue:str}/jobs/{job_id:uuid}/retry", permission=MANAGE, audit="owner.job.retry", status_code=200)
    async def retry(self, queue: FromPath[str], job_id: FromPath[UUID], views: NamedDependency[Views]) -> Template:
        await views.queues.retry(queue, job_id)
        return await views.after(queue, job_id, "The job is back in its queue")

    @post("/{queue:str}/jobs/{job_id:uuid}/remove", permission=MANAGE, audit="owner.job.remove", status_code=200)
    async def remove(self, queue: FromPath[str], job_id: FromPath[UUID], views: NamedDependency[Views]) -> Template:
        await views.queues.remove(queue, job_id)
        return await views.after(queue, job_id, "The job is removed")

    @get("/{queue:str}/dlq", permission=READ)
    async def letters(
        self, queue: FromPath[str], views: NamedDependency[Views], cursor: FromQuery[str] = ""
    ) -> Template:
        return await views.letters(queue, cursor)

    @post("/{queue:str}/dlq/{job_id:uuid}/replay", permission=MANAGE, audit="owner.dlq.replay", status_code=200)
    async def replay(self, queue: FromPath[str], job_id: FromPath[UUID], views: NamedDependency[Views]) -> Template:
        await views.queues.replay(queue, job_id)
        return await views.after(queue, job_id, "The job is back in its queue")

    @post("/{queue:str}/dlq/{job_id:uuid}/remove", permission=MANAGE, audit="owner.dlq.remove", status_code=200)
    async def discard(self, queue: FromPath[str], job_id: FromPath[UUID], views: NamedDependency[Views]) -> Template:
        await views.queues.remove_letter(queue, job_id)
        return await views.after(queue, job_id, "The dead letter is removed")
