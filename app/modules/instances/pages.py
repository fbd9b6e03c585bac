"""`/workflows/instances` in the dashboards: what runs and has run, one instance with its steps, live."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, URLEncodedBody
from litestar.response import Template
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.access import tell
from app.core.errors import Invalid
from app.core.paging import Pager
from app.core.templating import gone_to, prefix_of, render, state_label, told
from app.modules.audit.service import tenant_names as tenant_names_of
from app.modules.instances import repository
from app.modules.instances.models import UNFINISHED, Status
from app.modules.instances.permissions import MANAGE, READ
from app.modules.instances.repository import InstanceFilter
from app.modules.instances.schemas import INSTANCE_SEEN, InstanceDetail, RestartForm, RunForm, detail
from app.modules.instances.service import SORTS, InstanceService
from app.modules.tenants.service import tenant_names

AnyRequest = Request[Any, Any, Any]
FILTERS = ("status", "tenantId", "definitionId", "trigger", "correlationId", "sort")


class InstancePages(Controller):
    path = "/workflows"

    @get("/instances", permission=READ, sorts=SORTS)
    async def index(
        self,
        request: AnyRequest,
        instances: NamedDependency[InstanceService],
        session: NamedDependency[AsyncSession],
        pager: NamedDependency[Pager],
        wanted: NamedDependency[InstanceFilter],
        cursor: FromQuery[str] = "",
    ) -> Template:
        page = await instances.search(pager, wanted, cursor=cursor or None)
        here = {name: request.query_params[name] for name in (*FILTERS, "cursor") if request.query_params.get(name)}
        context = _common(request) | {
            "page": page,
            "here": here,
            "params": {name: value for name, value in here.items() if name != "cursor"},
            "workflows": await repository.workflow_names(session),
            "tenants": await tenant_names(session),
            "statuses": [(one, state_label(one).capitalize()) for one in Status],
        }
        return render(request, "instances/index.html", context, fragment="instances/_list.html")

    @get("/instances/{instance_id:uuid}", permission=READ, access=INSTANCE_SEEN)
    async def show(
        self,
        request: AnyRequest,
        instance_id: FromPath[UUID],
        instances: NamedDependency[InstanceService],
        session: NamedDependency[AsyncSession],
        part: FromQuery[bool] = False,
    ) -> Template:
        """The drawer, or with `part` what in it keeps itself current."""
        return await _show(request, instances, session, instance_id, "_instance" if part else "_drawer")

    @post("/{definition_id:uuid}/run", permission=MANAGE, audit="instance.start", status_code=200)
    async def run(
        self,
        request: AnyRequest,
        definition_id: FromPath[UUID],
        instances: NamedDependency[InstanceService],
        data: URLEncodedBody[RunForm],
    ) -> Response[bytes]:
        """The browser goes to the new instance."""
        instance = await instances.run(definition_id, _input(data.input))
        return _go(request, instance.id)

    @post("/instances/{instance_id:uuid}/cancel", permission=MANAGE, audit="instance.cancel", status_code=200)
    async def cancel(
        self,
        request: AnyRequest,
        instance_id: FromPath[UUID],
        instances: NamedDependency[InstanceService],
        session: NamedDependency[AsyncSession],
    ) -> Template:
        await instances.cancel(instance_id)
        return await _show(request, instances, session, instance_id, "_instance", "The instance is cancelled")

    @post("/instances/{instance_id:uuid}/pause", permission=MANAGE, audit="instance.pause", status_code=200)
    async def pause(
        self,
        request: AnyRequest,
        instance_id: FromPath[UUID],
        instances: NamedDependency[InstanceService],
        session: NamedDependency[AsyncSession],
    ) -> Template:
        await instances.pause(instance_id)
        return await _show(request, instances, session, instance_id, "_instance", "The instance is paused")

    @post("/instances/{instance_id:uuid}/resume", permission=MANAGE, audit="instance.resume", status_code=200)
    async def resume(
        self,
        request: AnyRequest,
        instance_id: FromPath[UUID],
        instances: NamedDependency[InstanceService],
        session: NamedDependency[AsyncSession],
    ) -> Template:
        await instances.resume(instance_id)
        return await _show(request, instances, session, instance_id, "_instance", "The instance goes on")

    @post("/instances/{instance_id:uuid}/retry", permission=MANAGE, audit="instance.retry", status_code=200)
    async def retry(
        self,
        request: AnyRequest,
        instance_id: FromPath[UUID],
        instances: NamedDependency[InstanceService],
        session: NamedDependency[AsyncSession],
    ) -> Template:
        await instances.retry(instance_id)
        return await _show(request, instances, session, instance_id, "_instance", "The step is tried again")

    @post("/instances/{instance_id:uuid}/restart", permission=MANAGE, audit="instance.start", status_code=200)
    async def restart(
        self,
        request: AnyRequest,
        instance_id: FromPath[UUID],
        instances: NamedDependency[InstanceService],
        data: URLEncodedBody[RestartForm],
    ) -> Response[bytes]:
        """The browser goes to the new instance."""
        new = await instances.restart(instance_id, data.step or None)
        return _go(request, new.id)


def _common(request: AnyRequest) -> dict[str, Any]:
    return {"path": f"{prefix_of(request)}/workflows/instances"}


async def _show(
    request: AnyRequest,
    instances: InstanceService,
    session: AsyncSession,
    instance_id: UUID,
    fragment: str,
    done: str | None = None,
) -> Template:
    row = await instances.get(instance_id)
    executions = await instances.executions(instance_id)
    tell(request, tenant_id=row.tenant_id)
    context = _common(request) | {
        "instance": row,
        "executions": executions,
        "unfinished": row.status in UNFINISHED,
        "workflows": await repository.workflow_names(session, {row.definition_id}),
        "tenants": await tenant_names_of(session, [row.tenant_id]),
        "plain": msgspec.to_builtins(InstanceDetail(**detail(row, executions))),
    }
    part = f"instances/{fragment}.html"
    return told(render(request, "instances/show.html", context, fragment=part, access=INSTANCE_SEEN), done)


def _go(request: AnyRequest, instance_id: UUID) -> Response[bytes]:
    return gone_to(f"{prefix_of(request)}/workflows/instances/{instance_id}")


def _input(text: str) -> dict[str, Any]:
    """
    Raises:
        Invalid (`input`).
    """
    try:
        return msgspec.json.decode(text or "{}", type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError) as error:
        raise Invalid.field("input", f"must be a JSON object: {error}") from None
