"""`/dashboard/owner/queues`: the queues, their jobs and dead letters, and the buttons that act on them."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from litestar import Controller, Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Template
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import Invalid
from app.core.paging import Pager
from app.core.templating import PREFIX, render
from app.modules.queues import repository
from app.modules.queues.permissions import MANAGE, READ
from app.modules.queues.repository import JobFilter, JobState, state_of
from app.modules.queues.schemas import read
from app.modules.queues.service import QueueService
from app.queues.models import JobRow

PATH = f"{PREFIX}/queues"
BEATS_WITHIN = timedelta(seconds=30)
AnyRequest = Request[Any, Any, Any]


class QueuePages(Controller):
    path = "/queues"

    @get("/", permission=READ)
    async def index(self, request: AnyRequest, queues: NamedDependency[QueueService]) -> Template:
        return await _overview(request, queues)

    @post("/{queue:str}/pause", permission=MANAGE, audit="owner.queue.pause", status_code=200)
    async def pause(
        self, request: AnyRequest, queue: FromPath[str], queues: NamedDependency[QueueService]
    ) -> Template:
        reason = (await request.form()).get("reason")
        await queues.pause(queue, str(reason) if reason else None)
        return _told(await _overview(request, queues), f"{queue} is paused")

    @post("/{queue:str}/resume", permission=MANAGE, audit="owner.queue.resume", status_code=200)
    async def resume(
        self, request: AnyRequest, queue: FromPath[str], queues: NamedDependency[QueueService]
    ) -> Template:
        await queues.resume(queue)
        return _told(await _overview(request, queues), f"{queue} goes on")


class JobPages(Controller):
    path = "/queues/{queue:str}/jobs"

    @get("/", permission=READ)
    async def index(
        self,
        request: AnyRequest,
        queue: FromPath[str],
        queues: NamedDependency[QueueService],
        session: NamedDependency[AsyncSession],
        pager: NamedDependency[Pager],
        state: FromQuery[str] = "waiting",
        kind: FromQuery[str] = "",
        cursor: FromQuery[str] = "",
    ) -> Template:
        try:
            wanted = JobFilter(JobState(state), kind.strip() or None)
        except ValueError:
            raise Invalid.field("state", f"is one of {', '.join(JobState)}") from None
        page = await queues.jobs(pager, queue, wanted, cursor=cursor or None)
        context = {
            "overview": await queues.stats(queue),
            "queue": queue,
            "state": state,
            "state_of": state_of,
            "params": {"state": state} | ({"kind": kind} if kind else {}),
            "cursor": cursor,
            "page": page,
            "tenants": await _tenants(session, page.items),
        }
        return render(request, "queues/jobs.html", context, fragment="queues/_jobs.html")

    @get("/{job_id:uuid}", permission=READ)
    async def show(
        self,
        request: AnyRequest,
        queue: FromPath[str],
        job_id: FromPath[UUID],
        queues: NamedDependency[QueueService],
        session: NamedDependency[AsyncSession],
        part: FromQuery[bool] = False,
    ) -> Template:
        fragment = "queues/_job.html" if part else "queues/_job_drawer.html"
        return await _job(request, session, queues, queue, job_id, fragment)

    @post("/{job_id:uuid}/retry", permission=MANAGE, audit="owner.job.retry", status_code=200)
    async def retry(
        self,
        request: AnyRequest,
        queue: FromPath[str],
        job_id: FromPath[UUID],
        queues: NamedDependency[QueueService],
        session: NamedDependency[AsyncSession],
    ) -> Template:
        await queues.retry(queue, job_id)
        return _told(await _job(request, session, queues, queue, job_id), "The job runs again")

    @post("/{job_id:uuid}/remove", permission=MANAGE, audit="owner.job.remove", status_code=200)
    async def remove(
        self,
        request: AnyRequest,
        queue: FromPath[str],
        job_id: FromPath[UUID],
        queues: NamedDependency[QueueService],
        session: NamedDependency[AsyncSession],
    ) -> Template:
        await queues.remove(queue, job_id)
        return _told(await _job(request, session, queues, queue, job_id), "The job is removed")
