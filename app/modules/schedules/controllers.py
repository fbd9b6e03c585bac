"""`/api/owner/schedules`."""

from typing import Annotated

from litestar import Controller, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from app.core.etag import IfMatch, etag, versions
from app.modules.schedules.permissions import MANAGE, READ
from app.modules.schedules.schemas import (
    Preview,
    Reason,
    RunAnswer,
    ScheduleChange,
    ScheduleDetail,
    ScheduleList,
    read,
    read_detail,
    read_run,
    typed_timing,
)
from app.modules.schedules.service import ScheduleService


class ScheduleController(Controller):
    path = "/schedules"

    @get("/", permission=READ)
    async def index(self, schedules: NamedDependency[ScheduleService]) -> ScheduleList:
        """List all schedules, by name, each with its last run."""
        return ScheduleList(items=[read(plan) for plan in await schedules.all()])

    @get("/preview", permission=READ)
    async def preview(
        self,
        schedules: NamedDependency[ScheduleService],
        cron: FromQuery[str] = "",
        every_s: Annotated[str, QueryParameter(name="everyS")] = "",
        timezone: FromQuery[str] = "UTC",
    ) -> Preview:
        """Tell when a timing would be due next, five times; a wrong one is refused as a change to it would be."""
        return Preview(upcoming=await schedules.upcoming(typed_timing(cron, every_s, timezone)))

    @get("/{name:str}", permission=READ)
    async def show(self, name: FromPath[str], schedules: NamedDependency[ScheduleService]) -> Response[ScheduleDetail]:
        """Read a schedule, with its next five runs and its last ten."""
        return await _answer(schedules, name)

    @patch("/{name:str}", permission=MANAGE, audit="owner.schedule.update")
    async def update(
        self,
        name: FromPath[str],
        schedules: NamedDependency[ScheduleService],
        data: JSONBody[ScheduleChange],
        if_match: IfMatch = None,
    ) -> Response[ScheduleDetail]:
        """Time a schedule otherwise than the code does."""
        await schedules.change(name, data, expected=versions(if_match))
        return await _answer(schedules, name)

    @post("/{name:str}/pause", permission=MANAGE, audit="owner.schedule.pause", status_code=200)
    async def pause(
        self, name: FromPath[str], schedules: NamedDependency[ScheduleService], data: JSONBody[Reason | None] = None
    ) -> Response[ScheduleDetail]:
        """Pause a schedule: it makes no jobs until it is resumed. 409 where it is paused already."""
        await schedules.pause(name, data.reason if data else None)
        return await _answer(schedules, name)

    @post("/{name:str}/resume", permission=MANAGE, audit="owner.schedule.resume", status_code=200)
    async def resume(
        self, name: FromPath[str], schedules: NamedDependency[ScheduleService], data: JSONBody[Reason | None] = None
    ) -> Response[ScheduleDetail]:
        """Let a paused schedule go on with the next time from now. 409 where it is not paused."""
        await schedules.resume(name, data.reason if data else None)
        return await _answer(schedules, name)

    @post("/{name:str}/reset", permission=MANAGE, audit="owner.schedule.reset", status_code=200)
    async def reset(self, name: FromPath[str], schedules: NamedDependency[ScheduleService]) -> Response[ScheduleDetail]:
        """Set a schedule back to what the code says."""
        await schedules.reset(name)
        return await _answer(schedules, name)

    @post("/{name:str}/run", permission=MANAGE, audit="owner.schedule.run", status_code=200)
    async def run(self, name: FromPath[str], schedules: NamedDependency[ScheduleService]) -> RunAnswer:
        """Make a schedule's job at once. Asked within ten seconds, or while that job is unfinished, it is that one."""
        run, created = await schedules.run(name)
        return RunAnswer(run=read_run(run), created=created)

    @delete("/{name:str}", permission=MANAGE, audit="owner.schedule.remove")
    async def remove(self, name: FromPath[str], schedules: NamedDependency[ScheduleService]) -> None:
        """Remove a schedule that the code declares no more. 409 while it does."""
        await schedules.remove(name)


async def _answer(schedules: ScheduleService, name: str) -> Response[ScheduleDetail]:
    plan, upcoming = await schedules.detail(name)
    return Response(read_detail(plan, upcoming), headers=etag(plan.row.version))
