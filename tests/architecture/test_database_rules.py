"""The rules of the tables, asked of PostgreSQL's own catalogue after the real migrations."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import UUID

import asyncpg
import msgspec
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from litestar import Litestar
from sqlalchemy import Connection, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.sql.schema import CallableColumnDefault

from app import migrate
from app.core.database import Database, Plane, Scope, asyncpg_url
from app.core.ids import new_id
from app.core.models import Base
from app.core.policy import Actor
from app.core.settings import Settings
from app.modules.tenants.service import TenantService

Transaction = Callable[[Scope], AbstractAsyncContextManager[AsyncSession]]
APPEND_ONLY = {"ai_event_log", "audit_log", "data_access_log"}
PARTITIONED = APPEND_ONLY | {"analytics_event", "job", "job_attempt", "job_effect"}
CHANGES = "INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER"
RIGHTS = f"SELECT, {CHANGES}"
OWN_TABLES = """
    SELECT c.oid, c.relname AS name, c.relrowsecurity AS secured, c.relforcerowsecurity AS forced,
           EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id'
                   AND a.attnum > 0 AND NOT a.attisdropped) AS of_tenant
    FROM pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
    ORDER BY c.relname
"""


@pytest.fixture
async def tables(admin: asyncpg.Connection) -> list[asyncpg.Record]:
    found: list[asyncpg.Record] = await admin.fetch(OWN_TABLES)
    assert len(found) > 20
    return found


@pytest.fixture
def logins(settings: Settings) -> set[str]:
    """The logins that web and worker use."""
    urls = (settings.database_url, settings.platform_database_url)
    return {unquote(urlsplit(url).username or "") for url in urls if url}


@pytest.fixture
def owner_login(settings: Settings) -> str:
    """The login that runs the migrations. It may be one of the runtime's, then with less protection."""
    return unquote(urlsplit(settings.migration_database_url or settings.database_url).username or "")


@pytest.fixture
async def login(settings: Settings) -> AsyncGenerator[asyncpg.Connection, None]:
    """A connection as the tenants' login, before it has taken any role."""
    connection = await asyncpg.connect(settings.database_url)
    yield connection
    await connection.close()


@pytest.mark.promise("S1-28")
async def test_every_tenant_table_forces_row_level_security(
    admin: asyncpg.Connection, tables: list[asyncpg.Record]
) -> None:
    tenant_tables = {table["name"] for table in tables if table["of_tenant"]}
    assert tenant_tables == {t.name for t in Base.metadata.sorted_tables if "tenant_id" in t.columns}
    assert [t["name"] for t in tables if t["of_tenant"] and not (t["secured"] and t["forced"])] == []
    rule = "(tenant_id = (NULLIF(current_setting('app.tenant_id'::text, true), ''::text))::uuid)"
    policies = await admin.fetch(
        "SELECT tablename, roles::text[] AS roles, cmd, permissive, qual, with_check FROM pg_policies"
    )
    for name in tenant_tables:
        ours = [p for p in policies if p["tablename"] == name and set(p["roles"]) & {"public", "teknav_tenant"}]
        assert [(p["cmd"], p["qual"], p["with_check"] or rule) for p in ours] == [("ALL", rule, rule)], name


async def test_every_tenant_row_has_its_tenant(admin: asyncpg.Connection) -> None:
    query = "SELECT attrelid::regclass::text FROM pg_attribute WHERE attname = 'tenant_id' AND NOT attnotnull"
    nullable = await admin.fetch(f"{query} AND attrelid IN (SELECT oid FROM pg_class WHERE relkind IN ('r', 'p'))")
    assert nullable == []


@pytest.mark.trap(40)
async def test_no_runtime_role_may_touch_a_partition_by_its_name(
    admin: asyncpg.Connection, logins: set[str], owner_login: str
) -> None:
    partitions = "SELECT oid, relname FROM pg_class WHERE relispartition AND relkind IN ('r', 'p')"
    assert len(await admin.fetch(partitions)) >= 4 * len(PARTITIONED)
    granted = await admin.fetch(
        f"SELECT p.relname, role FROM ({partitions}) p, unnest($1::text[]) role "
        "WHERE has_table_privilege(role, p.oid, $2)",
        [*migrate.ROLES, *(logins - {owner_login})],
        RIGHTS,
    )
    assert granted == []
    assert await admin.fetch("SELECT relname FROM pg_class WHERE relispartition AND relacl::text LIKE '%{=%'") == []


async def test_a_global_table_is_out_of_reach_of_tenants(
    admin: asyncpg.Connection, tables: list[asyncpg.Record]
) -> None:
    out_of_reach = {table["oid"]: table["name"] for table in tables if not table["of_tenant"]}
    query = "SELECT oid FROM unnest($1::oid[]) oid WHERE has_table_privilege('teknav_tenant', oid, $2)"
    assert len(out_of_reach) > 5
    reached = [out_of_reach[row["oid"]] for row in await admin.fetch(query, list(out_of_reach), RIGHTS)]
    assert set(reached) <= {"alembic_version"}, "the revision is all that every login may read"
    assert not await admin.fetchval(f"SELECT has_table_privilege('teknav_tenant', 'alembic_version', '{CHANGES}')")


async def test_nobody_may_change_or_delete_what_is_append_only(admin: asyncpg.Connection) -> None:
    query = """
        SELECT name, role FROM unnest($1::text[]) name, unnest($2::text[]) role
        WHERE has_table_privilege(role, name, 'UPDATE, DELETE, TRUNCATE')
           OR has_any_column_privilege(role, name, 'UPDATE')
    """
    assert await admin.fetch(query, sorted(APPEND_ONLY), migrate.ROLES) == []


@pytest.mark.promise("S4-5")
async def test_the_owners_plane_cannot_rewrite_the_audit_log(transaction: Transaction) -> None:
    for statement in ("UPDATE audit_log SET action = 'x'", "DELETE FROM audit_log", "TRUNCATE audit_log"):
        with pytest.raises(DBAPIError, match="permission denied for table audit_log"):
            async with transaction(Scope(Plane.PLATFORM)) as session:
                await session.execute(text(statement))


async def test_a_foreign_key_between_tenant_tables_holds_the_tenant_too(
    admin: asyncpg.Connection, tables: list[asyncpg.Record]
) -> None:
    query = """
        SELECT con.conname, con.conrelid, con.confrelid,
               array(SELECT attname::text FROM unnest(con.conkey) WITH ORDINALITY k(n, i)
                     JOIN pg_attribute ON attrelid = con.conrelid AND attnum = k.n ORDER BY i) AS here,
               array(SELECT attname::text FROM unnest(con.confkey) WITH ORDINALITY k(n, i)
                     JOIN pg_attribute ON attrelid = con.confrelid AND attnum = k.n ORDER BY i) AS there
        FROM pg_constraint con WHERE con.contype = 'f'
    """
    of_tenants = {table["oid"] for table in tables if table["of_tenant"]}
    keys = [key for key in await admin.fetch(query) if {key["conrelid"], key["confrelid"]} <= of_tenants]
    assert len(keys) > 3
    for key in keys:
        assert ("tenant_id", "tenant_id") in zip(key["here"], key["there"], strict=True), key["conname"]


@pytest.mark.trap(40)
async def test_log_like_tables_have_months_ahead_and_no_default_partition(admin: asyncpg.Connection) -> None:
    query = """
        SELECT p.partrelid::regclass::text AS name, p.partdefid AS otherwise, pg_get_partkeydef(p.partrelid) AS key,
               (SELECT count(*) FROM pg_inherits i WHERE i.inhparent = p.partrelid) AS months
        FROM pg_partitioned_table p
    """
    found = await admin.fetch(query)
    assert {row["name"] for row in found} == PARTITIONED
    assert all(row["otherwise"] == 0 and row["months"] >= 4 and row["key"].startswith("RANGE") for row in found)


async def test_the_worker_can_make_the_months_that_come(transaction: Transaction) -> None:
    async with transaction(Scope(Plane.SYSTEM)) as session:
        made = await session.scalar(text("SELECT teknav_make_partitions(:months)"), {"months": 5})
        assert made == 2 * len(PARTITIONED)
        assert await session.scalar(text("SELECT teknav_make_partitions(:months)"), {"months": 5}) == 0


async def test_the_next_migration_may_make_tables(app: Litestar, settings: Settings) -> None:
    connection = await asyncpg.connect(settings.migration_database_url or settings.database_url)
    try:
        async with connection.transaction():
            await connection.execute("CREATE TABLE of_the_next_migration (id uuid)")
            await connection.execute("DROP TABLE of_the_next_migration")
    finally:
        await connection.close()


async def test_a_login_has_no_rights_of_its_own(admin: asyncpg.Connection, logins: set[str], owner_login: str) -> None:
    query = """
        SELECT rolname, rolsuper OR rolbypassrls OR rolreplication AS mighty, rolinherit,
               (SELECT bool_or(pg_has_role(r.oid, role, 'USAGE')) FROM unnest($2::text[]) role) AS uses,
               (SELECT count(*) FROM pg_class WHERE relowner = r.oid) AS owns
        FROM pg_roles r WHERE rolname = ANY($1::text[])
    """
    found = {row["rolname"]: row for row in await admin.fetch(query, [*logins, *migrate.ROLES], migrate.ROLES)}
    assert set(found) == {*logins, *migrate.ROLES}
    for name, row in found.items():
        assert not row["mighty"] and not row["rolinherit"], name
        assert row["owns"] == 0 or name == owner_login, name
        assert name in migrate.ROLES or not row["uses"], name


async def test_the_tenants_login_cannot_take_the_platforms_roles(settings: Settings, login: asyncpg.Connection) -> None:
    if settings.platform_database_url in ("", settings.database_url):
        pytest.skip("one login for both planes: it may take all roles")
    for role in ("teknav_platform", "teknav_system"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await login.execute(f"SET ROLE {role}")


async def test_a_function_with_its_owners_rights_names_its_schemas(admin: asyncpg.Connection) -> None:
    """Without a search_path of its own, the caller's decides which tables such a function reads."""
    query = """
        SELECT p.proname AS name, r.rolname AS owner, r.rolsuper AS mighty, p.proconfig AS config
        FROM pg_proc p JOIN pg_roles r ON r.oid = p.proowner
        WHERE p.prosecdef AND p.pronamespace = 'public'::regnamespace
    """
    found = await admin.fetch(query)
    assert {row["name"] for row in found} == {
        "teknav_active",
        "teknav_client",
        "teknav_copy_person",
        "teknav_drop_log_month",
        "teknav_drop_month",
        "teknav_erase_access",
        "teknav_erase_ai_events",
        "teknav_erase_audit",
        "teknav_make_partitions",
        "teknav_note_unsealed",
        "teknav_rights",
        "teknav_session",
        "teknav_timezone",
        "teknav_token",
    }
    for row in found:
        paths = [entry for entry in row["config"] or [] if entry.startswith("search_path=")]
        assert [path.endswith("pg_temp") for path in paths] == [True], row["name"]
        assert not row["mighty"], row["name"]


async def test_the_models_equal_the_migrations(admin: asyncpg.Connection, settings: Settings) -> None:
    def differences(connection: Connection) -> list[Any]:
        def declared(name: str | None, kind: str, _: object) -> bool:
            return kind != "table" or name in Base.metadata.tables  # partitions are made at run time

        options = {"include_name": declared, "compare_server_default": True}
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata))

    url, arguments = asyncpg_url(settings.migration_database_url or settings.database_url)
    engine = create_async_engine(url, connect_args=arguments)
    async with engine.connect() as connection:
        found = await connection.run_sync(differences)
    await engine.dispose()
    assert found == []


def test_migrations_are_one_line_and_their_files_begin_with_their_numbers() -> None:
    scripts = ScriptDirectory(str(migrate.ROOT / "alembic"))
    named = {Path(script.path).name.partition("_")[0]: script.revision for script in scripts.walk_revisions()}
    assert list(named) == list(named.values())
    assert scripts.get_heads() == [migrate.head()]


@pytest.mark.trap(39)
def test_every_generated_id_is_a_uuid_of_version_7() -> None:
    nothing: Any = None
    defaults = [
        column.default.arg(nothing)
        for table in Base.metadata.sorted_tables
        for column in table.primary_key.columns
        if isinstance(column.default, CallableColumnDefault) and column.type.python_type is UUID
    ]
    assert len(defaults) > 5
    assert {value.version for value in defaults} == {7}
    assert sorted(made := [new_id() for _ in range(1000)]) == made


@pytest.mark.trap(39)
async def test_a_stored_id_is_a_uuid_of_version_7(admin: asyncpg.Connection, tenant: Any) -> None:
    for table in ("tenant", "audit_log"):
        ids = await admin.fetch(f"SELECT id FROM {table}")
        assert ids and {row["id"].version for row in ids} == {7}


@pytest.fixture
async def filled(admin: asyncpg.Connection, transaction: Transaction, operator: Actor, tenant: Any) -> list[str]:
    """The tenant tables that hold rows of a tenant, after one was made with a workspace."""
    async with transaction(operator.scope) as session:
        await TenantService(session, operator).create_workspace(tenant.id, "News desk")
    names = [row["name"] for row in await admin.fetch(OWN_TABLES) if row["of_tenant"]]
    counts = {name: await admin.fetchval(f"SELECT count(*) FROM {name}") for name in names}
    found = [name for name, count in counts.items() if count]
    assert {"workspace", "audit_log"} <= set(found)
    return found


async def test_without_a_tenant_there_are_no_rows(login: asyncpg.Connection, filled: list[str]) -> None:
    for unset in ("SELECT 1", "SELECT set_config('app.tenant_id', '', true)"):
        async with login.transaction():
            await login.execute("SET LOCAL ROLE teknav_tenant")
            await login.execute(unset)
            assert [await login.fetchval(f"SELECT count(*) FROM {name}") for name in filled] == [0] * len(filled)


@pytest.mark.promise("S1-28")
async def test_another_tenant_sees_nothing_and_writes_nothing(
    admin: asyncpg.Connection,
    transaction: Transaction,
    filled: list[str],
    tenant: Any,
    make_tenant: Callable[[str], Any],
) -> None:
    stranger = await make_tenant("Stranger")
    workspaces = Base.metadata.tables["workspace"]
    async with transaction(Scope(Plane.TENANT, stranger.id)) as session:
        assert (await session.execute(select(workspaces).where(workspaces.c.tenant_id == tenant.id))).all() == []
        await session.execute(workspaces.update().values(name="Mine now"))
    assert await admin.fetch("SELECT 1 FROM workspace WHERE tenant_id = $1 AND name = 'Mine now'", tenant.id) == []
    theirs = {"id": new_id(), "tenant_id": tenant.id, "name": "Trojan", "slug": "trojan"}
    with pytest.raises(DBAPIError, match="violates row-level security"):
        async with transaction(Scope(Plane.TENANT, stranger.id)) as session:
            await session.execute(workspaces.insert().values(theirs))


@pytest.mark.trap(40)
async def test_a_partition_read_by_its_name_is_refused(
    admin: asyncpg.Connection, transaction: Transaction, tenant: Any
) -> None:
    partition = await admin.fetchval("SELECT tableoid::regclass::text FROM audit_log LIMIT 1")
    assert partition.startswith("audit_log_")
    for plane in Plane:
        with pytest.raises(DBAPIError, match=f"permission denied for table {partition}"):
            async with transaction(Scope(plane, tenant.id)) as session:
                await session.execute(text(f"SELECT count(*) FROM {partition}"))


async def test_two_tenants_take_turns_on_one_connection_and_never_see_each_other(
    settings: Settings, database: Database, make_tenant: Callable[[str], Any]
) -> None:
    """A thousand transactions, some of which fail half way: nothing of one is left for the next."""
    tenants = [await make_tenant("Left Bank"), await make_tenant("Right Bank")]
    narrow = Database(msgspec.structs.replace(settings, database_pool_size=1))
    workspaces = Base.metadata.tables["workspace"]
    wrong = []

    async def turn(number: int) -> None:
        tenant = tenants[number % 2]
        with contextlib.suppress(ZeroDivisionError):
            async with narrow.transaction(Scope(Plane.TENANT, tenant.id)) as session:
                seen = set(await session.scalars(select(workspaces.c.tenant_id)))
                if seen != {tenant.id}:
                    wrong.append((tenant.id, seen))
                await session.execute(workspaces.update().values(name=f"Turn {number}"))
                if number % 7 == 0:
                    raise ZeroDivisionError

    try:
        for first in range(0, 1000, 20):
            await asyncio.gather(*(turn(number) for number in range(first, first + 20)))
    finally:
        await narrow.close()
    assert wrong == []
    async with database.transaction(Scope(Plane.PLATFORM)) as session:
        names = {row.tenant_id: row.name for row in await session.execute(select(workspaces))}
    turns = [int(names[tenant.id].removeprefix("Turn ")) % 2 for tenant in tenants]
    assert turns == [0, 1], "nobody wrote into the other's row"
