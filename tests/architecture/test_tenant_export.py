"""The export of a tenant holds a row of each of its tables, whatever tables there are."""

from uuid import UUID

import asyncpg
import pytest

from app.core.database import Database
from app.core.ids import new_id
from app.core.models import Base
from app.core.policy import Actor
from app.modules.exports import service
from app.modules.exports.service import Place, count, next_rows
from app.modules.tenants.repository import NOT_EXPORTED, without_ids
from tests.architecture.access import Stage

AT_ONCE = 7


async def pages(
    database: Database, operator: Actor, tenant_id: UUID, found: list[tuple[str, str]]
) -> tuple[int, list[int]]:
    """Puts each row's table and itself into `found`; returns how many there are to be, and how long the pages were."""
    given, begin, lengths = {"tenantId": str(tenant_id)}, new_id(), []
    async with database.transaction(operator.scope) as session:
        source = session.info["exportables"]["tenant"]
        total = await count(session, source, given, begin, most=None)
        place, full = Place(begin), True
        while full:
            rows, place = await next_rows(session, source, given, place)
            found += [(row.table, str(sorted(row.row.items()))) for row in rows]
            lengths.append(len(rows))
            full = len(rows) == service.AT_ONCE
    return total, lengths


async def test_every_table_of_tenants_is_in_the_export_and_read_page_by_page_each_row_once(
    stage: Stage, database: Database, operator: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "AT_ONCE", AT_ONCE)
    ours, theirs = (UUID(each) for each in stage.ids["tenant"])
    found: list[tuple[str, str]] = []
    total, _ = await pages(database, operator, ours, found)
    tables = {table.name for table in Base.metadata.sorted_tables if "tenant_id" in table.c}
    assert {table for table, _ in found} == {"tenant"} | tables - NOT_EXPORTED
    assert len(found) == len(set(found)) == total and len(tables) > 50
    assert f"('tenant_id', '{theirs}')" not in str(found)


async def test_rows_of_a_key_of_several_columns_come_in_its_order_over_several_pages(
    stage: Stage, database: Database, operator: Actor, admin: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "AT_ONCE", AT_ONCE)
    ours = UUID(stage.ids["tenant"][0])
    # Days, text that sorts unlike its bytes, and bytes: what is in a key has to come back from its text as it was.
    days = """
    INSERT INTO user_engagement_daily
    SELECT (jsonb_populate_record(one, jsonb_build_object('day', date '2026-01-01' + n / 5, 'user_id', u || n % 5))).*
    FROM (SELECT found FROM user_engagement_daily found WHERE tenant_id = $1 LIMIT 1) held (one),
         generate_series(1, 20) n, unnest(ARRAY['a', 'B', 'ä']) u
    """
    counted = """
    INSERT INTO analytics_aggregate
    SELECT (jsonb_populate_record(one, jsonb_build_object(
        'dims_hash', '\\x' || md5(n::text), 'bucket_utc', (one).bucket_utc + n * interval '1.000001 second'))).*
    FROM (SELECT found FROM analytics_aggregate found WHERE tenant_id = $1 LIMIT 1) held (one), generate_series(1, 20) n
    """
    before = [await admin.fetchval(f"SELECT count(*) FROM {name} WHERE tenant_id = $1", ours) for name in KEYED]
    await admin.execute(days, ours)
    await admin.execute(counted, ours)
    found: list[tuple[str, str]] = []
    total, lengths = await pages(database, operator, ours, found)
    assert len(found) == len(set(found)) == total and set(lengths[:-1]) == {AT_ONCE}
    for name, was, more in zip(KEYED, before, (60, 20), strict=True):
        assert len([row for row in found if row[0] == name]) == was + more
    # Whichever pages they came on, they stand in the order of the key.
    async with database.transaction(operator.scope) as session:
        (one,) = (each for each in without_ids(ours) if each.name == "user_engagement_daily")
        assert [column.key for column in one.key] == ["tenant_id", "day", "user_id"]
        rows = (await session.execute(one.rows.order_by(*one.key))).all()
    at = [row for row in found if row[0] == one.name]
    assert at == [(row.table, str(sorted(row.row.items()))) for row in rows]


KEYED = ("user_engagement_daily", "analytics_aggregate")
