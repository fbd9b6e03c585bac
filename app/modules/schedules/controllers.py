"""`/api/owner/schedules`."""

from typing import Annotated, Any

from litestar import Controller, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from app.core.etag import IfMatch, etag, versions
from app.modules.queues.service import state_of
from app.modules.schedules.permissions import MANAGE, READ
from app.modules.schedules.repository import Run
from app.modules.schedules.schemas import (
    Preview,
    Reason,
    RunAnswer,
    RunRead,
    ScheduleChange,
    ScheduleDetail,
    ScheduleList,
    ScheduleRead,
    TimingRead,
    typed_timing,
)
from app.modules.schedules.service import Plan, ScheduleService
from app.queues.schedules import fields, timing_of


class ScheduleController(Controller):
    path = "/schedules"

    @get("/", permission=READ)
    async def index(self, schedules: NamedDependency[ScheduleService]) -> ScheduleList:
        """All of them, by name, each with its last run."""
        return ScheduleList(items=[ScheduleRead(**_read(plan)) for plan in await schedules.all()])

    @get("/preview", permission=READ)
    async def preview(
        self,
        schedules: NamedDependency[ScheduleService],
        cron: FromQuery[str] = "",
        every_s: Annotated[str, QueryParameter(name="everyS")] = "",
        timezone: FromQuery[str] = "UTC",
    ) -> Preview:
        """When a timing would be due next, five times; a wrong one is refused as a change to it would be."""
        return Preview(upcoming=await schedules.upcoming(typed_timing(cron, every_s, timezone)))

    @get("/{name:str}", permission=READ)
    async def show(self, name: FromPath[str], schedules: NamedDependency[ScheduleService]) -> Response[ScheduleDetail]:
        """With its next five runs and its last ten."""
        return await _answer(schedules, name)

    @patch("/{name:str}", permission=MANAGE, audit="owner.schedule.update")
    async def update(
        self,
        name: FromPath[str],
        schedules: NamedDependency[ScheduleService],
        data: JSONBody[ScheduleChange],
        if_match: IfMatch = None,
    ) -> Response[ScheduleDetail]:
        """Time it otherwise than the code does."""
        await schedules.change(name, data, expected=versions(if_match))
        return await _answer(schedules, name)

    @post("/{name:str}/pause", permission=MANAGE, audit="owner.schedule.pause", status_code=200)
    async def pause(
        self, name: FromPath[str], schedules: NamedDependency[ScheduleService], data: JSONBody[Reason | None] = None
    ) -> Response[ScheduleDetail]:
        """Make no jobs until it is resumed. 409 where it is paused already."""
        await schedules.pause(name, data.reason if data else None)
        return await _answer(schedules, name)

    @post("/{name:str}/resume", permission=MANAGE, audit="owner.schedule.resume", status_code=200)
    async def resume(
        self, name: FromPath[str], schedules: NamedDependency[ScheduleService], data: JSONBody[Reason | None] = None
    ) -> Response[ScheduleDetail]:
        """Go on with the next time from now. 409 where it is not paused."""
        await schedules.resume(name, data.reason if data else None)
        return await _answer(schedules, name)

    @post("/{name:str}/reset", permission=MANAGE, audit="owner.schedule.reset", status_code=200)
    async def reset(self, name: FromPath[str], schedules: NamedDependency[ScheduleService]) -> Response[ScheduleDetail]:
        """Back to what the code says."""
        await schedules.reset(name)
        return await _answer(schedules, name)

    @post("/{name:str}/run", permission=MANAGE, audit="owner.schedule.run", status_code=200)
    async def run(self, name: FromPath[str], schedules: NamedDependency[ScheduleService]) -> RunAnswer:
        """Make a job at once. Asked again within ten seconds, or while the job is unfinished, it is that job."""
        run, created = await schedules.run(name)
        return RunAnswer(run=_read_run(run), created=created)

    @delete("/{name:str}", permission=MANAGE, audit="owner.schedule.remove")
    async def remove(self, name: FromPath[str], schedules: NamedDependency[ScheduleService]) -> None:
        """Take away what the code declares no more. 409 while it does."""
        await schedules.remove(name)


async def _answer(schedules: ScheduleService, name: str) -> Response[ScheduleDetail]:
    plan = await schedules.get(name)
    upcoming = await schedules.upcoming(timing_of(plan.row), plan.row.next_run_at) if plan.next_run_at else []
    runs = [_read_run(run) for run in plan.runs]
    return Response(ScheduleDetail(**_read(plan), upcoming=upcoming, runs=runs), headers=etag(plan.row.version))


def _read(plan: Plan) -> dict[str, Any]:
    code = plan.declared
    own = {name: getattr(plan.row, name, None) for name in ScheduleRead.__struct_fields__}
    return own | {
        "state": plan.state,
        "next_run_at": plan.next_run_at,
        "last_run": _read_run(plan.runs[0]) if plan.runs else None,
        "declared": TimingRead(**fields(code.timing, code.missed)) if code else None,
        "differs": plan.differs,
    }


def _read_run(run: Run) -> RunRead:
    job = run.job
    return RunRead(
        job_id=job.id,
        queue=job.queue,
        state=str(state_of(job)),
        due_at=run.due_at,
        by_hand=run.by_hand,
        finished_at=job.finished_at,
        duration_ms=job.duration_ms,
        error_message=job.error_message,
    )
