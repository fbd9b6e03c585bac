"""`/api/v1/approvals`, and `/api/owner/approvals` for all tenants."""

from typing import Annotated
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from app.core.etag import etag
from app.core.paging import Pager
from app.core.queries import one_of, uuid_of
from app.modules.approvals.models import Status
from app.modules.approvals.permissions import DECIDE, READ
from app.modules.approvals.schemas import ApprovalDetail, ApprovalPage, DecisionCreate, item, read
from app.modules.approvals.service import SORTS, ApprovalService

Text = str | None
Tenant = Annotated[Text, QueryParameter(name="tenantId")]


class ApprovalController(Controller):
    path = "/approvals"

    @get("/", permission=READ, sorts=SORTS)
    async def index(
        self,
        approvals: NamedDependency[ApprovalService],
        pager: NamedDependency[Pager],
        status: FromQuery[Text] = None,
        tenant: Tenant = None,
        limit: FromQuery[int] = 25,
        cursor: FromQuery[Text] = None,
    ) -> ApprovalPage:
        """List what waits or waited for approval, newest first."""
        wanted = (one_of("status", status, Status), uuid_of("tenantId", tenant))
        page = (await approvals.search(pager, *wanted, limit=limit, cursor=cursor)).map(item)
        return ApprovalPage(items=page.items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)

    @get("/{approval_id:uuid}", permission=READ)
    async def show(
        self, approval_id: FromPath[UUID], approvals: NamedDependency[ApprovalService]
    ) -> Response[ApprovalDetail]:
        """Read one approval, with what was said so far."""
        return await _answer(approvals, approval_id)

    @post("/{approval_id:uuid}/decisions", permission=DECIDE, audit="approval.decide", status_code=200)
    async def decide(
        self,
        approval_id: FromPath[UUID],
        approvals: NamedDependency[ApprovalService],
        data: JSONBody[DecisionCreate],
    ) -> Response[ApprovalDetail]:
        """Approve or reject, once for each caller. 403 where the caller has started what asks."""
        await approvals.decide(approval_id, data.decision, data.comment)
        return await _answer(approvals, approval_id)


async def _answer(approvals: ApprovalService, approval_id: UUID) -> Response[ApprovalDetail]:
    approval = await approvals.get(approval_id)
    return Response(read(approval, await approvals.said(approval_id)), headers=etag(approval.version))
