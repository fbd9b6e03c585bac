"""The stage on which callers of every kind ask the running app."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from httpx2 import AsyncClient
from litestar import Litestar

from app import registry
from app.core.ids import PLATFORM_TENANT
from app.core.policy import Actor
from tests.architecture.access import Stage, one_of_everything, tenant_scopes, tokens
from tests.conftest import Made, Person


@pytest.fixture
async def stage(
    app: Litestar,
    admin: asyncpg.Connection,
    owner: AsyncClient,
    operator: Actor,
    tenant: Made,
    make_tenant: Callable[[str], Awaitable[Made]],
    member: Person,
) -> Stage:
    other, suspended = await make_tenant("Other Press"), await make_tenant("Quiet Press")
    people = {role: await member(f"{role}@example.org", role) for role in ("admin", "editor", "viewer")}
    people["tenant's owner"] = await member("ours@example.org", "owner")
    people["foreign admin"] = await member("foreign@example.org", "admin", other)
    person = await admin.fetchval("SELECT id FROM \"user\" WHERE role = 'owner'")
    callers = {
        "anonymous": {},
        "owner": browser(owner),
        **{name: browser(client) for name, client in people.items()},
        "platform token": await tokens(app, operator, PLATFORM_TENANT, sorted(registry.owner_scopes())),
        "tenant's token": await tokens(app, operator, tenant.id, tenant_scopes()),
        "read-only token": await tokens(app, operator, tenant.id, tenant_scopes(":read")),
        "suspended": await tokens(app, operator, suspended.id, tenant_scopes()),
        "expired": await tokens(app, operator, tenant.id, tenant_scopes()),
        "revoked": await tokens(app, operator, tenant.id, tenant_scopes()),
    }
    newest = "SELECT id FROM api_token WHERE tenant_id = $1 ORDER BY id DESC OFFSET $2 LIMIT 1"
    await admin.execute(f"UPDATE api_token SET revoked_at = now() WHERE id = ({newest})", tenant.id, 0)
    past = f"UPDATE api_token SET expires_at = now() - interval '1 day' WHERE id = ({newest})"
    await admin.execute(past, tenant.id, 1)
    await admin.execute("UPDATE tenant SET status = 'suspended' WHERE id = $1", suspended.id)
    # A worker takes orders while its last heartbeat is new: for as long as the test may last.
    beating = datetime.now(UTC) + timedelta(hours=1)
    plausible = {"saved_view": {"owner": f"user:{person}"}, "worker": {"beat_at": beating}}
    plausible["article_version"] = {"snapshot": {"title": "t", "slug": "t", "language": "en", "body": "t"}}
    plausible["locale"] = {"code": "fr", "is_default": True, "enabled": True, "place": 1}
    plausible["interface_text"] = {"key": "menu.home", "text": "Accueil"}
    mine = str(await admin.fetchval("SELECT id FROM api_token WHERE tenant_id = $1", PLATFORM_TENANT))
    slugs = [await admin.fetchval("SELECT slug FROM tenant WHERE id = $1", each.id) for each in (tenant, other)]
    ids = await one_of_everything(admin, tenant.id, other.id, plausible)
    ids |= {"platform_token": (mine, mine), "slug": (slugs[0], slugs[1])}
    stage = Stage(app, admin, callers, ids)
    await stage.keep()
    return stage


def browser(client: AsyncClient) -> dict[str, str]:
    """The headers of somebody who is signed in."""
    session = f"teknav_session={client.cookies['teknav_session']}"
    return {"Cookie": session, "X-CSRF-Token": client.headers["X-CSRF-Token"]}
