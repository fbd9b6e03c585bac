"""`/dashboard/owner/queues`: the queues, their jobs and dead letters, and the buttons that act on them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from litestar import Controller, Request, Response, get, post
from litestar.datastructures import FormMultiDict
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Template
from msgspec import DecodeError, ValidationError, convert
from msgspec.json import decode
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.access import Access, tell
from app.core.database import scope_of
from app.core.errors import Invalid
from app.core.ids import PLATFORM_TENANT
from app.core.listing import filled, kept
from app.core.paging import Pager
from app.core.policy import actor_of
from app.core.queries import uuid_of
from app.core.snapshot import Snapshots
from app.core.templating import PREFIX, gone_to, render, told
from app.module import About
from app.modules.audit.service import tenant_names
from app.modules.queues.permissions import MANAGE, READ
from app.modules.queues.repository import JobFilter
from app.modules.queues.schemas import (
    ANY,
    JOB_SEEN,
    QUEUE_ANSWERS,
    JobState,
    LetterChoice,
    LimitsChange,
    Removal,
    read,
    state_of,
)
from app.modules.queues.service import SORTS, QueueService
from app.modules.workers.service import WorkerService
from app.modules.workers.service import read as seen
from app.queues import control
from app.queues.counts import QueueOverview
from app.queues.job import declared
from app.queues.letters import Done
from app.queues.models import JobRow, State
from app.queues.record import TOPIC
from app.queues.spec import UNLIMITED

SNAPSHOT = QUEUE_ANSWERS.tags[0]
LIMITS = ("rate.jobs", "rate.perS", "running", "runningPerTenant")
LISTED = ("kind", "tenantId", "fingerprint", "sort")


@dataclass(frozen=True, slots=True)
class Views:
    """What this module shows: each a whole page, or for HTMX the fragment that an act or a signal changed."""

    request: Request[Any, Any, Any]
    session: AsyncSession
    queues: QueueService
    workers: WorkerService
    pager: Pager

    async def overview(self) -> Template:
        """As it is in this transaction, for whoever changed something in it."""
        return self._render("index", "_overview", await self._overview())

    async def shared_overview(self) -> Template:
        """One reading for all who look; `Cache-Control: no-cache` wants it as it is now."""
        if "no-cache" in self.request.headers.get("cache-control", ""):
            return await self.overview()
        snapshots: Snapshots = self.request.app.state.snapshots
        shown = await snapshots.read(SNAPSHOT, scope_of(self.session), TOPIC, self._overview)
        return self._render("index", "_overview", {**shown})

    async def _overview(self) -> dict[str, Any]:
        return {
            "queues": await self.queues.overview(),
            "workers": [seen(row) for row in await self.workers.list()],
            "unlimited": UNLIMITED,
            "lags": await self.queues.loops(),
        }

    async def jobs(self, queue: str, wanted: JobFilter, cursor: str) -> Template:
        page = await self.queues.jobs(self.pager, queue, wanted, cursor=cursor or None)
        filters = {"state": wanted.state or ANY, "kind": wanted.kind, "tenantId": wanted.tenant_id, "q": wanted.text}
        filters |= {name: self.request.query_params.get(name) for name in ("from", "to")}
        context = await self._list(queue, page.items) | {
            "page": page,
            "cursor": cursor,
            "params": {name: str(value) for name, value in filters.items() if value} | self.pager.order,
            "kinds": sorted((one.kind, one.kind) for one in declared() if one.queue == queue),
        }
        return self._render("jobs", "_jobs", context)

    async def tenants(self, queue: str) -> Template:
        context = {"queue": await self._stats(queue), "loads": await self.queues.tenants(queue)}
        return self._render("tenants", "_tenants", context | {"platform": PLATFORM_TENANT})

    async def letters(self, queue: str, wanted: JobFilter, at: str | None) -> Template:
        page, cursor = await filled(
            lambda cursor: self.queues.letters(self.pager, queue, wanted, cursor=cursor), at or None
        )
        filters = {"kind": wanted.kind, "tenantId": wanted.tenant_id, "fingerprint": wanted.fingerprint}
        context = await self._list(queue, page.items) | {
            "page": page,
            "cursor": cursor,
            "params": {name: str(value) for name, value in filters.items() if value} | self.pager.order,
            "groups": await self.queues.groups(queue),
        }
        return self._render("letters", "_letters", context)

    async def job(self, queue: str, job_id: UUID, fragment: str = "_job") -> Template:
        seen = await self.queues.job(queue, job_id)
        row = seen.row
        tell(self.request, tenant_id=row.tenant_id)
        context = {"job": row, "seen": seen, "plain": read(seen)} | await self._list(queue, [row])
        return self._render("job", fragment, context, JOB_SEEN)

    async def edit(self, queue: str, job_id: UUID) -> Template:
        seen = await self.queues.job(queue, job_id)
        tell(self.request, tenant_id=seen.row.tenant_id)
        shown = json.dumps(read(seen).payload, indent=2, ensure_ascii=False)
        context = {"job": seen.row, "payload": shown} | await self._list(queue, [seen.row])
        return self._render("edit", "edit", context, JOB_SEEN)

    async def after(self, queue: str, job_id: UUID, message: str, *, undo: bool = False) -> Template:
        """What shows an act on a job: the list that the button stood in, or else the job; and a message."""
        form = await self.request.form()
        if form.get("list"):
            view, target = await self._letters_again(queue), "#letters"
        else:
            view, target = await self.job(queue, job_id), "#job"
        if not undo:
            return told(view, message)
        values = {"list": str(form["list"])} if form.get("list") else {}
        url = f"{PREFIX}/queues/{queue}/jobs/{job_id}/restore"
        return told(view, message, {"url": url, "target": target, "values": values})

    async def after_many(self, queue: str, done: Done, verb: str) -> Template:
        """The list again, with what became of the act; a removal with the way back."""
        count = len(done.rows)
        told_of = [f"{count} dead letter{'' if count == 1 else 's'} {verb}"]
        told_of += [f"{done.skipped} skipped: their work was asked for again"] if done.skipped else []
        told_of += [f"{done.left - done.skipped} left"] if done.left > done.skipped else []
        view, message = await self._letters_again(queue), "; ".join(told_of)
        removed_at = done.rows[0].removed_at if done.rows else None
        if removed_at is None:
            return told(view, message)
        values = {"removedAt": removed_at.isoformat()}
        return told(
            view, message, {"url": f"{PREFIX}/queues/{queue}/dlq/restore", "target": "#letters", "values": values}
        )

    async def _letters_again(self, queue: str) -> Template:
        """The dead letters as the reader has them, after an act on them."""
        asked, cursor = kept(self.request, f"{PREFIX}/queues/{queue}/dlq", LISTED)
        tenant = uuid_of("tenantId", asked.get("tenantId"))
        wanted = JobFilter(JobState.FAILED, asked.get("kind"), tenant, fingerprint=asked.get("fingerprint"))
        view = replace(self, pager=self.pager.by(asked.get("sort")))
        return await view.letters(queue, wanted, cursor)

    async def _list(self, queue: str, rows: Sequence[JobRow]) -> dict[str, Any]:
        names = await tenant_names(self.session, (row.tenant_id for row in rows))
        return {
            "queue": await self._stats(queue),
            "tenants": names,
            "about": await self._about(rows),
            "platform": PLATFORM_TENANT,
            "state_of": state_of,
        }

    async def _stats(self, queue: str) -> QueueOverview:
        """For who looks, one reading for all; for who changes something, as it is in this transaction."""
        if self.request.method != "GET" or "no-cache" in self.request.headers.get("cache-control", ""):
            return await self.queues.stats(queue)
        control.spec_of(self.session, queue)
        snapshots: Snapshots = self.request.app.state.snapshots
        return await snapshots.read(
            f"queue {queue}", scope_of(self.session), TOPIC, lambda: self.queues.stats(queue), tag=SNAPSHOT
        )

    async def _about(self, rows: Sequence[JobRow]) -> dict[UUID, tuple[str, str]]:
        """What each job is about, where a module says so and the viewer may see it: a label and an address."""
        known: dict[str, About] = self.request.app.state.about
        actor = actor_of(self.request)
        found: dict[UUID, tuple[str, str]] = {}
        for kind in {row.kind for row in rows} & known.keys():
            if actor is not None and actor.may(known[kind].permission):
                found |= await known[kind].find(self.session, [row.id for row in rows if row.kind == kind])
        return {id_: (label, PREFIX + path) for id_, (label, path) in found.items()}

    def _render(self, page: str, fragment: str, context: dict[str, Any], access: Access | None = None) -> Template:
        context["path"] = f"{PREFIX}/queues"
        part = f"queues/{fragment}.html"
        return render(self.request, f"queues/{page}.html", context, fragment=part, access=access)


def payload_of(form: FormMultiDict) -> dict[str, Any]:
    """
    Raises:
        Invalid: the field `payload` holds no JSON object.
    """
    try:
        return decode(str(form.get("payload") or ""), type=dict[str, Any])
    except (DecodeError, RecursionError) as error:
        raise Invalid.field("payload", f"must be a JSON object: {error}") from None


def limits_of(form: FormMultiDict) -> LimitsChange:
    """All fields of the form; an empty one is no limit.

    Raises:
        Invalid: naming the field.
    """
    given = {name: str(form.get(name) or "").strip() for name in LIMITS}
    jobs, per_s = given.pop("rate.jobs"), given.pop("rate.perS")
    if bool(jobs) != bool(per_s):
        raise Invalid.field("rate.perS" if jobs else "rate.jobs", "a rate has both: so many starts, in so many seconds")
    plain: dict[str, Any] = {name: value or None for name, value in given.items()}
    plain["rate"] = {"jobs": jobs, "perS": per_s} if jobs else None
    try:
        return convert(plain, LimitsChange, strict=False)
    except ValidationError as error:
        raise Invalid.misfit(error, "limits") from None


def chosen(form: FormMultiDict) -> LetterChoice:
    """The ticked letters, or those of one cause.

    Raises:
        Invalid: naming what is no choice.
    """
    ids = [str(value) for value in form.getall("ids", [])]
    cause = str(form.get("cause") or "") or None
    if not ids and not cause:
        raise Invalid.field("ids", "tick at least one dead letter")
    try:
        return convert({"ids": ids} if ids else {"fingerprint": cause}, LetterChoice)
    except ValidationError as error:
        raise Invalid.misfit(error, "ids") from None


def removal_of(form: FormMultiDict) -> Removal:
    """
    Raises:
        Invalid: the field `removedAt` is no moment.
    """
    try:
        return convert({"removedAt": form.get("removedAt")}, Removal)
    except ValidationError as error:
        raise Invalid.misfit(error, "removedAt") from None


class QueuePages(Controller):
    path = "/queues"

    @get("/", permission=READ)
    async def index(self, views: NamedDependency[Views]) -> Template:
        return await views.shared_overview()

    @post("/{queue:str}/pause", permission=MANAGE, audit="owner.queue.pause", status_code=200)
    async def pause(self, queue: FromPath[str], views: NamedDependency[Views]) -> Template:
        form = await views.request.form()
        await views.queues.pause(queue, str(form.get("reason") or ""))
        return told(await views.overview(), f"{queue} is paused")

    @post("/{queue:str}/resume", permission=MANAGE, audit="owner.queue.resume", status_code=200)
    async def resume(self, queue: FromPath[str], views: NamedDependency[Views]) -> Template:
        form = await views.request.form()
        await views.queues.resume(queue, str(form.get("reason") or ""))
        return told(await views.overview(), f"{queue} goes on")

    @post("/{queue:str}/limits", permission=MANAGE, audit="owner.queue.limit", status_code=200)
    async def limit(self, queue: FromPath[str], views: NamedDependency[Views]) -> Template:
        form = await views.request.form()
        if form.get("declared"):
            await views.queues.limit_as_declared(queue)
        else:
            await views.queues.limit(queue, limits_of(form))
        return told(await views.overview(), f"{queue} has its limits")

    @get("/{queue:str}/tenants", permission=READ)
    async def tenants(self, queue: FromPath[str], views: NamedDependency[Views]) -> Template:
        return await views.tenants(queue)

    @get("/{queue:str}/jobs", permission=READ, sorts=SORTS)
    async def jobs(
        self,
        queue: FromPath[str],
        views: NamedDependency[Views],
        wanted: NamedDependency[JobFilter],
        cursor: FromQuery[str] = "",
    ) -> Template:
        return await views.jobs(queue, wanted, cursor)

    @get("/{queue:str}/jobs/{job_id:uuid}", permission=READ, access=JOB_SEEN)
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

    @post("/{queue:str}/jobs/{job_id:uuid}/cancel", permission=MANAGE, audit="owner.job.cancel", status_code=200)
    async def cancel(self, queue: FromPath[str], job_id: FromPath[UUID], views: NamedDependency[Views]) -> Template:
        row = await views.queues.cancel(queue, job_id)
        stopping = row.state == State.ACTIVE
        return await views.after(queue, job_id, "The job is being stopped" if stopping else "The job is cancelled")

    @post("/{queue:str}/jobs/{job_id:uuid}/remove", permission=MANAGE, audit="owner.job.remove", status_code=200)
    async def remove(self, queue: FromPath[str], job_id: FromPath[UUID], views: NamedDependency[Views]) -> Template:
        await views.queues.remove(queue, job_id)
        return await views.after(queue, job_id, "The job is removed", undo=True)

    @post("/{queue:str}/jobs/{job_id:uuid}/restore", permission=MANAGE, audit="owner.job.restore", status_code=200)
    async def restore(self, queue: FromPath[str], job_id: FromPath[UUID], views: NamedDependency[Views]) -> Template:
        await views.queues.restore(queue, job_id)
        return await views.after(queue, job_id, "The job is back")

    @get("/{queue:str}/dlq", permission=READ, sorts=SORTS)
    async def letters(
        self,
        queue: FromPath[str],
        views: NamedDependency[Views],
        wanted: NamedDependency[JobFilter],
        cursor: FromQuery[str] = "",
    ) -> Template:
        return await views.letters(queue, wanted, cursor)

    @post("/{queue:str}/dlq/replay", permission=MANAGE, audit="owner.dlq.replay_many", status_code=200)
    async def replay_many(self, queue: FromPath[str], views: NamedDependency[Views]) -> Template:
        done = await views.queues.replay_letters(queue, chosen(await views.request.form()))
        return await views.after_many(queue, done, "replayed")

    @post("/{queue:str}/dlq/remove", permission=MANAGE, audit="owner.dlq.remove_many", status_code=200)
    async def discard_many(self, queue: FromPath[str], views: NamedDependency[Views]) -> Template:
        done = await views.queues.remove_letters(queue, chosen(await views.request.form()))
        return await views.after_many(queue, done, "removed")

    @post("/{queue:str}/dlq/restore", permission=MANAGE, audit="owner.dlq.restore_many", status_code=200)
    async def restore_many(self, queue: FromPath[str], views: NamedDependency[Views]) -> Template:
        done = await views.queues.restore_letters(queue, removal_of(await views.request.form()))
        return await views.after_many(queue, done, "brought back")

    @post("/{queue:str}/dlq/{job_id:uuid}/replay", permission=MANAGE, audit="owner.dlq.replay", status_code=200)
    async def replay(self, queue: FromPath[str], job_id: FromPath[UUID], views: NamedDependency[Views]) -> Template:
        await views.queues.replay(queue, job_id)
        return await views.after(queue, job_id, "The job is back in its queue")

    @get("/{queue:str}/dlq/{job_id:uuid}/edit", permission=MANAGE, access=JOB_SEEN)
    async def edit(self, queue: FromPath[str], job_id: FromPath[UUID], views: NamedDependency[Views]) -> Template:
        return await views.edit(queue, job_id)

    @post("/{queue:str}/dlq/{job_id:uuid}/edit", permission=MANAGE, audit="owner.dlq.edit", status_code=200)
    async def replay_edited(
        self, queue: FromPath[str], job_id: FromPath[UUID], views: NamedDependency[Views]
    ) -> Response[bytes]:
        new = await views.queues.edit_letter(queue, job_id, payload_of(await views.request.form()))
        return gone_to(f"{PREFIX}/queues/{queue}/jobs/{new.id}")

    @post("/{queue:str}/dlq/{job_id:uuid}/remove", permission=MANAGE, audit="owner.dlq.remove", status_code=200)
    async def discard(self, queue: FromPath[str], job_id: FromPath[UUID], views: NamedDependency[Views]) -> Template:
        await views.queues.remove_letter(queue, job_id)
        return await views.after(queue, job_id, "The dead letter is removed", undo=True)
