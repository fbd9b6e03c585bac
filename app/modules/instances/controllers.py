"""`/api/v1/workflows/instances` for tenants' apps, and the same under `/api/owner` for all tenants."""

from typing import Annotated
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.etag import etag
from app.core.paging import Page, Pager
from app.core.policy import Actor
from app.core.queries import one_of, text_of, uuid_of
from app.modules.instances.models import Status, WorkflowInstance
from app.modules.instances.permissions import MANAGE, READ
from app.modules.instances.repository import InstanceFilter
from app.modules.instances.schemas import (
    INSTANCE_ANSWERS,
    INSTANCE_SEEN,
    InstanceDetail,
    InstanceOwned,
    InstancePage,
    InstanceRead,
    InstanceRestart,
    RunRequest,
    detail,
    item,
)
from app.modules.instances.service import SORTS, InstanceService

Text = str | None
Tenant = Annotated[Text, QueryParameter(name="tenantId")]
Definition = Annotated[Text, QueryParameter(name="definitionId")]
Correlation = Annotated[Text, QueryParameter(name="correlationId")]
LIST, ONE = "/workflows/instances", "/workflows/instances/{instance_id:uuid}"


def provide_instances(session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]) -> InstanceService:
    return InstanceService(session, actor)


def provide_instance_filter(
    status: FromQuery[Text] = None,
    tenant: Tenant = None,
    definition: Definition = None,
    trigger: FromQuery[Text] = None,
    correlation: Correlation = None,
) -> InstanceFilter:
    """The filters of the address; an empty one is none.

    Raises:
        Invalid: naming the parameter.
    """
    return InstanceFilter(
        one_of("status", status, Status),
        uuid_of("tenantId", tenant),
        uuid_of("definitionId", definition),
        text_of("trigger", trigger),
        uuid_of("correlationId", correlation),
    )


class InstanceActs(Controller):
    """What people and programs do with instances: the same for both planes."""

    path = "/workflows"

    @post("/{definition_id:uuid}/run", permission=MANAGE, audit="instance.start", status_code=202)
    async def run(
        self,
        definition_id: FromPath[UUID],
        instances: NamedDependency[InstanceService],
        data: JSONBody[RunRequest | None] = None,
    ) -> Response[InstanceRead]:
        """Start a workflow by hand. 409 where no version of it is published."""
        return _answer(await instances.run(definition_id, data.input if data else {}), 202)

    @post("/instances/{instance_id:uuid}/cancel", permission=MANAGE, audit="instance.cancel", status_code=200)
    async def cancel(
        self, instance_id: FromPath[UUID], instances: NamedDependency[InstanceService]
    ) -> Response[InstanceRead]:
        """End an instance where it is. 409 where it has ended."""
        return _answer(await instances.cancel(instance_id))

    @post("/instances/{instance_id:uuid}/pause", permission=MANAGE, audit="instance.pause", status_code=200)
    async def pause(
        self, instance_id: FromPath[UUID], instances: NamedDependency[InstanceService]
    ) -> Response[InstanceRead]:
        """Let an instance go no further than it is. 409 where it has ended or is paused."""
        return _answer(await instances.pause(instance_id))

    @post("/instances/{instance_id:uuid}/resume", permission=MANAGE, audit="instance.resume", status_code=200)
    async def resume(
        self, instance_id: FromPath[UUID], instances: NamedDependency[InstanceService]
    ) -> Response[InstanceRead]:
        """Let a paused instance go on. 409 where it is not paused."""
        return _answer(await instances.resume(instance_id))

    @post("/instances/{instance_id:uuid}/retry", permission=MANAGE, audit="instance.retry", status_code=200)
    async def retry(
        self, instance_id: FromPath[UUID], instances: NamedDependency[InstanceService]
    ) -> Response[InstanceRead]:
        """Try the step again at which an instance has failed. 409 where it has not."""
        return _answer(await instances.retry(instance_id))

    @post("/instances/{instance_id:uuid}/restart", permission=MANAGE, audit="instance.start", status_code=202)
    async def restart(
        self,
        instance_id: FromPath[UUID],
        instances: NamedDependency[InstanceService],
        data: JSONBody[InstanceRestart | None] = None,
    ) -> Response[InstanceRead]:
        """Start the workflow, as it is now, with the same input: a new instance.

        With a `step` to which an ended instance came, the new one begins there, in the same version, and keeps what
        came of the steps before.
        """
        return _answer(await instances.restart(instance_id, data.step if data else None), 202)


class InstanceController(Controller):
    @get(LIST, permission=READ, sorts=SORTS)
    async def index(
        self,
        instances: NamedDependency[InstanceService],
        pager: NamedDependency[Pager],
        wanted: NamedDependency[InstanceFilter],
        limit: FromQuery[int] = 25,
        cursor: FromQuery[Text] = None,
    ) -> InstancePage:
        """List workflow instances, newest first."""
        return _page(await instances.search(pager, wanted, limit=limit, cursor=cursor))

    @get(ONE, permission=READ)
    async def show(
        self, instance_id: FromPath[UUID], instances: NamedDependency[InstanceService]
    ) -> Response[InstanceDetail]:
        """Read one workflow instance, with each try at each of its steps."""
        row = await instances.get(instance_id)
        shown = InstanceDetail(**detail(row, await instances.executions(instance_id)))
        return Response(shown, headers=etag(row.version))


class OwnerInstanceController(Controller):
    @get(LIST, permission=READ, sorts=SORTS, cached=INSTANCE_ANSWERS)
    async def index(
        self,
        instances: NamedDependency[InstanceService],
        pager: NamedDependency[Pager],
        wanted: NamedDependency[InstanceFilter],
        limit: FromQuery[int] = 25,
        cursor: FromQuery[Text] = None,
    ) -> InstancePage:
        """List all tenants' workflow instances, newest first."""
        return _page(await instances.search(pager, wanted, limit=limit, cursor=cursor))

    @get(ONE, permission=READ, access=INSTANCE_SEEN, cached=INSTANCE_ANSWERS)
    async def show(self, instance_id: FromPath[UUID], instances: NamedDependency[InstanceService]) -> InstanceOwned:
        """Read one workflow instance of any tenant, with each try at each of its steps."""
        row = await instances.get(instance_id)
        return InstanceOwned(**detail(row, await instances.executions(instance_id)))


def _page(page: Page[WorkflowInstance]) -> InstancePage:
    shown = page.map(item)
    return InstancePage(items=shown.items, next_cursor=shown.next_cursor, prev_cursor=shown.prev_cursor)


def _answer(row: WorkflowInstance, status: int = 200) -> Response[InstanceRead]:
    return Response(item(row), status_code=status, headers=etag(row.version))
