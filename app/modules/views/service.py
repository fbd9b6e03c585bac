"""The rules of saved views: everybody has their own, and sees no other's."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import scope_of
from app.core.errors import Conflict, NotFound
from app.core.locks import hold
from app.core.policy import Actor
from app.core.wire import one_line
from app.modules.audit.service import record
from app.modules.views.models import SavedView
from app.modules.views.schemas import LONGEST_NAME, page_of, query_of

MOST = 30


class Views:
    """The caller's own, in the caller's transaction."""

    def __init__(self, session: AsyncSession, actor: Actor) -> None:
        self._session = session
        self._actor = actor
        self._owner = f"{actor.kind}:{actor.id or actor.label}"

    async def of(self, page: str | None = None) -> Sequence[SavedView]:
        """By name; those of one list, or all."""
        query = select(SavedView).where(SavedView.owner == self._owner).order_by(SavedView.name, SavedView.id)
        query = query.where(SavedView.tenant_id == scope_of(self._session).tenant_id)
        return (await self._session.scalars(query.where(SavedView.page == page_of(page)) if page else query)).all()

    async def save(self, page: str, name: str, query: str) -> SavedView:
        """
        Raises:
            Invalid: naming the field. Conflict (`name_taken`, `too_many_views`).
        """
        page, name, query = page_of(page), one_line("name", name, LONGEST_NAME), query_of(query)
        await hold(self._session, f"views {scope_of(self._session).tenant_id} {self._owner}")
        there = await self.of(page)
        if any(view.name == name for view in there):
            raise Conflict("You have a view of this name already", code="name_taken")
        if len(there) >= MOST:
            raise Conflict(f"You have {MOST} views of this list already: remove one first", code="too_many_views")
        tenant_id = scope_of(self._session).tenant_id
        view = SavedView(tenant_id=tenant_id, owner=self._owner, page=page, name=name, query=query)
        self._session.add(view)
        await self._session.flush()
        after = {"page": page, "query": query}
        await record(self._session, self._actor, "view.create", resource=("view", view.id, name), after=after)
        return view

    async def remove(self, view_id: UUID) -> SavedView:
        """
        Raises:
            NotFound: there is none, or it is somebody else's.
        """
        view = await self._session.scalar(select(SavedView).filter_by(id=view_id, owner=self._owner))
        if view is None:
            raise NotFound("There is no such view of yours")
        await self._session.delete(view)
        before = {"page": view.page, "query": view.query}
        await record(self._session, self._actor, "view.remove", resource=("view", view.id, view.name), before=before)
        return view
