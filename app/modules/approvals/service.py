"""The rules of approvals: who may decide, how many have to agree, and that nobody decides about their own."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import scope_of
from app.core.errors import Conflict, Forbidden, Invalid, NotFound, Problem
from app.core.events import emit
from app.core.ids import new_id
from app.core.live import signal
from app.core.paging import Page, Pager, Sorts
from app.core.policy import Actor
from app.core.request import correlation_id
from app.core.signs import Sign, Weight, counted
from app.core.trace import MOST_STEPS, Step
from app.modules.approvals.events import ApprovalEnded
from app.modules.approvals.models import Approval, ApprovalDecision, Status
from app.modules.approvals.schemas import Decision, Question
from app.modules.audit.service import record

__all__ = ["TOPIC", "ApprovalService", "Question", "Status", "identity"]
TOPIC = "approvals"
SOON = timedelta(days=1)
SORTS = Sorts("-createdAt", {"createdAt": Approval.id, "expiresAt": Approval.expires_at})


def identity(actor: Actor) -> str:
    """Who that is, for comparing: by kind and id. Two command lines of one account are the same."""
    return f"{actor.kind}:{actor.id or actor.label}"


class ApprovalService:
    """The approvals that the session's transaction may see. They are a tenant's as a whole, not a workspace's."""

    def __init__(self, session: AsyncSession, actor: Actor) -> None:
        self._session = session
        self._actor = actor

    async def ask(self, question: Question) -> Approval:
        approval = Approval(
            id=new_id(),
            tenant_id=question.tenant_id,
            title=question.title,
            note=question.note,
            origin=question.origin,
            link=question.link,
            requested_by=question.requested_by,
            self_approval=question.self_approval,
            needed=question.needed,
            status=Status.PENDING,
            correlation_id=correlation_id(),
            expires_at=datetime.now(UTC) + question.lasts,
        )
        self._session.add(approval)
        await self._session.flush()
        signal(self._session, TOPIC, approval.id, approval.tenant_id)
        return approval

    async def get(self, approval_id: UUID, *, lock: bool = False) -> Approval:
        """
        Raises:
            NotFound: there is none, or it is another tenant's.
        """
        self._actor.for_whole_tenant("Approvals")
        query = select(Approval).where(Approval.id == approval_id)
        found = await self._session.scalar(query.with_for_update() if lock else query)
        if found is None:
            raise NotFound("There is no approval with this id")
        return found

    async def said(self, approval_id: UUID) -> Sequence[ApprovalDecision]:
        """The oldest first."""
        query = select(ApprovalDecision).where(ApprovalDecision.approval_id == approval_id)
        return (await self._session.scalars(query.order_by(ApprovalDecision.id))).all()

    async def search(
        self,
        pager: Pager,
        status: Status | None = None,
        tenant_id: UUID | None = None,
        *,
        limit: int = 25,
        cursor: str | None = None,
    ) -> Page[Approval]:
        """Newest first."""
        self._actor.for_whole_tenant("Approvals")
        query = select(Approval)
        query = query.where(Approval.status == status) if status else query
        query = query.where(Approval.tenant_id == tenant_id) if tenant_id else query
        of = f"approvals {scope_of(self._session).tenant_id} {status} {tenant_id}"
        return await pager.page(self._session, query, key=Approval.id, of=of, limit=limit, cursor=cursor, sorts=SORTS)

    def hindrance(self, approval: Approval, said: Sequence[ApprovalDecision]) -> Problem | None:
        """Why the actor cannot decide: what `decide` would raise."""
        if approval.status != Status.PENDING:
            return Conflict(f"This is {approval.status} already", code="not_pending")
        if approval.expires_at <= datetime.now(UTC):
            return Conflict("The time for this is over", code="not_pending")
        if any(one.decided_by == identity(self._actor) for one in said):
            return Conflict("You have decided already", code="decided")
        if not approval.self_approval and approval.requested_by == identity(self._actor):
            return Forbidden("You have started this yourself: somebody else has to decide", code="self_approval")
        return None

    async def decide(self, approval_id: UUID, decision: Decision, comment: str = "") -> Approval:
        """
        Raises:
            NotFound. Conflict (`not_pending`, `decided`): it is decided, its time is over, or the actor has decided.
            Forbidden (`self_approval`): the actor has started what asks. Invalid (`comment`).
        """
        if "\0" in comment:
            raise Invalid.field("comment", "holds the character U+0000, which cannot be stored")
        approval = await self.get(approval_id, lock=True)
        said = await self.said(approval_id)
        if (hindrance := self.hindrance(approval, said)) is not None:
            raise hindrance
        self._session.add(
            ApprovalDecision(
                id=new_id(),
                tenant_id=approval.tenant_id,
                approval_id=approval_id,
                decided_by=identity(self._actor),
                label=self._actor.label,
                decision=decision,
                comment=comment,
            )
        )
        resource = ("approval", approval_id, approval.title)
        after = {"decision": decision, "comment": comment}
        await record(
            self._session, self._actor, "approval.decide", resource=resource, after=after, tenant_id=approval.tenant_id
        )
        signal(self._session, TOPIC, approval_id, approval.tenant_id)
        yes = sum(one.decision == "approve" for one in said) + 1
        if decision == "reject":
            await self._end(approval, Status.REJECTED)
        elif yes >= approval.needed:
            await self._end(approval, Status.APPROVED)
        return approval

    async def close(self, approval_id: UUID, status: Status) -> None:
        """Ask nobody any more, because its time is over or nobody wants to know. One that was decided stays so."""
        approval = await self.get(approval_id, lock=True)
        if approval.status == Status.PENDING:
            await self._end(approval, status)

    async def _end(self, approval: Approval, status: Status) -> None:
        approval.status, approval.decided_at = status, datetime.now(UTC)
        await self._session.flush()
        signal(self._session, TOPIC, approval.id, approval.tenant_id)
        await emit(self._session, ApprovalEnded(approval.id, str(status)))


async def steps(session: AsyncSession, trace_id: UUID) -> list[Step]:
    """The questions of one chain of cause and effect."""
    query = select(Approval).where(Approval.correlation_id == trace_id).order_by(Approval.id).limit(MOST_STEPS)
    return [
        Step(
            "approval",
            row.title,
            row.status,
            row.created_at,
            row.decided_at,
            open=row.decided_at is None,
            path=f"/approvals/{row.id}",
            tenant_id=row.tenant_id,
        )
        for row in await session.scalars(query)
    ]


async def signs(session: AsyncSession) -> list[Sign]:
    """What waits for people, and for how long they may let it wait."""
    soon = Approval.expires_at < datetime.now(UTC) + SOON
    query = select(func.count(), func.count().filter(soon)).where(Approval.status == Status.PENDING)
    waiting, urgent = (await session.execute(query)).one()
    value, here = f"{waiting:,}", f"/approvals?status={Status.PENDING}"
    if urgent:
        text = f"{counted(urgent, 'approval')} will expire within a day"
        return [Sign("Approvals", value, text, Weight.WARN, here)]
    text = f"{counted(waiting, 'approval waits', 'approvals wait')} for people"
    return [Sign("Approvals", value, text if waiting else "Nothing waits for approval", Weight.OK, here)]
