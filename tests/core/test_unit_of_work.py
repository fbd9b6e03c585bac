"""One transaction: its role, its tenant, and what happens after it."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from uuid import UUID

import msgspec
import pytest
from httpx2 import AsyncClient
from litestar import Litestar
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.core.database import SYSTEM, Database, Plane, Scope, after_commit
from app.core.ids import new_id
from app.core.settings import Settings
from tests.conftest import Made

WHO = text("SELECT current_user, current_setting('app.tenant_id', true)")


@pytest.mark.parametrize("plane", list(Plane))
async def test_a_transaction_takes_its_role_and_tenant_and_leaves_both_behind(database: Database, plane: Plane) -> None:
    tenant = new_id()
    async with database.transaction(Scope(plane, tenant)) as session:
        assert tuple((await session.execute(WHO)).one()) == (plane.value, str(tenant))
    async with database.engine(plane).connect() as connection:
        user, left = (await connection.execute(WHO)).one()
        assert user.startswith("teknav_")
        assert user != plane.value
        assert not left


async def test_the_tenants_login_may_not_become_the_platform(database: Database) -> None:
    with pytest.raises(DBAPIError, match="permission denied"):
        async with database.transaction(Scope(Plane.TENANT, new_id())) as session:
            await session.execute(text("SELECT set_config('role', 'teknav_platform', true)"))


async def test_two_tenants_take_turns_on_one_connection_a_thousand_times_and_never_meet(
    settings: Settings, make_tenant: Callable[[str], Awaitable[Made]]
) -> None:
    """However a turn ends: written and committed, given up, or refused by PostgreSQL; by a session, or without one."""
    tenants = [await make_tenant(name) for name in ("North", "South")]
    database = Database(msgspec.structs.replace(settings, database_pool_size=1))
    backends, ends, numbers = set(), Counter[str](), iter(range(1_000))
    mine = "SELECT pg_backend_pid(), current_setting('app.tenant_id'), array_agg(DISTINCT tenant_id) FROM workspace"

    def held(number: int, found: Any) -> None:
        tenant = tenants[number // 2 % 2]
        backend, named, seen = found
        assert (named, seen) == (str(tenant.id), [tenant.id]), number
        backends.add(backend)

    async def turn(number: int, end: str) -> None:
        scope = Scope(Plane.TENANT, tenants[number // 2 % 2].id)
        if end == "direct":
            async with database.connection(scope) as direct:
                held(number, await direct.connection.fetchrow(mine))
            return
        if end == "nobody":  # what a transaction without a tenant finds of the one before
            async with database.engine(Plane.TENANT).connect() as connection:
                assert not (await connection.execute(WHO)).one()[1], number
            return
        async with database.transaction(scope) as session:
            held(number, (await session.execute(text(mine))).one())
            if end == "written":
                changed = await session.execute(text("UPDATE workspace SET updated_at = now() RETURNING tenant_id"))
                assert {row.tenant_id for row in changed} == {scope.tenant_id}
            elif end == "refused":
                await session.execute(text("SELECT 1 / 0"))
            elif end == "given up":
                raise RuntimeError("given up")

    async def take_turns() -> None:
        for number in numbers:
            end = ("written", "given up", "direct", "refused", "nobody")[number % 5]
            with suppress(RuntimeError, DBAPIError):
                await turn(number, end)
            ends[end] += 1

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(8):
                group.create_task(take_turns())
    finally:
        await database.close()
    assert len(backends) == 1 and sum(ends.values()) == 1_000 and len(ends) == 5


async def test_without_a_tenant_there_are_no_rows(database: Database, tenant: object) -> None:
    async with database.transaction(Scope(Plane.TENANT, UUID(int=0))) as session:
        assert (await session.execute(text("SELECT count(*) FROM workspace"))).scalar_one() == 0
    async with database.engine(Plane.TENANT).connect() as connection, connection.begin():
        with pytest.raises(DBAPIError, match="permission denied"):
            await connection.execute(text("SELECT count(*) FROM workspace"))


async def test_what_waits_for_the_commit_runs_after_it_and_never_without_it(database: Database) -> None:
    ran: list[str] = []

    def note(word: str) -> Callable[[], Awaitable[None]]:
        async def action() -> None:
            ran.append(word)
            if word == "bad":
                raise RuntimeError("an action that fails")

        return action

    async with database.transaction(SYSTEM) as session:
        for word in ("first", "bad", "last"):
            after_commit(session, note(word))
        assert ran == []
    assert ran == ["first", "bad", "last"]
    with pytest.raises(RuntimeError, match="rolled back"):
        async with database.transaction(SYSTEM) as session:
            after_commit(session, note("never"))
            raise RuntimeError("rolled back")
    assert "never" not in ran


async def test_a_commit_that_fails_is_an_error_answer(
    app: Litestar, owner: AsyncClient, admin: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deferred constraint fails at COMMIT, after the handler has returned its 201."""
    execute = admin.execute  # type: ignore[attr-defined]
    await execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN RAISE unique_violation USING MESSAGE = 'refused at commit'; END$$"
    )
    await execute(
        "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON tenant DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    try:
        answer = await owner.post("/api/owner/tenants", json={"name": "Late"})
    finally:
        await execute("DROP TRIGGER refuse ON tenant; DROP FUNCTION refuse()")
    assert answer.status_code == 409
    assert (await owner.get("/api/owner/tenants")).json()["items"] == []
