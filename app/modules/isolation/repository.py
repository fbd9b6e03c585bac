"""Tries what a tenant must not be able to do, table by table as the metadata names them, and takes all of it back.

Two sandbox tenants are made for it and removed. What is tried happens in one transaction of the tenants' login, which
never commits: nobody else ever sees it. Rows of real tenants are what must stay out of sight.
"""

import os
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Column, Executable, Table, delete, insert, literal, select, text, update
from sqlalchemy import table as named
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from app.core.database import Database, Plane, Scope
from app.core.ids import new_id
from app.core.models import Base
from app.modules.isolation.schemas import Case, Result

MINE, THEIRS = UUID("00000000-0000-7000-8000-00000000000a"), UUID("00000000-0000-7000-8000-00000000000b")
CONTEXTS = {"another tenant": str(THEIRS), "no tenant": "", "not an id": "nobody"}
REFUSED, NO_PARENT, TAKEN, NOT_AN_ID = "42501", "23503", "23505", "22P02"
MOST_ROWS = 1_000
Values = dict[str, Any]

_ENTER = text(
    "SELECT set_config('role', 'teknav_tenant', true), set_config('app.tenant_id', :tenant, true), "
    "set_config('lock_timeout', '5s', true), set_config('statement_timeout', '30s', true)"
)
_TAKE_ROLE = text("SELECT set_config('role', :role, true)")
_MAY_SET = text("""
    SELECT attname::text FROM pg_attribute WHERE attrelid = to_regclass(:name) AND attnum > 0 AND NOT attisdropped
       AND attgenerated = '' AND has_column_privilege('teknav_tenant', attrelid, attname, 'UPDATE') ORDER BY attnum
""")
_PARTITIONS = text("SELECT relname FROM pg_class WHERE relispartition AND relkind = 'r' ORDER BY relname")
_ONE_OF = re.compile(r"(\w+) IN \('([^']*)'")


async def examine(database: Database) -> list[Case]:
    """Everything that was tried, in the order of the tables. Call it with no transaction of your own open."""
    async with _sandbox(database), database.engine(Plane.TENANT).connect() as connection:
        trial = Trial(connection)
        async with connection.begin() as transaction:
            for table in Base.metadata.sorted_tables:
                await (trial.of_tenants(table) if "tenant_id" in table.columns else trial.out_of_reach(table))
            for name in (await connection.scalars(_PARTITIONS)).all():
                await trial.partition(name)
            apart = database.engine(Plane.PLATFORM) is not database.engine(Plane.TENANT)
            for plane in (Plane.PLATFORM, Plane.SYSTEM):
                await trial.take_role(plane, apart)
            await transaction.rollback()
        return trial.cases


@asynccontextmanager
async def _sandbox(database: Database) -> AsyncGenerator[None, None]:
    tenants = Base.metadata.tables["tenant"]
    async with database.transaction(Scope(Plane.PLATFORM)) as session:
        await _clear(session)  # what a run left behind that was killed
        for id_, name in ((MINE, "Isolation sandbox"), (THEIRS, "Isolation sandbox, the other")):
            slug = f"isolation-sandbox-{id_.hex[-1]}"
            await session.execute(insert(tenants).values(id=id_, name=name, slug=slug, status="suspended"))
    try:
        yield
    finally:
        async with database.transaction(Scope(Plane.PLATFORM)) as session:
            await _clear(session)


async def _clear(session: AsyncSession) -> None:
    """Remove the sandbox, with what somebody put into it: owners see it while a run goes on."""
    both = (MINE, THEIRS)
    for table in reversed(Base.metadata.sorted_tables):
        if table.foreign_keys and "tenant_id" in table.columns:
            await session.execute(delete(table).where(table.c.tenant_id.in_(both)))
    tenants = Base.metadata.tables["tenant"]
    await session.execute(delete(tenants).where(tenants.c.id.in_(both)))


@dataclass(frozen=True, slots=True)
class Found:
    """What came of a statement: how many rows it saw or changed, or with which SQLSTATE it was refused."""

    rows: int = 0
    state: str = ""

    def __str__(self) -> str:
        if self.state:
            return "refused" if self.state == REFUSED else f"refused, {self.state}"
        return "nothing" if self.rows == 0 else f"{self.rows} row{'s' if self.rows > 1 else ''}"


class Trial:
    """One transaction of the tenants' login, in which every statement is taken back but those that make rows."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._made: dict[str, Values] = {}
        self.cases: list[Case] = []

    async def of_tenants(self, table: Table) -> None:
        """A tenant table: the own row is there, and from everywhere else there is nothing to see, change or make."""
        await self._make_own(table)
        may_set = (await self._connection.scalars(_MAY_SET, {"name": f'"{table.name}"'})).all()
        column = table.c[may_set[0]] if may_set else table.c.tenant_id
        foreign, _ = sample(table, MINE, self._made)
        for context, tenant in CONTEXTS.items():
            seen = await self._try(tenant, select(literal(1)).select_from(table).limit(MOST_ROWS))
            self._note(table.name, context, "SELECT", "nothing", seen, _closed(seen))
            if not _closed(seen):
                continue  # what can be seen might be changed: not on live rows
            for tried, statement in (
                ("UPDATE", update(table).values({column: column})),
                ("DELETE", delete(table)),
            ):
                found = await self._try(tenant, statement)
                self._note(table.name, context, tried, "nothing", found, _closed(found))
            found = await self._try(tenant, insert(table).inline().values(foreign))
            self._note(table.name, context, "INSERT", "refused", found, found.state in (REFUSED, NOT_AN_ID))
        if table.name in self._made:
            moved = await self._try(str(MINE), update(table).values(tenant_id=THEIRS))
            self._note(table.name, "the tenant", "UPDATE tenant_id", "refused", moved, moved.state == REFUSED)
        await self._point_at_foreign(table)

    async def out_of_reach(self, table: Table) -> None:
        """A global table: a tenant may not even ask."""
        column = next(iter(table.primary_key.columns))
        for tried, statement in (
            ("SELECT", select(column).limit(1)),
            ("UPDATE", update(table).values({column: column}).where(literal(False))),
            ("DELETE", delete(table).where(literal(False))),
            ("INSERT", insert(table).from_select([column.name], select(column).where(literal(False)))),
        ):
            found = await self._try(str(MINE), statement)
            self._note(table.name, "the tenant", tried, "refused", found, found.state == REFUSED)

    async def partition(self, name: str) -> None:
        """A month by its own name would show the rows that the parent's policy hides."""
        found = await self._try(str(MINE), select(literal(1)).select_from(named(name)).limit(1))
        self._note(name, "the tenant", "SELECT by its own name", "refused", found, found.state == REFUSED)

    async def take_role(self, plane: Plane, apart: bool) -> None:
        if not apart:
            self._skip(plane.value, "the tenants' login", "SET ROLE", "refused", "one login serves both planes")
            return
        async with self._connection.begin_nested() as savepoint:
            found = await self._run(_TAKE_ROLE.bindparams(role=plane.value))
            await savepoint.rollback()
        self._note(plane.value, "the tenants' login", "SET ROLE", "refused", found, found.state == REFUSED)

    async def _make_own(self, table: Table) -> None:
        """The row that others must not see. Where tenants may not write, or it cannot be made, only theirs is tried."""
        row, complete = sample(table, MINE, self._made)
        if not complete:
            self._skip(table.name, "the tenant", "INSERT", "1 row", "it points at what tenants cannot make")
            return
        async with self._connection.begin_nested() as savepoint:
            await self._connection.execute(_ENTER, {"tenant": str(MINE)})
            found = await self._run(insert(table).inline().values(row))
            if found.state:
                await savepoint.rollback()
        if found.state:
            why = "tenants may not write here" if found.state == REFUSED else f"no row could be made: {found.state}"
            self._skip(table.name, "the tenant", "INSERT", "1 row", why)
            return
        self._made[table.name] = row
        seen = await self._try(str(MINE), select(literal(1)).select_from(table))
        self._note(table.name, "the tenant", "SELECT", "1 row", seen, seen.rows == 1 or seen.state == REFUSED)

    async def _point_at_foreign(self, table: Table) -> None:
        """A row of the other tenant that points at the first one's."""
        keys = [key for key in table.foreign_key_constraints if key.referred_table.name in self._made]
        for name in sorted({key.referred_table.name for key in keys} - {table.name}):
            row, _ = sample(table, THEIRS, {name: self._made[name]}, every_key=True)
            found = await self._try(str(THEIRS), insert(table).inline().values(row))
            held = found.state in (REFUSED, NO_PARENT, TAKEN)
            self._note(table.name, "another tenant", f"INSERT that points at {name}", "refused", found, held)

    async def _try(self, tenant: str, statement: Executable) -> Found:
        async with self._connection.begin_nested() as savepoint:
            await self._connection.execute(_ENTER, {"tenant": tenant})
            found = await self._run(statement)
            await savepoint.rollback()
        return found

    async def _run(self, statement: Executable) -> Found:
        try:
            result = await self._connection.execute(statement)
        except DBAPIError as error:
            return Found(state=str(getattr(error.orig, "sqlstate", None) or type(error.orig).__name__))
        return Found(len(result.all()) if result.returns_rows else max(0, result.rowcount))

    def _note(self, subject: str, context: str, tried: str, expected: str, found: Found, held: bool) -> None:
        self._keep(subject, context, tried, expected, str(found), Result.HELD if held else Result.BREACHED)

    def _skip(self, subject: str, context: str, tried: str, expected: str, why: str) -> None:
        self._keep(subject, context, tried, expected, why, Result.SKIPPED)

    def _keep(self, subject: str, context: str, tried: str, expected: str, found: str, result: Result) -> None:
        name = str(subject)  # SQLAlchemy's own kind of text
        self.cases.append(
            Case(subject=name, context=context, tried=tried, expected=expected, found=found, result=result)
        )


def _closed(found: Found) -> bool:
    return found.state in (REFUSED, NOT_AN_ID) or (not found.state and found.rows == 0)


def sample(
    table: Table, tenant_id: UUID | None, parents: dict[str, Values], *, every_key: bool = False
) -> tuple[Values, bool]:
    """Values for a row of `table`, and whether all it has to point at is among `parents`, which are rows by table.

    With `every_key`, keys that may be empty point at their parent as well.
    """
    choices = _choices(table)
    columns = [c for c in table.columns if c.primary_key or (not c.nullable and c.server_default is None)]
    row = {column.name: _value(column, choices) for column in columns}
    if tenant_id is not None:
        row["tenant_id"] = tenant_id
    complete = True
    for key in table.foreign_key_constraints:
        own = [column for column in key.columns if column.name != "tenant_id"]
        parent = parents.get(key.referred_table.name)
        wanted = [column for column in own if not column.nullable]
        if parent is None:
            complete = complete and not wanted
        elif wanted or every_key:
            pairs = zip(key.columns, key.elements, strict=True)
            row |= {here.name: parent[there.column.name] for here, there in pairs if here.name != "tenant_id"}
    return row, complete


def _choices(table: Table) -> dict[str, str]:
    """The first value of each column that a check confines to some."""
    checks = [str(check.sqltext) for check in table.constraints if isinstance(check, CheckConstraint)]
    found = [_ONE_OF.search(check) for check in checks]
    return {one[1]: one[2] for one in found if one}


def _value(column: Column[Any], choices: dict[str, str]) -> Any:
    kind: type = column.type.python_type
    made: dict[type, Any] = {
        UUID: new_id(),
        str: choices.get(column.name, f"isolation-{new_id().hex}"),
        bytes: os.urandom(32),
        datetime: datetime.now(UTC),
        date: datetime.now(UTC).date(),
        dict: {},
        list: [],
    }
    return made[kind] if kind in made else kind(1)
