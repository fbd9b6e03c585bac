"""`teknav schedules`: what runs by the clock, without a browser."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import rich_click as click
from msgspec import UNSET, to_builtins

from app.cli.command import Shown, as_json, columns, show
from app.cli.transactions import in_platform

T = TypeVar("T")
schedule_name = click.argument("name")
reason = click.option("--reason", help="Shown beside the schedule and kept in the audit log.")


def _with(action: Callable[[Any], Awaitable[T]]) -> T:
    """Run `action(ScheduleService)` in a transaction of its own."""

    async def run(_: Any, session: Any, actor: Any) -> T:
        from app.modules.schedules.service import ScheduleService

        return await action(ScheduleService(session, actor))

    return in_platform(run)


def _act(name: str, act: Callable[[Any], Awaitable[object]], as_json: bool, what: str) -> None:
    """Do something with one schedule, and print how it is then."""
    from app.modules.schedules.schemas import read_detail

    async def run(service: Any) -> Any:
        await act(service)
        return read_detail(*await service.detail(name))

    show(as_json, to_builtins(_with(run)), text=f"{name} {what}.")


@click.group()
def schedules() -> None:
    """What runs by the clock."""


@schedules.command("list")
@as_json
def schedules_list(as_json: bool) -> None:
    """Every schedule with its next and its last run."""
    from app.modules.schedules.schemas import ScheduleList, read
    from app.queues.timing import in_words

    items = [read(plan) for plan in _with(lambda service: service.all())]
    rows = [
        (
            one.name,
            f"{one.cron} ({one.timezone})" if one.cron else in_words(one.every_s or 0),
            one.state,
            one.next_run_at.isoformat(timespec="seconds") if one.next_run_at else "-",
            one.last_run.state if one.last_run else "-",
        )
        for one in items
    ]
    text = columns(("schedule", "when", "state", "next run", "last run"), rows)
    show(as_json, to_builtins(ScheduleList(items=items)), text=text)


@schedules.command("show")
@schedule_name
@as_json
def schedules_show(name: str, as_json: bool) -> None:
    """One schedule with its next five runs and its last ten."""
    from app.modules.schedules.schemas import read_detail

    found = read_detail(*_with(lambda service: service.detail(name)))
    rows = [("next", moment.isoformat(timespec="seconds"), "") for moment in found.upcoming]
    rows += [(run.state, run.due_at.isoformat(timespec="seconds"), str(run.job_id)) for run in found.runs]
    show(as_json, to_builtins(found), text=columns((name, found.state, ""), rows))


@schedules.command("pause")
@schedule_name
@reason
@as_json
def schedules_pause(name: str, reason: str | None, as_json: bool) -> None:
    """Make no jobs until it is resumed."""
    _act(name, lambda service: service.pause(name, reason), as_json, "is paused")


@schedules.command("resume")
@schedule_name
@reason
@as_json
def schedules_resume(name: str, reason: str | None, as_json: bool) -> None:
    """Go on with the next time from now."""
    _act(name, lambda service: service.resume(name, reason), as_json, "goes on")


@schedules.command("change")
@schedule_name
@click.option("--cron", help="Five fields: minute, hour, day of month, month, day of week.")
@click.option("--every", "every_s", type=int, help="An interval in seconds, instead of --cron.")
@click.option("--timezone", help="Such as Europe/Berlin.")
@click.option("--missed", type=click.Choice(["once", "skip", "all"]), help="What becomes of times without a worker.")
@as_json
def schedules_change(
    name: str, cron: str | None, every_s: int | None, timezone: str | None, missed: Any, as_json: bool
) -> None:
    """Time it otherwise than the code does."""
    from app.modules.schedules.schemas import ScheduleChange

    given = {"cron": cron, "every_s": every_s, "timezone": timezone, "missed": missed}
    change = ScheduleChange(**{field: UNSET if value is None else value for field, value in given.items()})
    _act(name, lambda service: service.change(name, change), as_json, "is changed")


@schedules.command("reset")
@schedule_name
@as_json
def schedules_reset(name: str, as_json: bool) -> None:
    """Back to what the code says."""
    _act(name, lambda service: service.reset(name), as_json, "runs as the code says")


@schedules.command("run")
@schedule_name
@as_json
def schedules_run(name: str, as_json: bool) -> None:
    """Make a job at once, beside those that are due."""
    from app.modules.schedules.schemas import RunAnswer, read_run

    run, created = _with(lambda service: service.run(name))
    text = f"{name} runs now" if created else f"{name} was started already"
    show(as_json, to_builtins(RunAnswer(run=read_run(run), created=created)), text=f"{text}: job {run.job.id}.")


@schedules.command("remove")
@schedule_name
@as_json
def schedules_remove(name: str, as_json: bool) -> None:
    """Take away what the code declares no more; its jobs stay."""
    _with(lambda service: service.remove(name))
    show(as_json, {"name": name, "removed": True}, text=f"{name} is removed.")


SHOWN = Shown("Work", (schedules,), 30)
