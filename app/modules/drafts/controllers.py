"""`/api/v1/drafts`, for tenants' apps; `/api/owner/drafts`, for the owner."""

from typing import Annotated
from uuid import UUID

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.moments import moment
from app.core.paging import Pager
from app.core.policy import Actor
from app.core.queries import one_of, uuid_of
from app.modules.drafts.models import DraftStatus
from app.modules.drafts.permissions import DECIDE, READ
from app.modules.drafts.repository import DraftFilter
from app.modules.drafts.schemas import (
    DRAFT_ANSWERS,
    DraftOwnedPage,
    DraftPage,
    DraftRead,
    Rejection,
    item,
    owned,
    read,
)
from app.modules.drafts.service import SORTS, DraftService

Text = str | None
Tenant = Annotated[Text, QueryParameter(name="tenantId")]
Article = Annotated[Text, QueryParameter(name="articleId")]
Since = Annotated[Text, QueryParameter(name="from")]
Until = Annotated[Text, QueryParameter(name="to")]


def provide_drafts(session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]) -> DraftService:
    return DraftService(session, actor)


def provide_filter(
    status: FromQuery[Text] = None,
    tenant: Tenant = None,
    article: Article = None,
    since: Since = None,
    until: Until = None,
) -> DraftFilter:
    """The filters of the address; an empty one is none, as browsers send it.

    Raises:
        Invalid: naming the parameter.
    """
    return DraftFilter(
        one_of("status", status, DraftStatus),
        uuid_of("tenantId", tenant),
        uuid_of("articleId", article),
        moment("from", since),
        moment("to", until, end=True),
    )


class DraftController(Controller):
    path = "/drafts"

    @get("/", permission=READ, sorts=SORTS)
    async def index(
        self,
        drafts: NamedDependency[DraftService],
        pager: NamedDependency[Pager],
        status: FromQuery[Text] = None,
        article: Article = None,
        since: Since = None,
        until: Until = None,
        limit: FromQuery[int] = 25,
        cursor: FromQuery[Text] = None,
    ) -> DraftPage:
        """List what AI proposes for articles, newest first, without the texts."""
        wanted = provide_filter(status, None, article, since, until)
        page = (await drafts.search(pager, wanted, limit=limit, cursor=cursor)).map(item)
        return DraftPage(items=page.items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)


class DraftActs(Controller):
    """What is done with one proposal: the same for both planes."""

    path = "/drafts"

    @get("/{draft_id:uuid}", permission=READ)
    async def show(self, draft_id: FromPath[UUID], drafts: NamedDependency[DraftService]) -> DraftRead:
        """Read one proposal, with what it would replace."""
        return read(await drafts.get(draft_id))

    @post("/{draft_id:uuid}/acceptance", permission=DECIDE, audit="ai.draft.accept", status_code=200)
    async def accept(self, draft_id: FromPath[UUID], drafts: NamedDependency[DraftService]) -> DraftRead:
        """Change the article as proposed. 409 where it is decided, or what it would replace has changed since."""
        return read(await drafts.accept(draft_id))

    @post("/{draft_id:uuid}/rejection", permission=DECIDE, audit="ai.draft.reject", status_code=200)
    async def reject(
        self, draft_id: FromPath[UUID], drafts: NamedDependency[DraftService], data: JSONBody[Rejection | None] = None
    ) -> DraftRead:
        """Leave the article as it is. 409 where it is decided already."""
        return read(await drafts.reject(draft_id, data.reason if data else None))


class OwnerDraftController(Controller):
    path = "/drafts"

    @get("/", permission=READ, sorts=SORTS, cached=DRAFT_ANSWERS)
    async def index(
        self,
        drafts: NamedDependency[DraftService],
        pager: NamedDependency[Pager],
        wanted: NamedDependency[DraftFilter],
        limit: FromQuery[int] = 25,
        cursor: FromQuery[Text] = None,
    ) -> DraftOwnedPage:
        """List what AI proposes for all tenants' articles, newest first."""
        page = (await drafts.search(pager, wanted, limit=limit, cursor=cursor)).map(owned)
        return DraftOwnedPage(items=page.items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)
