"""`teknav workflows`: what runs and has run, without a browser."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import rich_click as click
from msgspec import DecodeError, json, to_builtins

from app.cli.command import Shown, as_json, asked, columns, cursor, limit, show, show_page, sort
from app.cli.transactions import asked_of, in_platform, of_tenant

STATUSES = ("pending", "running", "waiting", "paused", "succeeded", "failed", "cancelled")


@click.group()
def workflows() -> None:
    """Workflows and their instances. FILE is JSON, - for standard input."""


@workflows.command("list")
@of_tenant
@sort
@limit
@cursor
@as_json
def workflows_list(tenant: str | None, limit: int, cursor: str | None, as_json: bool) -> None:
    """Every workflow, newest first."""
    from app.modules.workflows.schemas import WorkflowPage, item
    from app.modules.workflows.service import WorkflowService

    found = asked_of(
        tenant, WorkflowService, lambda service, pager, of: service.search(pager, of, limit=limit, cursor=cursor)
    )
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
@of_tenant
@sort
@limit
@cursor
@as_json
def workflows_instances(
    status: str | None, workflow: UUID | None, tenant: str | None, limit: int, cursor: str | None, as_json: bool
) -> None:
    """What runs and has run, newest first."""
    from app.modules.instances.schemas import InstancePage, item
    from app.modules.instances.service import InstanceFilter, InstanceService, Status

    async def find(service: InstanceService, pager: Any, of: UUID | None) -> Any:
        wanted = InstanceFilter(Status(status) if status else None, of, workflow)
        return await service.search(pager, wanted, limit=limit, cursor=cursor)

    found = asked_of(tenant, InstanceService, find)
    items = [item(row) for row in found.items]
    rows = [(one.id, one.status, one.step, one.trigger, one.error.message if one.error else "") for one in items]
    page = InstancePage(items=items, next_cursor=found.next_cursor, prev_cursor=found.prev_cursor)
    show_page(as_json, page, ("instance", "status", "step", "trigger", "error"), rows)


@workflows.command("show")
@click.argument("workflow", type=click.UUID)
@as_json
def workflows_show(workflow: UUID, as_json: bool) -> None:
    """Show a workflow with its draft and its versions."""
    on_definition(lambda service: service.get(workflow), as_json)


@workflows.command("publish")
@click.argument("workflow", type=click.UUID)
@as_json
def workflows_publish(workflow: UUID, as_json: bool) -> None:
    """Make the draft the version that runs."""
    on_definition(lambda service: service.publish(workflow), as_json)


@workflows.command("switch-off")
@click.argument("workflow", type=click.UUID)
@as_json
def workflows_switch_off(workflow: UUID, as_json: bool) -> None:
    """Start it no more; what runs goes on."""
    on_definition(lambda service: service.switch_off(workflow), as_json)


@workflows.command("instance")
@click.argument("instance", type=click.UUID)
@as_json
def workflows_instance(instance: UUID, as_json: bool) -> None:
    """Show one instance, with each try at each of its steps."""
    from app.modules.instances.schemas import INSTANCE_SEEN, InstanceOwned, detail
    from app.modules.instances.service import InstanceService

    async def find(_: Any, session: Any, actor: Any) -> Any:
        from app.modules.access.service import record_read

        service = InstanceService(session, actor)
        row = await service.get(instance)
        found = InstanceOwned(**detail(row, await service.executions(instance)))
        await record_read(session, actor, INSTANCE_SEEN, resource_id=str(instance), rows=1)
        return found

    found = in_platform(find)
    head = f"{found.id} is {found.status} at {found.step}"
    rows = [
        (one.step_key, one.type, one.attempt, one.status, one.error.message if one.error else "")
        for one in found.executions
    ]
    show(as_json, to_builtins(found), text=f"{head}\n\n{columns(('step', 'type', 'try', 'status', 'error'), rows)}")


@workflows.command("cancel")
@click.argument("instance", type=click.UUID)
@as_json
def workflows_cancel(instance: UUID, as_json: bool) -> None:
    """End an instance where it is."""
    _act(lambda service: service.cancel(instance), as_json, "is cancelled")


@workflows.command("pause")
@click.argument("instance", type=click.UUID)
@as_json
def workflows_pause(instance: UUID, as_json: bool) -> None:
    """Let an instance go no further than it is."""
    _act(lambda service: service.pause(instance), as_json, "is paused")


@workflows.command("resume")
@click.argument("instance", type=click.UUID)
@as_json
def workflows_resume(instance: UUID, as_json: bool) -> None:
    """Let a paused instance go on."""
    _act(lambda service: service.resume(instance), as_json, "goes on")


@workflows.command("retry")
@click.argument("instance", type=click.UUID)
@as_json
def workflows_retry(instance: UUID, as_json: bool) -> None:
    """Try the step again at which an instance has failed."""
    _act(lambda service: service.retry(instance), as_json, "tries its step again")


@workflows.command("restart")
@click.argument("instance", type=click.UUID)
@click.option("--step", help="Begin at this step, by its key, and keep what came of those before it.")
@as_json
def workflows_restart(instance: UUID, step: str | None, as_json: bool) -> None:
    """Start its workflow, as it is now, with the same input: a new instance."""
    _act(lambda service: service.restart(instance, step), as_json, "was started")


def on_definition(act: Callable[[Any], Awaitable[Any]], as_json: bool) -> None:
    """Do something with one workflow, and print how it is then."""
    from app.modules.workflows.schemas import read
    from app.modules.workflows.service import WorkflowService

    async def run(service: Any, _: Any) -> Any:
        row = await act(service)
        return read(row, await service.versions(row.id))

    show_definition(asked(WorkflowService, run), as_json)


def show_definition(found: Any, as_json: bool) -> None:
    state = f"runs version {found.versions[0].number}" if found.active_version_id else "is switched off"
    rows = [(one.number, one.published_by, f"{one.created_at:%Y-%m-%d %H:%M}") for one in found.versions]
    head = f"{found.key} {state}, and starts on {found.topic or 'demand'}."
    show(as_json, to_builtins(found), text=f"{head}\n\n{columns(('version', 'by', 'when'), rows)}")


def _act(act: Callable[[Any], Awaitable[Any]], as_json: bool, what: str) -> None:
    """Do something with one instance, and print how it is then."""
    from app.modules.instances.schemas import item
    from app.modules.instances.service import InstanceService

    async def run(service: Any, _: Any) -> Any:
        return item(await act(service))

    found = asked(InstanceService, run)
    show(as_json, to_builtins(found), text=f"The instance {found.id} {what}.")


SHOWN = Shown("AI, workflows, plugins", (workflows,), 30)
