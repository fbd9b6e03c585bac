"""`/dashboard/owner/schedules`: what runs by the clock, and the buttons that act on it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from litestar import Controller, Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter, URLEncodedBody
from litestar.response import Template

from app.core.errors import Invalid
from app.core.templating import PREFIX, render, told
from app.modules.queues.service import state_of
from app.modules.schedules.permissions import MANAGE, READ
from app.modules.schedules.schemas import ScheduleForm, typed_timing
from app.modules.schedules.service import ScheduleService
from app.queues.schedules import timing_of
from app.queues.timing import Timing, zones

PATH = f"{PREFIX}/schedules"
MISSED = [("once", "one run for all of them"), ("skip", "no run"), ("all", "one run for each, at most 100")]


@dataclass(frozen=True, slots=True)
class Views:
    """What this module shows: each a whole page, or for HTMX the fragment that an act or a signal changed."""

    request: Request[Any, Any, Any]
    schedules: ScheduleService

    async def index(self) -> Template:
        return self._render("index", "_list", {"plans": await self.schedules.all()})

    async def show(self, name: str, fragment: str) -> Template:
        plan = await self.schedules.get(name)
        upcoming = await self._upcoming(timing_of(plan.row), plan.row.next_run_at) if plan.declared else []
        context = {"plan": plan, "upcoming": upcoming, "missed": MISSED, "zones": sorted(zones()), "wrong": ""}
        return self._render("show", fragment, context)

    async def after(self, name: str, message: str) -> Template:
        """What shows an act: the list that the button stood in, or else the schedule; and a message."""
        form = await self.request.form()
        view = await (self.index() if form.get("list") else self.show(name, "_schedule"))
        return told(view, message)

    async def preview(self, cron: str, every_s: str, timezone: str) -> Template:
        """What the form would mean, or what is wrong with it, while it is still being typed."""
        context: dict[str, Any] = {"upcoming": [], "wrong": ""}
        try:
            context["upcoming"] = await self._upcoming(typed_timing(cron, every_s, timezone))
        except Invalid as error:
            context["wrong"] = error.errors[0].message
        return self._render("_preview", "_preview", context)

    async def _upcoming(self, timing: Timing, since: datetime | None = None) -> list[datetime]:
        """The next runs, as clocks in the timing's zone show them."""
        found = await self.schedules.upcoming(timing, since)
        return [moment.astimezone(ZoneInfo(timing.timezone)) for moment in found]

    def _render(self, page: str, fragment: str, context: dict[str, Any]) -> Template:
        context |= {"path": PATH, "state_of": state_of, "timing_of": timing_of}
        return render(self.request, f"schedules/{page}.html", context, fragment=f"schedules/{fragment}.html")


class SchedulePages(Controller):
    path = "/schedules"

    @get("/", permission=READ)
    async def index(self, views: NamedDependency[Views]) -> Template:
        return await views.index()

    @get("/preview", permission=READ)
    async def preview(
        self,
        views: NamedDependency[Views],
        cron: FromQuery[str] = "",
        every_s: Annotated[str, QueryParameter(name="everyS")] = "",
        timezone: FromQuery[str] = "UTC",
    ) -> Template:
        return await views.preview(cron, every_s, timezone)

    @get("/{name:str}", permission=READ)
    async def show(self, name: FromPath[str], views: NamedDependency[Views], part: FromQuery[bool] = False) -> Template:
        return await views.show(name, "_schedule" if part else "_drawer")

    @post("/{name:str}", permission=MANAGE, audit="owner.schedule.update", status_code=200)
    async def update(
        self, name: FromPath[str], views: NamedDependency[Views], data: URLEncodedBody[ScheduleForm]
    ) -> Template:
        expected = None if data.version is None else {data.version}
        await views.schedules.change(name, data.change(), expected=expected)
        return told(await views.show(name, "_body"), f"{name} is changed")

    @post("/{name:str}/reset", permission=MANAGE, audit="owner.schedule.reset", status_code=200)
    async def reset(self, name: FromPath[str], views: NamedDependency[Views]) -> Template:
        await views.schedules.reset(name)
        return told(await views.show(name, "_body"), f"{name} runs as the code says")

    @post("/{name:str}/pause", permission=MANAGE, audit="owner.schedule.pause", status_code=200)
    async def pause(self, name: FromPath[str], views: NamedDependency[Views]) -> Template:
        form = await views.request.form()
        await views.schedules.pause(name, str(form.get("reason") or ""))
        return await views.after(name, f"{name} is paused")

    @post("/{name:str}/resume", permission=MANAGE, audit="owner.schedule.resume", status_code=200)
    async def resume(self, name: FromPath[str], views: NamedDependency[Views]) -> Template:
        await views.schedules.resume(name)
        return await views.after(name, f"{name} goes on")

    @post("/{name:str}/run", permission=MANAGE, audit="owner.schedule.run", status_code=200)
    async def run(self, name: FromPath[str], views: NamedDependency[Views]) -> Template:
        _, created = await views.schedules.run(name)
        return await views.after(name, f"{name} runs now" if created else f"{name} was started already")

    @post("/{name:str}/remove", permission=MANAGE, audit="owner.schedule.remove", status_code=200)
    async def remove(self, name: FromPath[str], views: NamedDependency[Views]) -> Template:
        await views.schedules.remove(name)
        return told(await views.index(), f"{name} is removed")
