"""What the overview asks of the whole platform."""

from dataclasses import dataclass

from sqlalchemy import Select, TableClause, column, exists, literal, select, table
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.ids import PLATFORM_TENANT

_TENANT = table("tenant", column("id"))
_TOKEN = table("api_token", column("tenant_id"))
_ARTICLE = table("article", column("tenant_id"))
_TASK = table("ai_task", column("tenant_id"), column("status"))


@dataclass(frozen=True, slots=True)
class FirstSteps:
    """What has been done at least once since the platform stands."""

    tenant: bool
    token: bool
    article: bool
    summary: bool

    @property
    def done(self) -> bool:
        return self.tenant and self.token and self.article and self.summary


async def first_steps(session: AsyncSession) -> FirstSteps:
    """For the platform: a tenant's transaction may not read tenants."""
    query = select(
        exists(_any(_TENANT).where(_TENANT.c.id != PLATFORM_TENANT)),
        exists(_any(_TOKEN).where(_TOKEN.c.tenant_id != PLATFORM_TENANT)),
        exists(_any(_ARTICLE)),
        exists(_any(_TASK).where(_TASK.c.status == "completed")),
    )
    return FirstSteps(*(await session.execute(query)).one())


def _any(source: TableClause) -> Select[tuple[int]]:
    return select(literal(1)).select_from(source)
