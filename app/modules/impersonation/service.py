"""The rules of impersonation: with a reason, to read only, for an hour at most, and told of in the audit log."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import Conflict, Invalid
from app.core.ids import new_id
from app.core.paging import Page, Pager, Sorts
from app.core.policy import Actor
from app.core.queries import text_of
from app.core.wire import one_line
from app.modules.audit.service import record
from app.modules.impersonation.models import Impersonation
from app.modules.impersonation.schemas import MAX_REASON
from app.modules.members.service import MemberService
from app.modules.tenants.service import TenantService

LASTS = timedelta(minutes=60)
SORTS = Sorts("-createdAt", {"createdAt": Impersonation.id, "label": Impersonation.label})


class ImpersonationService:
    """What the guard reads of these rows with every request stands in `teknav_rights`."""

    def __init__(self, session: AsyncSession, actor: Actor) -> None:
        self._session = session
        self._actor = actor
        self._tenants = TenantService(session, actor)

    async def search(
        self,
        pager: Pager,
        tenant_id: UUID,
        *,
        text: str | None = None,
        limit: int = 25,
        cursor: str | None = None,
    ) -> Page[Impersonation]:
        """Newest first, or as the reader wants; `text` is a part of who looked or of the reason.

        Raises:
            NotFound: there is no such tenant. Invalid (`q`).
        """
        await self._tenants.called(tenant_id)
        text = text_of("q", text)
        query = select(Impersonation).where(Impersonation.tenant_id == tenant_id)
        if text:
            columns = (Impersonation.label, Impersonation.reason)
            query = query.where(or_(*(each.icontains(text, autoescape=True) for each in columns)))
        return await pager.page(
            self._session,
            query,
            key=Impersonation.id,
            of=f"impersonations {tenant_id} {text}",
            limit=limit,
            cursor=cursor,
            sorts=SORTS,
        )

    async def start(self, tenant_id: UUID, member_id: UUID, reason: str) -> str:
        """From the next request on the actor's session is the member's, to read only; returns the tenant's slug.

        Raises:
            NotFound: there is no such tenant or member. Invalid (`reason`). Conflict (`no_session`): programs have
            no eyes. Conflict (`tenant_suspended`).
        """
        if self._actor.session is None or self._actor.id is None:
            raise Conflict("Only a signed-in person can see as a member does", code="no_session")
        tenant = await self._tenants.get(tenant_id)
        if tenant.status != "active":
            raise Conflict(f"{tenant.name} is suspended: its members see nothing", code="tenant_suspended")
        member = await MemberService(self._session, self._actor).get(tenant_id, member_id)
        if member.user_id == self._actor.id:
            raise Invalid.field("member", "is yourself")
        why = one_line("reason", reason, MAX_REASON)
        session_id = UUID(self._actor.session)
        await self._close(session_id)
        row = Impersonation(
            id=new_id(),
            tenant_id=tenant_id,
            member_id=member.id,
            session_id=session_id,
            user_id=self._actor.id,
            label=self._actor.label,
            reason=why,
            expires_at=datetime.now(UTC) + LASTS,
        )
        self._session.add(row)
        await self._session.flush()
        await self._trace("impersonation.start", row, member.email, {"expires_at": row.expires_at}, why)
        return tenant.slug

    async def end(self) -> UUID:
        """Be oneself again; returns the tenant that was looked at.

        Raises:
            Conflict (`not_impersonating`).
        """
        session = self._actor.session
        row = await self._close(UUID(session)) if session else None
        if row is None:
            raise Conflict("You see this as yourself", code="not_impersonating")
        await self._trace("impersonation.end", row, self._actor.label, {"ended_at": row.ended_at}, None)
        return row.tenant_id

    async def _close(self, session_id: UUID) -> Impersonation | None:
        """End what is open of this session; what ran out before ended then."""
        query = (
            update(Impersonation)
            .where(Impersonation.session_id == session_id, Impersonation.ended_at.is_(None))
            .values(ended_at=func.least(func.now(), Impersonation.expires_at))
            .returning(Impersonation)
        )
        row: Impersonation | None = await self._session.scalar(query)
        return row

    async def _trace(
        self, action: str, row: Impersonation, member: str, after: dict[str, Any], reason: str | None
    ) -> None:
        resource, tenant = ("member", row.member_id, member), row.tenant_id
        await record(
            self._session, self._actor, action, resource=resource, after=after, reason=reason, tenant_id=tenant
        )
