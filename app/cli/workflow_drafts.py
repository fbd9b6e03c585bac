"""`teknav workflows`, as far as it writes them."""

from typing import Any, BinaryIO
from uuid import UUID

import rich_click as click
from msgspec.structs import replace

from app.cli.command import as_json
from app.cli.given import document, json_file
from app.cli.transactions import in_platform, tenant_id
from app.cli.workflows import on_definition, show_definition


@click.command("create")
@json_file
@click.option("--tenant", required=True, help="Whose it is to be, by slug or id.")
@as_json
def create(file: BinaryIO, tenant: str, as_json: bool) -> None:
    """Write the workflow in FILE: {"key", "name", "graph"}, as the API takes it. It runs once it is published."""
    from app.modules.workflows.schemas import WorkflowCreate, read
    from app.modules.workflows.service import WorkflowService

    new = document(file, WorkflowCreate)

    async def act(_: Any, session: Any, actor: Any) -> Any:
        service = WorkflowService(session, actor)
        row = await service.create(replace(new, tenant_id=await tenant_id(session, actor, tenant)))
        return read(row, await service.versions(row.id))

    show_definition(in_platform(act), as_json)


@click.command("change")
@click.argument("workflow", type=click.UUID)
@json_file
@as_json
def change(workflow: UUID, file: BinaryIO, as_json: bool) -> None:
    """Change the draft to what FILE names of {"name", "graph"}; what runs stays until you publish."""
    from app.modules.workflows.schemas import WorkflowChange

    wanted = document(file, WorkflowChange)
    on_definition(lambda service: service.update(workflow, wanted), as_json)


DRAFTS = (create, change)
