"""Seals on the audit log: what closes, what is noticed, and what may go without breaking anything."""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from httpx2 import AsyncClient
from litestar import Litestar
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import SYSTEM, Database, Plane, Scope
from app.core.policy import Actor
from app.modules.access.service import drop_old_months, erase_person
from app.modules.audit.service import record
from app.modules.seals import service
from app.modules.seals.jobs import VerifyAudit
from app.modules.seals.schemas import Verdict
from app.modules.seals.service import Sealer, verify_file
from app.queues.enqueue import enqueue

Transaction = Callable[[Scope], AbstractAsyncContextManager[AsyncSession]]
Teknav = Callable[..., Awaitable[str]]
PLATFORM = Scope(Plane.PLATFORM)


@pytest.fixture
def sealer(app: Litestar) -> Sealer:
    sealer: Sealer = app.state.process.resources()[Sealer]
    return sealer


async def write(session: AsyncSession, actor: Actor, count: int = 1, **more: Any) -> None:
    for n in range(count):
        more.setdefault("after", {"name": "Wanda Doe", "n": n, "ratio": 1.0, "deep": {"of": [1, "two"]}})
        await record(session, actor, "thing.change", resource=("thing", n, "One"), **more)
    await session.flush()


@pytest.fixture
async def three_blocks(
    transaction: Transaction, operator: Actor, sealer: Sealer, monkeypatch: pytest.MonkeyPatch
) -> list[UUID]:
    """The ids of eight rows in blocks of three."""
    monkeypatch.setattr(service, "ROWS", 3)
    async with transaction(operator.scope) as session:
        await write(session, operator, 8)
    assert await sealer.seal() >= 8
    async with transaction(operator.scope) as session:
        return list((await session.scalars(text("SELECT id FROM audit_log ORDER BY id"))).all())


async def test_digests_are_made_beside_the_event_loop(
    sealer: Sealer, three_blocks: list[UUID], transaction: Transaction, operator: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    where: set[str] = set()
    digest = service.record_digest

    def seen(*parts: Any) -> bytes:
        where.add(threading.current_thread().name.partition("_")[0])
        return digest(*parts)

    monkeypatch.setattr(service, "record_digest", seen)
    assert (await sealer.verify(PLATFORM)).broken is None
    assert where == {"cpu"}
    async with transaction(operator.scope) as session:
        await write(session, operator, 3)
    assert await sealer.seal() == 3
    assert where == {"cpu"}


async def test_what_is_sealed_fits_until_it_is_touched(sealer: Sealer, three_blocks: list[UUID]) -> None:
    found = await sealer.verify(PLATFORM)
    assert (found.blocks, found.rows, found.broken, found.gone) == (3, 8, None, 0) and found.head
    assert await sealer.seal() == 0
    assert (await sealer.verify(PLATFORM, head=found.head)).broken is None
    assert "no block has the hash" in str((await sealer.verify(PLATFORM, head="00" * 32)).broken)


@pytest.mark.parametrize(
    ("tamper", "told"),
    [
        ("UPDATE audit_log SET action = 'thing.other' WHERE id = '{4}'", "the row {4} of block 2 was changed"),
        ("UPDATE audit_log SET after = after || '{{\"n\": 9}}' WHERE id = '{5}'", "the row {5} of block 2 was changed"),
        ("UPDATE audit_log SET after = after || '{{\"x\": 9}}' WHERE id = '{5}'", "the row {5} of block 2 was changed"),
        ("UPDATE audit_log SET ip = '1.2.3.4', salt = NULL WHERE id = '{1}'", "the row {1} of block 1 was changed"),
        ("DELETE FROM audit_log WHERE id = '{7}'", "the row {7} of block 3 is gone"),
        ("DELETE FROM audit_block WHERE number = 2", "block 2 is missing"),
        ("DELETE FROM audit_block WHERE number = 1", "block 1 is missing"),
        ("UPDATE audit_block SET digests = digests || digests WHERE number = 2", "block 2"),
        ("UPDATE audit_block SET closed_at = now() WHERE number = 2", "block 2 does not have the hash"),
        ("UPDATE audit_block SET public_key = sha256('x') WHERE number = 3", "block 3 is signed by another key"),
        ("UPDATE audit_block SET signature = sha512('x') WHERE number = 3", "block 3 has a wrong signature"),
    ],
)
async def test_whatever_a_superuser_touches_is_named(
    sealer: Sealer, three_blocks: list[UUID], admin: asyncpg.Connection, tamper: str, told: str
) -> None:
    await admin.execute(tamper.format(*three_blocks))
    broken = (await sealer.verify(PLATFORM)).broken
    assert broken is not None and told.format(*three_blocks) in broken, broken


async def test_a_row_that_was_put_in_beside_the_log_is_named(
    sealer: Sealer, three_blocks: list[UUID], transaction: Transaction, operator: Actor, admin: asyncpg.Connection
) -> None:
    async with transaction(operator.scope) as session:
        await write(session, operator)
    await admin.execute("DELETE FROM audit_unsealed")
    assert "is in no block and waits for none" in str((await sealer.verify(PLATFORM)).broken)


async def test_a_row_taken_out_before_it_was_sealed_is_missed(
    sealer: Sealer, transaction: Transaction, operator: Actor, admin: asyncpg.Connection
) -> None:
    async with transaction(operator.scope) as session:
        await write(session, operator, 2)
    gone = await admin.fetchval("DELETE FROM audit_log WHERE resource_id = '1' RETURNING id")
    assert await sealer.seal() == 2
    assert f"the row {gone} of block 1 is gone" in str((await sealer.verify(PLATFORM)).broken)


async def test_a_block_waits_for_a_slow_transaction_that_commits_an_older_id_later(
    sealer: Sealer, transaction: Transaction, operator: Actor, admin: asyncpg.Connection
) -> None:
    wrote, may_end = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        async with transaction(operator.scope) as session:
            await write(session, operator)
            wrote.set()
            await may_end.wait()

    task = asyncio.create_task(slow())
    await wrote.wait()
    async with transaction(operator.scope) as session:
        await write(session, operator)
    assert await sealer.seal() == 0, "the younger row would close the log before the older one is in it"
    may_end.set()
    await task
    assert await sealer.seal() == 2
    ids = await admin.fetch("SELECT id FROM audit_log ORDER BY id")
    assert await admin.fetchval("SELECT row_ids FROM audit_block") == [row["id"] for row in ids]
    assert (await sealer.verify(PLATFORM)).broken is None


async def test_a_transaction_that_rolls_back_leaves_nothing_to_seal(
    sealer: Sealer, transaction: Transaction, operator: Actor
) -> None:
    with pytest.raises(RuntimeError):
        async with transaction(operator.scope) as session:
            await write(session, operator)
            raise RuntimeError
    assert await sealer.seal() == 0 and (await sealer.verify(PLATFORM)).broken is None


async def test_rows_of_another_servers_backup_are_sealed_here(
    sealer: Sealer, transaction: Transaction, operator: Actor, admin: asyncpg.Connection
) -> None:
    """There transactions had numbers that are still to come here."""
    async with transaction(operator.scope) as session:
        await write(session, operator)
    await admin.execute("UPDATE audit_unsealed SET xid = 9000000000000")
    assert await sealer.seal() == 1
    async with transaction(operator.scope) as session:
        await write(session, operator)
    assert await sealer.seal() == 1 and (await sealer.verify(PLATFORM)).broken is None


async def test_two_leaders_make_one_chain(
    sealer: Sealer, transaction: Transaction, operator: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "ROWS", 2)
    async with transaction(operator.scope) as session:
        await write(session, operator, 12)
    assert sum(await asyncio.gather(*(sealer.seal() for _ in range(4)))) == 12
    found = await sealer.verify(PLATFORM)
    assert (found.rows, found.broken) == (12, None)


@pytest.mark.parametrize("plane", list(Plane))
@pytest.mark.parametrize("statement", ["UPDATE audit_block SET version = 2", "DELETE FROM audit_block"])
async def test_no_role_can_change_a_block(
    transaction: Transaction, plane: Plane, statement: str, three_blocks: list[UUID]
) -> None:
    with pytest.raises(DBAPIError, match="permission denied"):
        async with transaction(Scope(plane)) as session:
            await session.execute(text(statement))


@pytest.fixture
async def person(transaction: Transaction, operator: Actor) -> Actor:
    """Somebody who did something, and to whom something was done."""
    wanda = Actor("user", uuid4(), "wanda@example.org", operator.permissions, Plane.PLATFORM)
    async with transaction(operator.scope) as session:
        await write(session, wanda, reason="Wanda Doe asked for it")
        after = {"email": "wanda@example.org", "role": "owner"}
        resource = ("user", wanda.id, "wanda@example.org")
        await record(session, operator, "owner.user.create", resource=resource, before={}, after=after)
        after = {"members": ["someone@example.org", "WANDA@example.org"], "n": 5}
        await record(session, operator, "thing.change", resource=("team", 1, "Team"), before={"n": 4}, after=after)
    return wanda


NAMES = ("wanda@example.org", "Wanda Doe")


@pytest.mark.parametrize("sealed_first", [True, False])
async def test_a_person_is_erased_and_the_chain_holds(
    sealer: Sealer,
    transaction: Transaction,
    operator: Actor,
    person: Actor,
    admin: asyncpg.Connection,
    sealed_first: bool,
) -> None:
    assert person.id is not None
    if sealed_first:
        await sealer.seal()
    async with transaction(operator.scope) as session:
        dropped: set[str] = set()
        session.info.update(cache=object(), drops=dropped)
        assert await erase_person(session, operator, person.id, NAMES) == {"auditRows": 3, "accessRows": 0}
        assert dropped == {"audit", "access"}, "no kept answer names them any longer"
    rows = [dict(row) for row in await admin.fetch("SELECT * FROM audit_log ORDER BY id")]
    assert "wanda" not in " ".join(str(value) for row in rows for value in row.values()).lower()
    assert [row["actor_label"] for row in rows] == ["[erased]", "cli:test", "cli:test", "cli:test"]
    assert rows[0]["actor_id"] == person.id, "the number stays: it names nobody any more"
    assert json.loads(rows[1]["after"]) == {"email": "[erased]", "role": "[erased]"}
    assert json.loads(rows[2]["after"]) == {"members": "[erased]", "n": 5}
    assert [row["salt"] is None for row in rows] == [True, True, True, False]
    await sealer.seal()
    found = await sealer.verify(PLATFORM)
    assert (found.broken, found.rows, found.erased) == (None, 4, 3)
    async with transaction(operator.scope) as session:
        assert (await erase_person(session, operator, person.id, NAMES))["auditRows"] == 0, "once is enough"


async def test_an_erased_value_cannot_be_replaced_by_another(
    sealer: Sealer, transaction: Transaction, operator: Actor, person: Actor, admin: asyncpg.Connection
) -> None:
    assert person.id is not None
    await sealer.seal()
    async with transaction(operator.scope) as session:
        await erase_person(session, operator, person.id, NAMES)
    await sealer.seal()
    await admin.execute("UPDATE audit_log SET actor_label = 'somebody else' WHERE actor_label = '[erased]'")
    assert "actorLabel has a value though it was erased" in str((await sealer.verify(PLATFORM)).broken)


async def test_only_the_platform_may_erase(transaction: Transaction, person: Actor) -> None:
    for plane in (Plane.TENANT, Plane.SYSTEM):
        with pytest.raises(DBAPIError, match="permission denied for function"):
            async with transaction(Scope(plane)) as session:
                await session.execute(text("SELECT teknav_erase_access(gen_random_uuid())"))


async def test_erasing_reaches_the_access_log_too(
    owner: AsyncClient, transaction: Transaction, operator: Actor, admin: asyncpg.Connection
) -> None:
    assert (await owner.get("/api/owner/logs/audit", headers={"X-Purpose": "my own"})).status_code == 200
    me = await admin.fetchval("SELECT actor_id FROM data_access_log")
    async with transaction(operator.scope) as session:
        assert (await erase_person(session, operator, me, ["owner@example.org"]))["accessRows"] == 1
    row = await admin.fetchrow("SELECT * FROM data_access_log")
    assert (row["actor_label"], row["ip"], row["user_agent"], row["purpose"]) == ("[erased]", None, None, None)


async def exported(teknav: Teknav, folder: Path, *arguments: str) -> list[bytes]:
    file = folder / "audit.ndjson"
    await teknav("audit", "export", str(file), *arguments)
    return file.read_bytes().splitlines(keepends=True)


async def test_an_export_is_verified_without_the_server(
    teknav: Teknav,
    sealer: Sealer,
    transaction: Transaction,
    operator: Actor,
    person: Actor,
    three_blocks: list[UUID],
    tmp_path: Path,
) -> None:
    assert person.id is not None
    async with transaction(operator.scope) as session:
        await erase_person(session, operator, person.id, NAMES)
    await sealer.seal()
    key = bytes.fromhex((await teknav("audit", "key")).strip())
    lines = await exported(teknav, tmp_path)
    found = verify_file(lines, key)
    assert (found.broken, found.unsealed, found.erased) == (None, [], 11) and found.rows == 12
    said = await teknav("audit", "verify", str(tmp_path / "audit.ndjson"), "--key", key.hex())
    assert "12 rows in" in said and f"Signed by: {key.hex()}" in said
    some = await exported(teknav, tmp_path, "--where", f"q={person.id}")
    assert verify_file(some, key).rows == 3 and verify_file(some, key).broken is None

    def broken(change: Callable[[dict[str, Any]], None], at: int = 0) -> Verdict:
        line = json.loads(lines[at])
        change(line)
        return verify_file([*lines[:at], json.dumps(line).encode(), *lines[at:][1:]], key)

    first = json.loads(lines[0])["id"]
    assert f"the row {first}" in str(broken(lambda line: line.update(outcome="denied")).broken)
    assert f"the row {first}" in str(broken(lambda line: line["after"].update(more=1)).broken)
    assert "line 1 cannot be read" in str(broken(lambda line: line.pop("seal")).broken)
    assert broken(lambda line: line.update(id=str(uuid4()))).unsealed
    changed = json.dumps(json.loads(lines[0]) | {"outcome": "denied"}).encode()
    assert f"a second one for the row {first}" in str(verify_file([changed, *lines], key).broken)
    assert "hash that was signed" in str(broken(lambda line: line.update(closedAt="2020"), -1).broken)
    for change in (
        {"publicKey": "no key"},
        {"signature": "no hex"},
        {"rows": [["no id", "00"]]},
        {"rows": [[first, "?"]]},
    ):
        assert verify_file([*lines[:-1], json.dumps(json.loads(lines[-1]) | change).encode()], None).broken, change
    assert "another key" in str(verify_file(lines, bytes(32)).broken)
    assert "does not follow" in str(verify_file([*lines[:-2], lines[-1], lines[-2]], key).broken)
    assert "cannot be read" in str(verify_file([b"nothing"], key).broken)
    (tmp_path / "bad.ndjson").write_bytes(b"".join([lines[0].replace(b'"success"', b'"denied"', 1), *lines[1:]]))
    told = await teknav("audit", "verify", str(tmp_path / "bad.ndjson"), code=1)
    assert "Not as it was sealed" in told
    assert "--head goes with" in await teknav("audit", "verify", str(tmp_path / "bad.ndjson"), "--head", "00", code=2)
    assert "--key goes with" in await teknav("audit", "verify", "--key", key.hex(), code=2)
    assert "No such file" in await teknav("audit", "export", str(tmp_path / "none" / "audit.ndjson"), code=1)


async def test_rows_too_young_for_a_block_are_told_of(
    teknav: Teknav, transaction: Transaction, operator: Actor, tmp_path: Path
) -> None:
    async with transaction(operator.scope) as session:
        await write(session, operator)
    await exported(teknav, tmp_path)
    file = str(tmp_path / "audit.ndjson")
    assert "1 rows are not sealed" in await teknav("audit", "verify", file, code=1)
    await teknav("audit", "verify", file, "--allow-unsealed")


async def test_the_job_verifies_and_the_page_shows_it(
    owner: AsyncClient,
    three_blocks: list[UUID],
    drain: Callable[..., Awaitable[int]],
    admin: asyncpg.Connection,
    teknav: Teknav,
) -> None:
    state = (await owner.get("/api/owner/logs/seals")).json()
    assert (state["sealedRows"], state["waiting"], state["verifiedAt"]) == (len(three_blocks), 0, None)
    assert state["head"] and state["blocks"] >= 3
    assert 'hx-get="/dashboard/owner/logs/seals"' in (await owner.get("/dashboard/owner/logs/audit")).text
    asked = [await owner.post("/api/owner/logs/seals/verifications") for _ in range(2)]
    assert [answer.status_code for answer in asked] == [202, 202] and asked[0].json() == asked[1].json()
    await drain()
    state = (await owner.get("/api/owner/logs/seals")).json()
    assert (state["verifiedBlocks"], state["verifiedRows"]) == (state["blocks"], state["sealedRows"])
    assert state["broken"] is None and state["waiting"] == 2
    assert "are as they were sealed" in (await owner.get("/dashboard/owner/logs/seals")).text
    await admin.execute("UPDATE audit_log SET action = 'thing.other' WHERE id = $1", three_blocks[0])
    told = await teknav("audit", "verify", code=1)
    assert f"the row {three_blocks[0]} of block 1 was changed" in told
    page = await owner.get("/dashboard/owner/logs/seals", headers={"HX-Request": "true"})
    assert "is not as it was sealed" in page.text and str(three_blocks[0]) in page.text
    again = await owner.post("/dashboard/owner/logs/seals/verifications", headers={"HX-Request": "true"})
    assert again.status_code == 200 and "being compared" in again.headers["hx-trigger"]


@pytest.mark.parametrize("sealed", [True, False])
async def test_old_months_of_logs_go_and_the_chain_says_so(
    sealer: Sealer,
    database: Database,
    transaction: Transaction,
    operator: Actor,
    admin: asyncpg.Connection,
    sealed: bool,
) -> None:
    for table in ("audit_log", "data_access_log"):
        owner = await admin.fetchval("SELECT relowner::regrole::text FROM pg_class WHERE relname = $1", table)
        await admin.execute(
            f"CREATE TABLE {table}_2020_01 PARTITION OF {table} FOR VALUES "
            "FROM ('016f5e66-e800-0000-0000-000000000000') TO ('016ffe0b-5400-0000-0000-000000000000')"
        )
        await admin.execute(f"ALTER TABLE {table}_2020_01 OWNER TO {owner}")
    try:
        async with transaction(operator.scope) as session:
            await write(session, operator)
        # Partitions have no grants: what is old is written by the tables' own rules only.
        await admin.execute(
            "INSERT INTO audit_log (id, tenant_id, actor_kind, actor_label, action, created_at) VALUES "
            "('016f6e66-e800-7000-8000-000000000000', $1, 'cli', 'x', 'thing.old', $2)",
            operator.tenant_id,
            datetime(2020, 1, 4, tzinfo=UTC),
        )
        if sealed:
            assert await sealer.seal() == 2
        await drop_old_months(database, {"audit_log": 0, "data_access_log": 0})
        await drop_old_months(database, {"audit_log": 13, "data_access_log": 13})
        left = await admin.fetch("SELECT relname FROM pg_class WHERE relname LIKE '%log_2020_01'")
        assert [row["relname"] for row in left] == ([] if sealed else ["audit_log_2020_01"])
        told = await admin.fetch("SELECT resource_label FROM audit_log WHERE action = 'log.month.drop' ORDER BY id")
        assert len(told) == (2 if sealed else 1)
        await sealer.seal()
        found = await sealer.verify(PLATFORM)
        assert (found.broken, found.gone) == (None, 1 if sealed else 0)
        with pytest.raises(DBAPIError, match="too young"):
            async with transaction(SYSTEM) as session:
                await session.execute(text("SELECT teknav_drop_log_month('audit_log', now()::date)"))
    finally:
        for table in ("audit_log", "data_access_log"):
            await admin.execute(f"DROP TABLE IF EXISTS {table}_2020_01")


async def test_the_whole_is_verified_also_by_a_schedule(
    transaction: Transaction, operator: Actor, drain: Callable[..., Awaitable[int]], admin: asyncpg.Connection
) -> None:
    async with transaction(operator.scope) as session:
        await enqueue(session, VerifyAudit())
    await drain()
    assert await admin.fetchval("SELECT broken IS NULL AND blocks = 0 FROM audit_check")
