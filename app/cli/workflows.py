"""`teknav workflows`: what runs and has run, without a browser."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from uuid import UUID

import rich_click as click
from msgspec import DecodeError, json, to_builtins

from app.cli.command import as_json, cursor, in_process, limit, pager_of, show, show_page

T = TypeVar("T")
STATUSES = ("pending", "running", "waiting", "paused", "succeeded", "failed", "cancelled")
tenant = click.option("--tenant", type=click.UUID, help="Only this tenant's, by id.")


def _page(service: Callable[[Any, Any], Any], ask: Callable[[Any, Any], Awaitable[T]]) -> T:
    """A page of a list: `ask(service, pager)` in a transaction of its own."""

    async def run(process: Any, actor: Any) -> T:
        async with process.database.transaction(actor.scope) as session:
            return await ask(service(session, actor), pager_of(process))

    return in_process(run)


@click.group()
def workflows() -> None:
    """Workflows and their instances."""


@workflows.command("list")
@tenant
@limit
@cursor
@as_json
def workflows_list(tenant: UUID | None, limit: int, cursor: str | None, as_json: bool) -> None:
    """Every workflow, newest first."""
    from app.modules.workflows.schemas import WorkflowPage, item
    from app.modules.workflows.service import WorkflowService

    found = _page(WorkflowService, lambda service, pager: service.search(pager, tenant, limit=limit, cursor=cursor))
    items = [item(row) for row in found.items]
    rows = [(one.id, one.key, "active" if one.active_version_id else "draft", one.topic or "by hand") for one in items]
    page = WorkflowPage(items=items, next_cursor=found.next_cursor, prev_cursor=found.prev_cursor)
    show_page(as_json, page, ("workflow", "key", "state", "starts on"), rows)


@workflows.command("run")
@click.argument("workflow", type=click.UUID)
@click.option("--input", "given", default="{}", help='A JSON object: \'{"articleId": "…"}\'.')
@as_json
def workflows_run(workflow: UUID, given: str, as_json: bool) -> None:
    """Start a workflow by hand."""
    try:
        wanted = json.decode(given, type=dict[str, Any])
    except (DecodeError, RecursionError) as error:
        raise click.BadParameter(f"must be a JSON object: {error}", param_hint="--input") from None
    _act(lambda service: service.run(workflow, wanted), as_json, "was started")


@workflows.command("instances")
@click.option("--status", type=click.Choice(STATUSES))
@click.option("--workflow", type=click.UUID, help="Only this workflow's, by id.")
@tenant
@limit
@cursor
@as_json
def workflows_instances(
    status: str | None, workflow: UUID | None, tenant: UUID | None, limit: int, cursor: str | None, as_json: bool
) -> None:
    """What runs and has run, newest first."""
    from app.modules.instances.schemas import InstancePage, item
    from app.modules.instances.service import InstanceFilter, InstanceService, Status

    wanted = InstanceFilter(Status(status) if status else None, tenant, workflow)
    found = _page(InstanceService, lambda service, pager: service.search(pager, wanted, limit=limit, cursor=cursor))
    items = [item(row) for row in found.items]
    rows = [(one.id, one.status, one.step, one.trigger, one.error.message if one.error else "") for one in items]
    page = InstancePage(items=items, next_cursor=found.next_cursor, prev_cursor=found.prev_cursor)
    show_page(as_json, page, ("instance", "status", "step", "trigger", "error"), rows)


@workflows.command("cancel")
@click.argument("instance", type=click.UUID)
@as_json
def workflows_cancel(instance: UUID, as_json: bool) -> None:
    """End an instance where it is."""
    _act(lambda service: service.cancel(instance), as_json, "is cancelled")


def _act(act: Callable[[Any], Awaitable[Any]], as_json: bool, what: str) -> None:
    """Do something with one instance, and print how it is then."""
    from app.modules.instances.schemas import item

    async def run(process: Any, actor: Any) -> Any:
        from app.modules.instances.service import InstanceService

        async with process.database.transaction(actor.scope) as session:
            return item(await act(InstanceService(session, actor)))

    found = in_process(run)
    show(as_json, to_builtins(found), text=f"The instance {found.id} {what}.")
