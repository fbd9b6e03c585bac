"""`teknav ai`: what AI was asked for, its runs, and what they used."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import rich_click as click
from msgspec import to_builtins

from app.cli.command import Shown, as_json, asked, columns, cursor, limit, show, show_page, sort
from app.cli.transactions import asked_of, of_tenant


@click.group()
def ai() -> None:
    """What AI was asked for, its runs, and what they used."""


@ai.command("tasks")
@click.option("--status", type=click.Choice(["queued", "running", "completed", "failed", "cancelled"]))
@click.option("--kind", help="Such as summarize_article.")
@of_tenant
@sort
@limit
@cursor
@as_json
def ai_tasks(
    status: str | None, kind: str | None, tenant: str | None, limit: int, cursor: str | None, as_json: bool
) -> None:
    """List tasks, newest first."""
    from app.modules.ai.schemas import AiTaskOwnedPage, Kind, read
    from app.modules.ai.service import AiService, TaskFilter, TaskStatus

    if kind is not None and kind not in {*Kind}:
        raise click.BadParameter(f"must be one of {', '.join(Kind)}", param_hint="--kind")

    async def find(service: AiService, pager: Any, of: UUID | None) -> Any:
        wanted = TaskFilter(TaskStatus(status) if status else None, of, kind=kind)
        return await service.tasks(pager, wanted, limit=limit, cursor=cursor)

    page = read(asked_of(tenant, AiService, find), AiTaskOwnedPage)
    rows = [
        (one.id, one.kind, one.status, one.article_id, one.error.message if one.error else "") for one in page.items
    ]
    show_page(as_json, page, ("task", "kind", "status", "article", "error"), rows)


@ai.command("task")
@click.argument("task", type=click.UUID)
@as_json
def ai_task(task: UUID, as_json: bool) -> None:
    """Show one task, with what came of it."""
    _task(lambda service: service.task(task), as_json)


@ai.command("cancel")
@click.argument("task", type=click.UUID)
@as_json
def ai_cancel(task: UUID, as_json: bool) -> None:
    """End a task that waits, or have stopped what runs."""
    _task(lambda service: service.cancel(task), as_json)


@ai.command("retry")
@click.argument("task", type=click.UUID)
@as_json
def ai_retry(task: UUID, as_json: bool) -> None:
    """Begin again with a task that has failed or was cancelled."""
    _task(lambda service: service.retry(task), as_json)


def _task(act: Callable[[Any], Awaitable[Any]], as_json: bool) -> None:
    """Do something with one task, and print how it is then."""
    from app.modules.ai.schemas import AiTaskOwned, read
    from app.modules.ai.service import AiService

    async def run(service: Any, _: Any) -> Any:
        return read(await act(service), AiTaskOwned)

    found = asked(AiService, run)
    told = found.error.message if found.error else (found.result.summary if found.result else None)
    text = f"{found.kind} of article {found.article_id} is {found.status}"
    show(as_json, to_builtins(found), text=f"{text}.\n\n{told}" if told else f"{text}.")


@ai.command("runs")
@click.option("--status", type=click.Choice(["running", "completed", "failed"]))
@click.option("--task", type=click.UUID, help="Only those of this task.")
@of_tenant
@sort
@limit
@cursor
@as_json
def ai_runs(
    status: str | None, task: UUID | None, tenant: str | None, limit: int, cursor: str | None, as_json: bool
) -> None:
    """List the tries at tasks, newest first."""
    from app.modules.runs.schemas import AiRunPage, read
    from app.modules.runs.service import RunFilter, Runs, RunStatus

    async def find(runs: Runs, pager: Any, of: UUID | None) -> Any:
        wanted = RunFilter(RunStatus(status) if status else None, of, task)
        return await runs.runs(pager, wanted, limit=limit, cursor=cursor)

    page = read(asked_of(tenant, lambda session, _: Runs(session), find), AiRunPage)
    rows = [
        (
            one.id,
            one.status,
            one.model or one.provider,
            one.attempt,
            one.cost_usd,
            one.error.message if one.error else "",
        )
        for one in page.items
    ]
    show_page(as_json, page, ("run", "status", "model", "try", "US dollars", "error"), rows)


@ai.command("usage")
@click.option("--month", help="Such as 2026-11; this one where none is named.")
@click.option("--by", type=click.Choice(["tenant", "day", "kind", "model"]), default="tenant", show_default=True)
@of_tenant
@as_json
def ai_usage(month: str | None, by: str, tenant: str | None, as_json: bool) -> None:
    """What runs used in a month: the dearest first, or the newest day."""
    from app.modules.runs.schemas import AiUsageList, AiUsagePart, AiUsageParts, AiUsageRead, read
    from app.modules.runs.service import By, Runs

    if by != "tenant":
        part = By(by)
        told, used = asked_of(tenant, lambda session, _: Runs(session), lambda runs, _, of: runs.parts(part, month, of))
        parts = AiUsageParts(month=told, by=part, items=[read(row, AiUsagePart) for row in used])
        cells = [(one.key, one.runs, one.failed, one.input, one.output, one.cost_usd) for one in parts.items]
        titles = (by, "runs", "failed", "tokens sent", "answered", "US dollars")
        show(as_json, to_builtins(parts), text=f"{told}\n\n{columns(titles, cells)}")
        return

    async def find(runs: Runs, _: Any, of: UUID | None) -> AiUsageList:
        name, spent = await runs.usage(month)
        return AiUsageList(month=name, items=[read(row, AiUsageRead) for row in spent if of in (None, row.tenant_id)])

    found = asked_of(tenant, lambda session, _: Runs(session), find)
    rows = [(one.tenant_id, one.runs, one.failed, one.input, one.output, one.cost_usd) for one in found.items]
    head = ("tenant", "runs", "failed", "tokens sent", "answered", "US dollars")
    show(as_json, to_builtins(found), text=f"{found.month}\n\n{columns(head, rows)}")


SHOWN = Shown("AI, workflows, plugins", (ai,), 10)
