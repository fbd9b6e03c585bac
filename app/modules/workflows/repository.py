"""The names of tenants, for the owner's pages."""

from uuid import UUID

from sqlalchemy import column, select, table
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Plane, scope_of
from app.core.ids import PLATFORM_TENANT

# A table of a module below, by name: its model is its own.
_TENANT = table("tenant", column("id"), column("name"))
MOST_TENANTS = 500


async def tenants(session: AsyncSession) -> dict[UUID, str]:
    """The first 500 by name; none in a tenant's own transaction."""
    if scope_of(session).plane is Plane.TENANT:
        return {}
    query = select(_TENANT.c.id, _TENANT.c.name).where(_TENANT.c.id != PLATFORM_TENANT)
    rows = await session.execute(query.order_by(_TENANT.c.name).limit(MOST_TENANTS))
    return {row.id: row.name for row in rows}
