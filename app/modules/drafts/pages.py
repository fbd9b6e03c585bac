"""`/ai/drafts` in the dashboards: what AI proposes, and the buttons that decide."""

from typing import Any
from uuid import UUID

import msgspec
from litestar import Controller, Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, URLEncodedBody
from litestar.response import Template
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Plane
from app.core.paging import Pager
from app.core.policy import Actor
from app.core.templating import prefix_of, render, state_label, told
from app.modules.articles.service import titles
from app.modules.drafts.models import AiDraft, DraftStatus
from app.modules.drafts.permissions import DECIDE, READ
from app.modules.drafts.repository import DraftFilter
from app.modules.drafts.schemas import Rejection, item, owned
from app.modules.drafts.service import SORTS, DraftService, difference
from app.modules.tenants.service import tenant_names

AnyRequest = Request[Any, Any, Any]
FILTERS = ("status", "tenantId", "articleId", "from", "to", "sort")


class DraftPages(Controller):
    path = "/ai/drafts"

    @get("/", permission=READ, sorts=SORTS)
    async def index(
        self,
        request: AnyRequest,
        drafts: NamedDependency[DraftService],
        session: NamedDependency[AsyncSession],
        pager: NamedDependency[Pager],
        wanted: NamedDependency[DraftFilter],
        cursor: FromQuery[str] = "",
    ) -> Template:
        page = await drafts.search(pager, wanted, cursor=cursor or None)
        params = {name: request.query_params[name] for name in FILTERS if request.query_params.get(name)}
        context = {
            "path": _path(request),
            "page": page,
            "params": params,
            "here": params | ({"cursor": cursor} if cursor else {}),
            "statuses": [(status, state_label(status).capitalize()) for status in DraftStatus],
            "titles": await titles(session, {draft.article_id for draft in page.items}),
            "tenants": await tenant_names(session),
        }
        return render(request, "drafts/index.html", context, fragment="drafts/_list.html")

    @get("/{draft_id:uuid}", permission=READ)
    async def show(
        self,
        request: AnyRequest,
        draft_id: FromPath[UUID],
        actor: NamedDependency[Actor],
        drafts: NamedDependency[DraftService],
        session: NamedDependency[AsyncSession],
        part: FromQuery[bool] = False,
    ) -> Template:
        """The drawer, or with `part` what in it keeps itself current."""
        draft = await drafts.get(draft_id)
        return await _shown(request, session, actor, draft, "_draft" if part else "_drawer")

    @post("/{draft_id:uuid}/acceptance", permission=DECIDE, audit="ai.draft.accept", status_code=200)
    async def accept(
        self,
        request: AnyRequest,
        draft_id: FromPath[UUID],
        actor: NamedDependency[Actor],
        drafts: NamedDependency[DraftService],
        session: NamedDependency[AsyncSession],
    ) -> Template:
        draft = await drafts.accept(draft_id)
        return told(await _shown(request, session, actor, draft, "_draft"), "The article is changed as proposed.")

    @post("/{draft_id:uuid}/rejection", permission=DECIDE, audit="ai.draft.reject", status_code=200)
    async def reject(
        self,
        request: AnyRequest,
        draft_id: FromPath[UUID],
        actor: NamedDependency[Actor],
        drafts: NamedDependency[DraftService],
        session: NamedDependency[AsyncSession],
        data: URLEncodedBody[Rejection],
    ) -> Template:
        draft = await drafts.reject(draft_id, data.reason)
        return told(await _shown(request, session, actor, draft, "_draft"), "The draft is rejected.")


async def _shown(request: AnyRequest, session: AsyncSession, actor: Actor, draft: AiDraft, fragment: str) -> Template:
    shape = owned if actor.plane is Plane.PLATFORM else item
    context = {
        "path": _path(request),
        "draft": draft,
        "differences": {name: difference(draft.before[name], value) for name, value in draft.patch.items()},
        "titles": await titles(session, {draft.article_id}),
        "tenants": await tenant_names(session),
        "plain": msgspec.to_builtins(shape(draft)),
    }
    return render(request, "drafts/show.html", context, fragment=f"drafts/{fragment}.html")


def _path(request: AnyRequest) -> str:
    return f"{prefix_of(request)}/ai/drafts"
