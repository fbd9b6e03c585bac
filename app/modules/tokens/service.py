"""The rules of programs' credentials: what they may do, for whom, and until when."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Database, Plane, scope_of
from app.core.errors import Forbidden, Invalid, NotFound, Problem, Unauthenticated
from app.core.ids import PLATFORM_TENANT, new_id
from app.core.live import signal
from app.core.paging import Page, Pager
from app.core.policy import Actor, Permission
from app.core.secrets import Secret, digest, new_secret
from app.core.wire import one_line
from app.modules.audit.service import record
from app.modules.tenants.service import TenantService
from app.modules.tokens.models import ApiToken
from app.modules.tokens.schemas import MAX_NAME

TOPIC = "tokens"
SHOWN_OF_TOKEN = 8
_TOKEN = text("SELECT token_id, tenant_id, workspace_id, name, scopes FROM public.teknav_token(:hash)")
_REFUSED = text("SELECT public.teknav_refused_token(:hash)")


class Bearers:
    """Finds who sent a bearer token, in one statement and without a role.

    The function it calls belongs to `teknav_system`, checks that nothing has expired, and notes that it was used.
    """

    def __init__(self, database: Database, permissions: Mapping[str, Permission]) -> None:
        self._engine = database.engine(Plane.TENANT).execution_options(isolation_level="AUTOCOMMIT")
        self._every = frozenset(permissions)
        self._tenants = frozenset(name for name, permission in permissions.items() if permission.tenant)

    async def actor(self, bearer: str) -> Actor:
        """
        Raises:
            Unauthenticated (`bad_token`): it is unknown, expired or revoked. Forbidden (`tenant_suspended`).
        """
        async with self._engine.connect() as connection:
            row = (await connection.execute(_TOKEN, {"hash": digest(bearer)})).one_or_none()
            if row is None:
                why = (await connection.execute(_REFUSED, {"hash": digest(bearer)})).scalar_one_or_none()
        if row is None:
            raise _refusal(why)
        platform = row.tenant_id == PLATFORM_TENANT
        granted = frozenset(row.scopes) & (self._every if platform else self._tenants)
        plane = Plane.PLATFORM if platform else Plane.TENANT
        return Actor("token", row.token_id, row.name, granted, plane, row.tenant_id, row.workspace_id)


def _refusal(why: str | None) -> Problem:
    if why == "suspended":
        return Forbidden("This tenant is suspended", code="tenant_suspended")
    said = {"revoked": "was revoked", "expired": "has expired"}.get(why or "", "is unknown")
    return Unauthenticated(f"This token {said}", code="bad_token")


class TokenService:
    """API tokens of tenants, and under the platform's own tenant those for `/api/owner`."""

    def __init__(self, session: AsyncSession, actor: Actor) -> None:
        self._session = session
        self._actor = actor
        self._tenants = TenantService(session, actor)

    def grantable(self, tenant_id: UUID) -> list[Permission]:
        """What a token of this tenant may be given by this actor: never more than the actor may do."""
        known: Mapping[str, Permission] = self._session.info["permissions"]
        wanted = (known[name] for name in sorted(known) if tenant_id == PLATFORM_TENANT or known[name].tenant)
        # What a member may do in single workspaces only is nothing that a token of the tenant can have.
        return [each for each in wanted if self._actor.may(each) and self._actor.reach(each) is None]

    def offered(self, tenant_id: UUID) -> list[Permission]:
        """Of these what is of use to the token itself. A platform token that makes tenants' tokens needs more."""
        of_platform: Collection[str] = self._session.info["owner_scopes"]
        found = self.grantable(tenant_id)
        return [each for each in found if each.name in of_platform] if tenant_id == PLATFORM_TENANT else found

    async def create(
        self,
        tenant_id: UUID,
        *,
        name: str,
        scopes: Sequence[str],
        workspace_id: UUID | None = None,
        expires_in_days: int | None = 90,
    ) -> tuple[ApiToken, Secret]:
        """Make a token. Its secret is returned here and nowhere else.

        Args:
            expires_in_days: 1 to 3650; None for a token that does not expire.

        Raises:
            NotFound: there is no such tenant. Invalid: naming `name`, `scopes`, `workspaceId` or `expiresInDays`.
        """
        label = await self._label(tenant_id)
        if workspace_id is not None and workspace_id not in await self._tenants.workspace_names(tenant_id):
            raise Invalid.field("workspaceId", "there is no such workspace in this tenant")
        secret = new_secret("tn_")
        token = ApiToken(
            id=new_id(),
            tenant_id=tenant_id,
            workspace_id=workspace_id,
            name=one_line("name", name, MAX_NAME),
            prefix=secret[:SHOWN_OF_TOKEN],
            token_hash=digest(secret),
            scopes=self._scopes(tenant_id, scopes),
            expires_at=_expiry(expires_in_days),
            created_by=self._actor.label,
        )
        self._session.add(token)
        await self._session.flush()
        await self._session.refresh(token)
        after = {
            "tenant": label,
            "name": token.name,
            "prefix": token.prefix,
            "scopes": token.scopes,
            "workspace_id": workspace_id,
            "expires_at": token.expires_at,
        }
        await self._trace("owner.token.create", token, None, after)
        return token, secret

    async def search(
        self, pager: Pager, tenant_id: UUID, *, limit: int = 25, cursor: str | None = None
    ) -> Page[ApiToken]:
        """Newest first, revoked and expired ones too.

        Raises:
            NotFound: there is no such tenant.
        """
        await self._label(tenant_id)
        query = select(ApiToken).where(ApiToken.tenant_id == tenant_id)
        of = f"tokens {tenant_id}"
        return await pager.page(self._session, query, key=ApiToken.id, of=of, limit=limit, cursor=cursor)

    async def get(self, tenant_id: UUID, token_id: UUID, *, lock: bool = False) -> ApiToken:
        """
        Raises:
            NotFound: the tenant has no such token.
        """
        place = (ApiToken.tenant_id == tenant_id, ApiToken.id == token_id)
        query = select(ApiToken).where(*place)
        token = await self._session.scalar(query.with_for_update() if lock else query)
        if token is None:
            raise NotFound("There is no such token")
        return token

    async def revoke(self, tenant_id: UUID, token_id: UUID) -> ApiToken:
        """Refuse the token from now on. Revoking what is revoked changes nothing.

        Raises:
            NotFound: the tenant has no such token.
        """
        token = await self.get(tenant_id, token_id, lock=True)
        if token.revoked_at is None:
            token.revoked_at = datetime.now(UTC)
            await self._session.flush()
            await self._trace("owner.token.revoke", token, {"revoked_at": None}, {"revoked_at": token.revoked_at})
        return token

    async def _label(self, tenant_id: UUID) -> str:
        if tenant_id == PLATFORM_TENANT:
            return "platform"
        return (await self._tenants.called(tenant_id)).slug

    def _scopes(self, tenant_id: UUID, scopes: Sequence[str]) -> list[str]:
        allowed = {permission.name for permission in self.grantable(tenant_id)}
        refused = sorted(set(scopes) - allowed)
        if refused:
            kind = "a platform" if tenant_id == PLATFORM_TENANT else "a tenant's"
            choice = ", ".join(permission.name for permission in self.offered(tenant_id))
            raise Invalid.field("scopes", f"{kind} token cannot be given {', '.join(refused)}, but: {choice}")
        if not scopes:
            raise Invalid.field("scopes", "choose at least one scope")
        return sorted(set(scopes))

    async def _trace(self, action: str, token: ApiToken, before: dict[str, Any] | None, after: dict[str, Any]) -> None:
        resource = ("token", token.id, token.name)
        await record(self._session, self._actor, action, resource=resource, before=before, after=after)
        signal(self._session, TOPIC, token.id, scope_of(self._session).tenant_id)


def _expiry(days: int | None) -> datetime | None:
    if days is None:
        return None
    if not 1 <= days <= 3650:
        raise Invalid.field("expiresInDays", "must be from 1 to 3650, or null")
    return datetime.now(UTC) + timedelta(days=days)
