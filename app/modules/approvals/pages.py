"""`/approvals` in the dashboards: what waits for me, and the buttons that decide."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Controller, Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, URLEncodedBody
from litestar.response import Template
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.paging import Pager
from app.core.templating import prefix_of, render, state_label, told
from app.modules.approvals.models import Status
from app.modules.approvals.permissions import DECIDE, READ
from app.modules.approvals.schemas import DecisionForm, read
from app.modules.approvals.service import SORTS, ApprovalService
from app.modules.audit.service import tenant_names

AnyRequest = Request[Any, Any, Any]


class ApprovalPages(Controller):
    path = "/approvals"

    @get("/", permission=READ, sorts=SORTS)
    async def index(
        self,
        request: AnyRequest,
        approvals: NamedDependency[ApprovalService],
        session: NamedDependency[AsyncSession],
        pager: NamedDependency[Pager],
        status: FromQuery[str] = "pending",
        cursor: FromQuery[str] = "",
    ) -> Template:
        """Those that wait, unless another status is asked for; `any` shows all."""
        wanted = Status(status) if status in set(Status) else None
        page = await approvals.search(pager, wanted, cursor=cursor or None)
        params = {"status": status} | pager.order
        context = {
            "path": f"{prefix_of(request)}/approvals",
            "page": page,
            "tenants": await tenant_names(session, (one.tenant_id for one in page.items)),
            "params": params,
            "here": params | ({"cursor": cursor} if cursor else {}),
            "statuses": [(one, state_label(one).capitalize()) for one in Status],
        }
        return render(request, "approvals/index.html", context, fragment="approvals/_list.html")

    @get("/{approval_id:uuid}", permission=READ)
    async def show(
        self,
        request: AnyRequest,
        approval_id: FromPath[UUID],
        approvals: NamedDependency[ApprovalService],
        session: NamedDependency[AsyncSession],
        part: FromQuery[bool] = False,
    ) -> Template:
        """The drawer, or with `part` what in it keeps itself current."""
        fragment = "approvals/_approval.html" if part else "approvals/_drawer.html"
        return await _show(request, approvals, session, approval_id, fragment)

    @post("/{approval_id:uuid}/decisions", permission=DECIDE, audit="approval.decide", status_code=200)
    async def decide(
        self,
        request: AnyRequest,
        approval_id: FromPath[UUID],
        approvals: NamedDependency[ApprovalService],
        session: NamedDependency[AsyncSession],
        data: URLEncodedBody[DecisionForm],
    ) -> Template:
        await approvals.decide(approval_id, data.decision, data.comment)
        view = await _show(request, approvals, session, approval_id, "approvals/_approval.html")
        return told(view, "Approved" if data.decision == "approve" else "Rejected")


async def _show(
    request: AnyRequest, approvals: ApprovalService, session: AsyncSession, approval_id: UUID, fragment: str
) -> Template:
    approval = await approvals.get(approval_id)
    said = await approvals.said(approval_id)
    context = {
        "path": f"{prefix_of(request)}/approvals",
        "approval": approval,
        "tenants": await tenant_names(session, [approval.tenant_id]),
        "said": said,
        "hindrance": approvals.hindrance(approval, said),
        "plain": msgspec.to_builtins(read(approval, said)),
    }
    return render(request, "approvals/show.html", context, fragment=fragment)
