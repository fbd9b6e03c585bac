"""The rules of programs' credentials: what they may do, for whom, from where, and until when."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any, ClassVar, Generic, TypeVar
from uuid import UUID

from msgspec import UNSET
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Plane, scope_of
from app.core.errors import Conflict, Invalid, NotFound
from app.core.etag import Expected, require
from app.core.ids import PLATFORM_TENANT, new_id
from app.core.live import signal
from app.core.paging import Page, Pager, Sorts
from app.core.policy import Actor, Permission
from app.core.queries import at_once, text_of
from app.core.secrets import Secret, digest, new_secret
from app.core.wire import one_line
from app.modules.audit.service import record
from app.modules.tenants.service import TenantService
from app.modules.tokens import repository
from app.modules.tokens.models import ApiClient, ApiToken, Credential
from app.modules.tokens.permissions import WRITE
from app.modules.tokens.schemas import MAX_ADDRESSES, MAX_NAME, CredentialChange

__all__ = ["TOPIC", "ApiClient", "ClientService", "TokenService"]
C = TypeVar("C", bound=Credential)
TOPIC = "tokens"
TOKEN_SORTS = Sorts("-createdAt", {"createdAt": ApiToken.id, "name": ApiToken.name})
CLIENT_SORTS = Sorts("-createdAt", {"createdAt": ApiClient.id, "name": ApiClient.name})
SHOWN_OF_SECRET = 8


class Credentials(Generic[C]):
    """What tokens and clients have in common. Under the platform's own tenant stand those for `/api/owner`."""

    row: type[C]
    sorts: ClassVar[Sorts]
    noun: ClassVar[str]
    begins: ClassVar[str]
    """How its secrets begin."""

    def __init__(self, session: AsyncSession, actor: Actor) -> None:
        self._session = session
        self._actor = actor
        self._tenants = TenantService(session, actor)

    def grantable(self, tenant_id: UUID) -> list[Permission]:
        """What this actor may give to one of this tenant: never more than the actor may do."""
        known: Mapping[str, Permission] = self._session.info["permissions"]
        wanted = (known[name] for name in sorted(known) if tenant_id == PLATFORM_TENANT or known[name].tenant)
        # What a member may do in single workspaces only is nothing that a token of the tenant can have.
        return [each for each in wanted if self._actor.may(each) and self._actor.reach(each) is None]

    def offered(self, tenant_id: UUID) -> list[Permission]:
        """Of these what is of use to itself. A platform token that makes tenants' tokens needs more."""
        found = self.grantable(tenant_id)
        return [each for each in found if each.name in self._of_platform] if tenant_id == PLATFORM_TENANT else found

    async def create(
        self,
        tenant_id: UUID,
        *,
        name: str,
        scopes: Sequence[str],
        workspace_id: UUID | None = None,
        addresses: Sequence[str] = (),
        plan: str = "standard",
        expires_in_days: int | None = 90,
    ) -> tuple[C, Secret]:
        """Make one. Its secret is returned here and nowhere else.

        Args:
            addresses: networks that it may be used from; none is from anywhere.
            expires_in_days: 1 to 3650; None for one that does not expire.

        Raises:
            NotFound: there is no such tenant. Invalid: naming what is wrong, as the API calls it.
        """
        label = await self._label(tenant_id)
        if workspace_id is not None and workspace_id not in await self._tenants.workspace_names(tenant_id):
            raise Invalid.field("workspaceId", "there is no such workspace in this tenant")
        secret = new_secret(self.begins)
        row = self.row(
            id=new_id(),
            tenant_id=tenant_id,
            workspace_id=workspace_id,
            name=one_line("name", name, MAX_NAME),
            prefix=secret[:SHOWN_OF_SECRET],
            token_hash=digest(secret),
            scopes=self._scopes(tenant_id, scopes),
            addresses=_networks(addresses),
            plan=self._plan(plan, "standard"),
            expires_at=_expiry(expires_in_days),
            created_by=self._actor.label,
        )
        self._session.add(row)
        await self._session.flush()
        await self._session.refresh(row)
        after = {"tenant": label, "prefix": row.prefix, "workspace_id": row.workspace_id} | _settable(row)
        await self._trace("create", row, None, after)
        return row, secret

    async def search(
        self,
        pager: Pager,
        tenant_id: UUID,
        *,
        words: str | None = None,
        state: str | None = None,
        limit: int = 25,
        cursor: str | None = None,
    ) -> Page[C]:
        """Revoked and expired ones too.

        Raises:
            NotFound: there is no such tenant. Invalid (`q`).
        """
        await self._label(tenant_id)
        words = text_of("q", words)
        return await pager.page(
            self._session,
            repository.credentials(self.row, tenant_id, words, state),
            key=self.row.id,
            of=f"{self.noun} {tenant_id} {words} {state}",
            limit=limit,
            cursor=cursor,
            sorts=self.sorts,
        )

    async def get(self, tenant_id: UUID, credential_id: UUID, *, lock: bool = False) -> C:
        """
        Raises:
            NotFound: the tenant has none with this id.
        """
        query = repository.credentials(self.row, tenant_id).where(self.row.id == credential_id)
        row = await self._session.scalar(query.with_for_update() if lock else query)
        if row is None:
            raise NotFound(f"There is no such {self.noun}")
        return row

    async def update(
        self, tenant_id: UUID, credential_id: UUID, change: CredentialChange, *, expected: Expected = None
    ) -> C:
        """Change what `change` names; nothing new makes no new version.

        Raises:
            NotFound, Stale, Invalid. Conflict (`not_active`): it was revoked.
        """
        row = await self._open(tenant_id, credential_id)
        require(row.version, expected, self.noun)
        before = _settable(row)
        if change.name is not UNSET:
            row.name = one_line("name", change.name, MAX_NAME)
        if change.scopes is not UNSET and {*change.scopes} != {*row.scopes}:
            row.scopes = self._scopes(tenant_id, change.scopes, had=row.scopes)
        if change.addresses is not UNSET:
            row.addresses = _networks(change.addresses)
        if change.plan is not UNSET:
            row.plan = self._plan(change.plan, row.plan)
        if change.expires_in_days is not UNSET:
            row.expires_at = _expiry(change.expires_in_days)
        if _settable(row) != before:
            await self._session.flush()
            await self._session.refresh(row)
            await self._trace("update", row, before, _settable(row))
        return row

    async def rotate(self, tenant_id: UUID, credential_id: UUID, *, overlap: timedelta) -> tuple[C, Secret]:
        """A new secret, returned here and nowhere else. The one before is good for `overlap` more.

        Raises:
            NotFound. Conflict (`not_active`): it was revoked, or has expired.
        """
        row = await self._open(tenant_id, credential_id)
        self._scopes(tenant_id, row.scopes)  # whoever gets the secret must have been able to give it
        if row.state != "active":
            raise Conflict(f"This {self.noun} has expired", code="not_active")
        secret = new_secret(self.begins)
        before = {"prefix": row.prefix, "previous_until": row.previous_until}
        row.previous_hash = row.token_hash if overlap else None
        row.previous_until = datetime.now(UTC) + overlap if overlap else None
        row.token_hash, row.prefix = digest(secret), secret[:SHOWN_OF_SECRET]
        if not overlap:
            self._end_jwts(row)
        await self._session.flush()
        await self._session.refresh(row)
        after = {"prefix": row.prefix, "previous_until": row.previous_until}
        await self._trace("rotate", row, before, after)
        return row, secret

    async def revoke(self, tenant_id: UUID, credential_id: UUID) -> C:
        """Refuse it from now on. Revoking what is revoked changes nothing.

        Raises:
            NotFound: the tenant has none with this id.
        """
        row = await self.get(tenant_id, credential_id, lock=True)
        await self._revoke([row])
        return row

    async def revoke_many(self, tenant_id: UUID, ids: Collection[UUID]) -> int:
        """How many of these were active and are revoked now; ids that the tenant has not are passed over.

        Raises:
            NotFound: there is no such tenant. Invalid (`ids`): none or too many.
        """
        chosen = at_once(ids)
        await self._label(tenant_id)
        query = repository.credentials(self.row, tenant_id).where(self.row.id.in_(chosen))
        return await self._revoke([*await self._session.scalars(query.order_by(self.row.id).with_for_update())])

    async def _revoke(self, rows: Sequence[C]) -> int:
        gone = [row for row in rows if row.revoked_at is None]
        for row in gone:
            row.revoked_at = datetime.now(UTC)
            await self._session.flush()
            await self._trace("revoke", row, {"revoked_at": None}, {"revoked_at": row.revoked_at})
        return len(gone)

    async def _open(self, tenant_id: UUID, credential_id: UUID) -> C:
        row = await self.get(tenant_id, credential_id, lock=True)
        if row.revoked_at is not None:
            raise Conflict(f"This {self.noun} was revoked", code="not_active")
        return row

    def _end_jwts(self, row: C) -> None:
        """Where secrets are exchanged for something else, that ends too."""

    async def _label(self, tenant_id: UUID) -> str:
        return "platform" if tenant_id == PLATFORM_TENANT else (await self._tenants.called(tenant_id)).slug

    @property
    def _of_platform(self) -> Collection[str]:
        found: Collection[str] = self._session.info["owner_scopes"]
        return found

    def _scopes(self, tenant_id: UUID, scopes: Sequence[str], had: Sequence[str] = ()) -> list[str]:
        """As they are kept. What it `had` it may keep, whoever changes the others."""
        allowed = {permission.name for permission in self.grantable(tenant_id)} | {*had}
        if tenant_id == PLATFORM_TENANT and WRITE.name not in scopes:
            allowed &= {*self._of_platform}  # what is of tenants, it could only give away
        refused = sorted(set(scopes) - allowed)
        if refused:
            kind = "a platform" if tenant_id == PLATFORM_TENANT else "a tenant's"
            choice = ", ".join(permission.name for permission in self.offered(tenant_id))
            raise Invalid.field("scopes", f"{kind} {self.noun} cannot be given {', '.join(refused)}, but: {choice}")
        if not scopes:
            raise Invalid.field("scopes", "choose at least one scope")
        return sorted(set(scopes))

    def _plan(self, plan: str, now: str) -> str:
        if plan != now and self._actor.plane is not Plane.PLATFORM:
            raise Invalid.field("plan", "is chosen by the platform")
        return plan

    async def _trace(self, verb: str, row: C, before: dict[str, Any] | None, after: dict[str, Any]) -> None:
        action, resource = f"owner.{self.noun}.{verb}", (self.noun, row.id, row.name)
        changes: dict[str, Any] = {"before": before, "after": after}
        await record(self._session, self._actor, action, resource=resource, tenant_id=row.tenant_id, **changes)
        signal(self._session, TOPIC, row.id, scope_of(self._session).tenant_id)


class TokenService(Credentials[ApiToken]):
    row = ApiToken
    sorts = TOKEN_SORTS
    noun = "token"
    begins = "tn_"


class ClientService(Credentials[ApiClient]):
    row = ApiClient
    sorts = CLIENT_SORTS
    noun = "client"
    begins = "cs_"

    async def end_jwts(self, tenant_id: UUID, client_id: UUID) -> ApiClient:
        """Refuse every JWT that the client has got so far. Its secret stays good for new ones.

        Raises:
            NotFound. Conflict (`not_active`): it was revoked.
        """
        row = await self._open(tenant_id, client_id)
        before = {"epoch": row.epoch}
        self._end_jwts(row)
        await self._session.flush()
        await self._session.refresh(row)
        await self._trace("update", row, before, {"epoch": row.epoch})
        return row

    def _end_jwts(self, row: ApiClient) -> None:
        row.epoch += 1


def _settable(row: Credential) -> dict[str, Any]:
    return {name: getattr(row, name) for name in ("name", "scopes", "addresses", "plan", "expires_at")}


def _networks(addresses: Sequence[str]) -> list[str]:
    found = []
    for address in addresses:
        try:
            network = ip_network(address.strip(), strict=False)
        except ValueError:
            network = None
        if network is None or "%" in str(network):  # a zone means something on one machine only
            raise Invalid.field("addresses", f"{address.strip()!r} is no address and no network")
        found.append(str(network))
    if len(found) > MAX_ADDRESSES:
        raise Invalid.field("addresses", f"must be at most {MAX_ADDRESSES}")
    return sorted(set(found))


def _expiry(days: int | None) -> datetime | None:
    if days is None:
        return None
    if not 1 <= days <= 3650:
        raise Invalid.field("expiresInDays", "must be from 1 to 3650, or null")
    return datetime.now(UTC) + timedelta(days=days)
