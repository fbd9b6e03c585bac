"""The rules of invitations: who invites, who may take one up, and until when."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import SYSTEM, Database, Plane
from app.core.errors import Conflict, Forbidden, NotFound, Problem
from app.core.ids import new_id
from app.core.live import signal
from app.core.paging import Page, Pager, Sorts
from app.core.policy import Actor
from app.core.queries import at_once, text_of
from app.core.secrets import Secret, Signer, digest
from app.modules.audit.service import record
from app.modules.email.service import Letter, Ticket, send
from app.modules.identity.service import hash_password, open_account
from app.modules.invitations.models import Invitation
from app.modules.invitations.schemas import State
from app.modules.members.service import MemberService
from app.modules.people.service import User, plain_email, user_by_email
from app.modules.roles.service import RoleService
from app.modules.tenants.service import TenantService

TOPIC, PURPOSE = "invitations", "invitation"
LASTS = timedelta(days=7)
SORTS = Sorts("-createdAt", {"createdAt": Invitation.id, "email": Invitation.email, "expiresAt": Invitation.expires_at})


class InvitationOver(Problem):
    status, code, title = 410, "invitation_over", "This invitation no longer works"


@dataclass(frozen=True, slots=True)
class Offer:
    """What an invitation's page tells: into which tenant it leads, whom, and as what."""

    email: str
    tenant: str
    slug: str
    role: str
    has_account: bool


class InvitationService:
    """A tenant's invitations, for its members and for the platform. Every change is audited in its transaction."""

    def __init__(self, session: AsyncSession, actor: Actor) -> None:
        self._session = session
        self._actor = actor
        self._roles = RoleService(session, actor)
        self._tenants = TenantService(session, actor)

    async def search(
        self,
        pager: Pager,
        tenant_id: UUID,
        *,
        text: str | None = None,
        state: State | None = None,
        limit: int = 25,
        cursor: str | None = None,
    ) -> Page[Invitation]:
        """`text` is a part of the address.

        Raises:
            NotFound: there is no such tenant. Invalid (`q`).
        """
        await self._tenants.called(tenant_id)
        text = text_of("q", text)
        query = _of(tenant_id)
        query = query.where(Invitation.email.icontains(text, autoescape=True)) if text else query
        query = query.where(*_in_state(state)) if state else query
        return await pager.page(
            self._session,
            query,
            key=Invitation.id,
            of=f"invitations {tenant_id} {text} {state}",
            limit=limit,
            cursor=cursor,
            sorts=SORTS,
        )

    async def get(self, tenant_id: UUID, invitation_id: UUID, *, lock: bool = False) -> Invitation:
        """
        Raises:
            NotFound: the tenant has no such invitation.
        """
        query = _of(tenant_id).where(Invitation.id == invitation_id)
        row: Invitation | None = await self._session.scalar(query.with_for_update() if lock else query)
        if row is None:
            raise NotFound("There is no such invitation")
        return row

    async def create(self, tenant_id: UUID, email: str, role_id: UUID) -> tuple[Invitation, Secret]:
        """Invite somebody for seven days, by mail. The secret of the link is returned too, for who has no mail server.

        Raises:
            NotFound: there is no such tenant. Invalid: naming `email` or `roleId`. Forbidden (`right_not_held`).
            Conflict (`invited_already`): an invitation of this address is open. Conflict (`member_already`).
        """
        tenant = await self._tenants.called(tenant_id)
        address = plain_email(email)
        role = await self._roles.chosen(tenant_id, role_id)
        await self._roles.require_within(role)
        await self._clear(tenant_id, address)
        id_, signer = new_id(), self._session.info["signer"]
        assert isinstance(signer, Signer)
        # Derived, so that the mail need not carry it through the record and the queue.
        secret = Secret(signer.ticket(PURPOSE, id_))
        row = Invitation(
            id=id_,
            tenant_id=tenant_id,
            email=address,
            role_id=role.id,
            token_hash=digest(secret),
            expires_at=datetime.now(UTC) + LASTS,
            created_by=self._actor.label,
        )
        self._session.add(row)
        await self._session.flush()
        await self._session.refresh(row)
        await self._trace("invitation.create", row, None, {"email": row.email, "role": role.name})
        await self._mail(row, tenant.name, role.name)
        return row, secret

    async def resend(self, tenant_id: UUID, ids: Collection[UUID]) -> list[Invitation]:
        """Mail these again, all or none, with the same link; from now on it is good for seven days.

        Raises:
            NotFound: the tenant has not all of them. Invalid (`ids`): none or too many. Forbidden (`right_not_held`).
            Conflict (`invitation_over`): one is accepted or taken back.
        """
        rows = await self._some(tenant_id, ids)
        tenant = await self._tenants.called(tenant_id)
        for row in rows:
            if row.state not in ("pending", "expired"):
                raise Conflict(f"The invitation of {row.email} is {row.state}", code="invitation_over")
            role = await self._roles.get(tenant_id, row.role_id)
            await self._roles.require_within(role)
            before, row.expires_at = row.expires_at, datetime.now(UTC) + LASTS
            await self._session.flush()
            await self._mail(row, tenant.name, role.name)
            await self._trace("invitation.resend", row, {"expires_at": before}, {"expires_at": row.expires_at})
        return rows

    async def revoke_many(self, tenant_id: UUID, ids: Collection[UUID]) -> int:
        """Take these back, all or none; returns how many were open.

        Raises:
            NotFound: the tenant has not all of them. Invalid (`ids`): none or too many.
        """
        still_open = [row for row in await self._some(tenant_id, ids) if row.accepted_at is None and not row.revoked_at]
        for row in still_open:
            await self.revoke(tenant_id, row.id)
        return len(still_open)

    async def revoke(self, tenant_id: UUID, invitation_id: UUID) -> Invitation:
        """Take an invitation back. One that is over already stays as it is.

        Raises:
            NotFound: the tenant has no such invitation.
        """
        row = await self.get(tenant_id, invitation_id, lock=True)
        if row.accepted_at is None and row.revoked_at is None:
            row.revoked_at = datetime.now(UTC)
            await self._session.flush()
            await self._trace("invitation.revoke", row, {"revoked_at": None}, {"revoked_at": row.revoked_at})
        return row

    async def accept(self, row: Invitation, person: User | None) -> None:
        """Make the person a member, once.

        Raises:
            Forbidden (`invitation_of_another`): it was sent to another address. Conflict (`member_already`).
        """
        if person is None or person.email != row.email:
            raise Forbidden("This invitation was sent to another address", code="invitation_of_another")
        role = await self._roles.get(row.tenant_id, row.role_id)
        await MemberService(self._session, self._actor).enrol(row.tenant_id, person, role)
        row.accepted_at = datetime.now(UTC)
        await self._session.flush()
        await self._trace("invitation.accept", row, {"accepted_at": None}, {"accepted_at": row.accepted_at})

    async def _some(self, tenant_id: UUID, ids: Collection[UUID]) -> list[Invitation]:
        chosen = at_once(ids)
        query = _of(tenant_id).where(Invitation.id.in_(chosen)).order_by(Invitation.id).with_for_update()
        rows = list(await self._session.scalars(query))
        if len(rows) != len(chosen):
            raise NotFound("There is no such invitation")
        return rows

    async def _mail(self, row: Invitation, tenant: str, role: str) -> None:
        props = {"by": self._actor.label, "tenant": tenant, "role": role}
        ticket = Ticket(PURPOSE, row.id, "/invitations")
        letter = Letter(template="invitation", to=row.email, props=props, ticket=ticket, good_until=row.expires_at)
        await send(self._session, letter)

    async def _clear(self, tenant_id: UUID, address: str) -> None:
        """Make room: an open invitation whose time is over counts as taken back."""
        still_open = (Invitation.accepted_at.is_(None), Invitation.revoked_at.is_(None))
        query = _of(tenant_id).where(Invitation.email == address, *still_open).with_for_update()
        before = await self._session.scalar(query)
        if before is None:
            return
        if before.state == "pending":
            raise Conflict(f"{address} is invited already", code="invited_already")
        before.revoked_at = before.expires_at
        await self._session.flush()

    async def _trace(self, action: str, row: Invitation, before: dict[str, Any] | None, after: dict[str, Any]) -> None:
        tenant = row.tenant_id
        resource = ("invitation", row.id, row.email)
        await record(
            self._session, self._actor, action, resource=resource, before=before, after=after, tenant_id=tenant
        )
        signal(self._session, TOPIC, row.id, tenant)


class Welcome:
    """The door that an invitation opens. It has transactions of its own, so that none waits for argon2."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def look(self, link: str) -> Offer:
        """
        Raises:
            InvitationOver: it is unknown, used, taken back or too old.
        """
        async with self._database.transaction(SYSTEM) as session:
            row = await _open(session, link)
            actor = _nobody(row.email)
            tenant = await TenantService(session, actor).get(row.tenant_id)
            role = await RoleService(session, actor).get(row.tenant_id, row.role_id)
            known = await user_by_email(session, row.email)
            return Offer(row.email, tenant.name, tenant.slug, role.name, known is not None)

    async def join(self, link: str, actor: Actor) -> str:
        """Make the signed-in person a member; returns the tenant's slug.

        Raises:
            InvitationOver; Forbidden (`invitation_of_another`); Conflict (`member_already`).
        """
        async with self._database.transaction(SYSTEM) as session:
            row = await _open(session, link, lock=True)
            person = await user_by_email(session, actor.label)
            await InvitationService(session, actor).accept(row, person)
            return (await TenantService(session, actor).get(row.tenant_id)).slug

    async def register(self, link: str, name: str, password: str) -> str:
        """Make an account for the invited address, and it a member; returns the tenant's slug.

        Raises:
            InvitationOver; Invalid: naming `name` or `password`; Conflict (`email_taken`): sign in, then join.
        """
        offer = await self.look(link)
        hashed = await hash_password(password, offer.email)
        async with self._database.transaction(SYSTEM) as session:
            row = await _open(session, link, lock=True)
            person, actor = await open_account(session, offer.email, name, hashed)
            await InvitationService(session, actor).accept(row, person)
        return offer.slug


def _of(tenant_id: UUID) -> Select[tuple[Invitation]]:
    return select(Invitation).where(Invitation.tenant_id == tenant_id)


def _in_state(state: State) -> list[ColumnElement[bool]]:
    if state == "accepted":
        return [Invitation.accepted_at.is_not(None)]
    if state == "revoked":
        return [Invitation.accepted_at.is_(None), Invitation.revoked_at.is_not(None)]
    over = Invitation.expires_at <= func.now()
    still_open = [Invitation.accepted_at.is_(None), Invitation.revoked_at.is_(None)]
    return [*still_open, over if state == "expired" else ~over]


async def _open(session: AsyncSession, link: str, *, lock: bool = False) -> Invitation:
    query = select(Invitation).where(Invitation.token_hash == digest(link))
    row: Invitation | None = await session.scalar(query.with_for_update() if lock else query)
    if row is None or row.state != "pending":
        raise InvitationOver
    return row


def _nobody(label: str) -> Actor:
    return Actor("anonymous", None, label, frozenset(), Plane.SYSTEM)
