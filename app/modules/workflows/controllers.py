"""`/api/v1/workflows`, and `/api/owner/workflows` for all tenants."""

from typing import Annotated
from uuid import UUID

from litestar import Controller, Response, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from app.core.etag import IfMatch, etag, versions
from app.core.paging import Pager
from app.core.queries import uuid_of
from app.modules.workflows.models import WorkflowDefinition
from app.modules.workflows.permissions import READ, WRITE
from app.modules.workflows.schemas import WorkflowChange, WorkflowCreate, WorkflowDetail, WorkflowPage, item, read
from app.modules.workflows.service import SORTS, WorkflowService

Text = str | None
Tenant = Annotated[Text, QueryParameter(name="tenantId")]


class WorkflowController(Controller):
    path = "/workflows"

    @get("/", permission=READ, sorts=SORTS)
    async def index(
        self,
        workflows: NamedDependency[WorkflowService],
        pager: NamedDependency[Pager],
        tenant: Tenant = None,
        limit: FromQuery[int] = 25,
        cursor: FromQuery[Text] = None,
    ) -> WorkflowPage:
        """List workflows, newest first."""
        page = await workflows.search(pager, uuid_of("tenantId", tenant), limit=limit, cursor=cursor)
        shown = page.map(item)
        return WorkflowPage(items=shown.items, next_cursor=shown.next_cursor, prev_cursor=shown.prev_cursor)

    @post("/", permission=WRITE, audit="workflow.create")
    async def create(
        self, workflows: NamedDependency[WorkflowService], data: JSONBody[WorkflowCreate]
    ) -> Response[WorkflowDetail]:
        """Write a workflow. It runs once a version of it is published."""
        return await _answer(workflows, await workflows.create(data))

    @get("/{definition_id:uuid}", permission=READ)
    async def show(
        self, definition_id: FromPath[UUID], workflows: NamedDependency[WorkflowService]
    ) -> Response[WorkflowDetail]:
        """Read one workflow, with its versions."""
        return await _answer(workflows, await workflows.get(definition_id))

    @patch("/{definition_id:uuid}", permission=WRITE, audit="workflow.update")
    async def update(
        self,
        definition_id: FromPath[UUID],
        workflows: NamedDependency[WorkflowService],
        data: JSONBody[WorkflowChange],
        if_match: IfMatch = None,
    ) -> Response[WorkflowDetail]:
        """Change the draft; what runs stays until a version is published."""
        row = await workflows.update(definition_id, data, expected=versions(if_match))
        return await _answer(workflows, row)

    @post("/{definition_id:uuid}/versions", permission=WRITE, audit="workflow.publish", status_code=200)
    async def publish(
        self, definition_id: FromPath[UUID], workflows: NamedDependency[WorkflowService]
    ) -> Response[WorkflowDetail]:
        """Make the draft what runs. Where it is the newest version already, that one."""
        return await _answer(workflows, await workflows.publish(definition_id))

    @post("/{definition_id:uuid}/switch-off", permission=WRITE, audit="workflow.switch_off", status_code=200)
    async def switch_off(
        self, definition_id: FromPath[UUID], workflows: NamedDependency[WorkflowService]
    ) -> Response[WorkflowDetail]:
        """Start no more instances, until a version is published again; those that run go on. 409 where it is off."""
        return await _answer(workflows, await workflows.switch_off(definition_id))


async def _answer(workflows: WorkflowService, row: WorkflowDefinition) -> Response[WorkflowDetail]:
    return Response(read(row, await workflows.versions(row.id)), headers=etag(row.version))
