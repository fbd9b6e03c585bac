"""`/workflows` in the dashboards: definitions, their drafts in an area for text, and their versions."""

from typing import Any
from uuid import UUID

from litestar import Controller, Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, URLEncodedBody
from litestar.response import Template
from msgspec import to_builtins
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import Invalid
from app.core.events import public
from app.core.paging import Pager
from app.core.queries import uuid_of
from app.core.templating import prefix_of, render, told
from app.modules.audit.service import tenant_names as tenant_names_of
from app.modules.tenants.service import tenant_names
from app.modules.workflows.permissions import READ, WRITE
from app.modules.workflows.schemas import EXAMPLE, WorkflowChange, WorkflowCreate, WorkflowForm, is_key, pretty
from app.modules.workflows.service import SORTS, WorkflowService, parse

AnyRequest = Request[Any, Any, Any]


class WorkflowPages(Controller):
    path = "/workflows"

    @get("/", permission=READ, sorts=SORTS)
    async def index(
        self,
        request: AnyRequest,
        workflows: NamedDependency[WorkflowService],
        session: NamedDependency[AsyncSession],
        pager: NamedDependency[Pager],
        tenant: FromQuery[str] = "",
        cursor: FromQuery[str] = "",
    ) -> Template:
        page = await workflows.search(pager, uuid_of("tenant", tenant), cursor=cursor or None)
        context = _common(request) | {
            "page": page,
            "params": ({"tenant": tenant} if tenant else {}) | pager.order,
            "cursor": cursor,
            "tenants": await tenant_names(session),
            "example": pretty(to_builtins(EXAMPLE)),
        }
        return render(request, "workflows/index.html", context, fragment="workflows/_list.html")

    @post("/", permission=WRITE, audit="workflow.create", status_code=200)
    async def create(
        self,
        request: AnyRequest,
        workflows: NamedDependency[WorkflowService],
        session: NamedDependency[AsyncSession],
        data: URLEncodedBody[WorkflowForm],
    ) -> Template:
        """The new one as a page of its own, to which the browser goes."""
        if not is_key(data.key):
            raise Invalid.field("key", "must be 1 to 40 of a-z, 0-9 and _, and begin with a letter")
        new = WorkflowCreate(
            key=data.key, name=data.name, graph=parse(data.graph), tenant_id=uuid_of("tenantId", data.tenant_id)
        )
        row = await workflows.create(new)
        view = await _show(request, workflows, session, row.id, "workflows/_body.html")
        view.headers["HX-Redirect"] = f"{prefix_of(request)}/workflows/{row.id}"
        return view

    @get("/{definition_id:uuid}", permission=READ)
    async def show(
        self,
        request: AnyRequest,
        definition_id: FromPath[UUID],
        workflows: NamedDependency[WorkflowService],
        session: NamedDependency[AsyncSession],
    ) -> Template:
        return await _show(request, workflows, session, definition_id, "workflows/_drawer.html")

    @post("/{definition_id:uuid}", permission=WRITE, audit="workflow.update", status_code=200)
    async def update(
        self,
        request: AnyRequest,
        definition_id: FromPath[UUID],
        workflows: NamedDependency[WorkflowService],
        session: NamedDependency[AsyncSession],
        data: URLEncodedBody[WorkflowForm],
    ) -> Template:
        expected = None if data.version is None else {data.version}
        change = WorkflowChange(name=data.name, graph=parse(data.graph))
        await workflows.update(definition_id, change, expected=expected)
        return await _show(request, workflows, session, definition_id, "workflows/_body.html", "The draft is saved")

    @post("/{definition_id:uuid}/publish", permission=WRITE, audit="workflow.publish", status_code=200)
    async def publish(
        self,
        request: AnyRequest,
        definition_id: FromPath[UUID],
        workflows: NamedDependency[WorkflowService],
        session: NamedDependency[AsyncSession],
    ) -> Template:
        await workflows.publish(definition_id)
        return await _show(
            request, workflows, session, definition_id, "workflows/_body.html", "The draft is what runs now"
        )

    @post("/{definition_id:uuid}/switch-off", permission=WRITE, audit="workflow.switch_off", status_code=200)
    async def switch_off(
        self,
        request: AnyRequest,
        definition_id: FromPath[UUID],
        workflows: NamedDependency[WorkflowService],
        session: NamedDependency[AsyncSession],
    ) -> Template:
        await workflows.switch_off(definition_id)
        return await _show(
            request, workflows, session, definition_id, "workflows/_body.html", "No more instances start"
        )


def _common(request: AnyRequest) -> dict[str, Any]:
    return {"path": f"{prefix_of(request)}/workflows", "topics": sorted(public())}


async def _show(
    request: AnyRequest,
    workflows: WorkflowService,
    session: AsyncSession,
    definition_id: UUID,
    fragment: str,
    done: str | None = None,
) -> Template:
    row = await workflows.get(definition_id)
    context = _common(request) | {
        "workflow": row,
        "tenants": await tenant_names_of(session, [row.tenant_id]),
        "draft": pretty(row.draft),
        "versions": [(one, pretty(one.graph)) for one in await workflows.versions(definition_id)],
    }
    return told(render(request, "workflows/show.html", context, fragment=fragment), done)
