"""The export of a tenant holds a row of each of its tables, whatever tables there are."""

from uuid import UUID

from sqlalchemy import func, select

from app.core.database import Database
from app.core.models import Base
from app.core.policy import Actor
from app.modules.tenants.models import TenantRecord
from app.modules.tenants.repository import NOT_EXPORTED, everything
from tests.architecture.access import Stage

AT_ONCE = 7


async def test_every_table_of_tenants_is_in_the_export_and_read_page_by_page_each_row_once(
    stage: Stage, database: Database, operator: Actor
) -> None:
    ours, theirs = (UUID(each) for each in stage.ids["tenant"])
    found: list[tuple[str, UUID]] = []
    async with database.transaction(operator.scope) as session:
        query = everything(ours).order_by(TenantRecord.id.desc()).limit(AT_ONCE)
        page = (await session.scalars(query)).all()
        while page:
            assert str(theirs) not in str([record.row.get("tenant_id") for record in page])
            found += [(record.table, record.id) for record in page]
            page = (await session.scalars(query.where(TenantRecord.id < page[-1].id))).all()
        total = await session.scalar(select(func.count()).select_from(everything(ours).subquery()))
    tables = {table.name for table in Base.metadata.sorted_tables if "tenant_id" in table.c}
    assert {table for table, _ in found} == {"tenant"} | tables - NOT_EXPORTED
    assert len(found) == len(set(found)) == total and len(tables) > 50
