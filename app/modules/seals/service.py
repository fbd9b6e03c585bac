"""Sealing the audit log, and verifying it: here, and from a file."""

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import SYSTEM, Database, Scope
from app.core.digests import record_digest
from app.core.ids import PLATFORM_TENANT, floor_id
from app.core.live import signal
from app.core.policy import Actor
from app.core.threads import in_thread
from app.modules.audit.service import digest_of, record, rows_of, sealed_parts
from app.modules.seals import repository
from app.modules.seals.jobs import VerifyAudit
from app.modules.seals.models import AuditBlock, AuditCheck
from app.modules.seals.schemas import DIGEST, FIRST, VERSION, Block, SealState
from app.modules.seals.schemas import Verdict as Verdict
from app.modules.seals.schemas import public_bytes as public_bytes
from app.modules.seals.schemas import signing_key as signing_key
from app.queues.enqueue import enqueue

log = structlog.get_logger()
ROWS, BLOCKS_A_ROUND, READ_AT_ONCE = 1_000, 20, 10
TOPIC = "seals"
Progress = Callable[[int, int], Awaitable[None]]


class Sealer:
    """Closes blocks, and compares them with the log. All processes of an installation have the same key."""

    def __init__(self, database: Database, key: Ed25519PrivateKey) -> None:
        self._database = database
        self._key = key

    async def seal(self) -> int:
        """Close blocks over what can be sealed, each in a transaction of its own; returns how many rows."""
        sealed = 0
        for _ in range(BLOCKS_A_ROUND):
            async with self._database.transaction(SYSTEM) as session:
                count = await _close(session, self._key)
            sealed += count
            if count < ROWS:
                break
        return sealed

    async def verify(self, scope: Scope, progress: Progress | None = None, head: str | None = None) -> Verdict:
        """Compare the whole log with its seals, a few blocks a transaction.

        Args:
            head: a hash that was noted elsewhere; one of the blocks must have it, or the log's end was cut off.
            progress: told after each step, of how many blocks of how many are done.
        """
        signer, prev, met = public_bytes(self._key).hex(), FIRST, head is None
        found = Verdict(public_key=signer)
        async with self._database.transaction(scope) as session:
            last = await repository.last(session)
            begins = floor_id(await repository.oldest_month(session))
        most = last.number if last else 0
        while found.blocks < most:
            async with self._database.transaction(scope) as session:
                blocks = await repository.after(session, found.blocks, READ_AT_ONCE)
                if not blocks:
                    return replace(found, broken=f"block {found.blocks + 1} is missing")
                for block in blocks:
                    wrong = _chain(block, found.blocks, prev)
                    wrong = wrong or await in_thread(repository.on_file(block).trouble, signer)
                    if wrong:
                        return replace(found, broken=wrong)
                    found, prev = await _compare(session, block, found, begins), block.hash
                    met = met or block.hash.hex() == head
                    if found.broken:
                        return found
            if progress is not None:
                await progress(found.blocks, most)
        async with self._database.transaction(scope) as session:
            stray = await repository.stray(session)
        broken = f"the row {stray} is in no block and waits for none" if stray else None
        broken = broken if met else f"no block has the hash {head}"
        return replace(found, head=prev.hex() if most else None, broken=broken)


async def _close(session: AsyncSession, key: Ed25519PrivateKey) -> int:
    ids = await repository.take(session, ROWS)
    if not ids:
        return 0
    rows, last = await rows_of(session, ids), await repository.last(session)
    # A row that somebody took out before it was sealed is missed for ever after.
    digests = await in_thread(
        lambda: [record_digest(*sealed_parts(rows[id_])) if id_ in rows else bytes(DIGEST) for id_ in ids]
    )
    block = AuditBlock(
        number=last.number + 1 if last else 1,
        version=VERSION,
        row_ids=ids,
        digests=b"".join(digests),
        prev_hash=last.hash if last else FIRST,
        hash=b"",
        public_key=public_bytes(key),
        signature=b"",
        closed_at=datetime.now(UTC),
    )
    block.hash = repository.on_file(block).computed_hash()
    block.signature = key.sign(block.hash)
    session.add(block)
    signal(session, TOPIC, block.number, PLATFORM_TENANT)
    return len(ids)


def _chain(block: AuditBlock, before: int, prev: bytes) -> str | None:
    if block.number != before + 1:
        return f"block {before + 1} is missing"
    if len(block.digests) != DIGEST * len(block.row_ids):
        return f"block {block.number} has not as many digests as rows"
    return None if block.prev_hash == prev else f"block {block.number} does not follow block {before}"


async def _compare(session: AsyncSession, block: AuditBlock, found: Verdict, begins: UUID) -> Verdict:
    """A thousand digests take a twentieth of a second, so other jobs go on meanwhile."""
    rows = await rows_of(session, block.row_ids)
    return await in_thread(_compared, block, rows, found, begins)


def _compared(block: AuditBlock, rows: Mapping[UUID, Any], found: Verdict, begins: UUID) -> Verdict:
    gone = erased = 0
    broken = None
    for id_, digest in zip(block.row_ids, repository.digests_of(block), strict=True):
        row = rows.get(id_)
        if row is None and id_ < begins:
            gone += 1
            continue
        broken = broken or _row_trouble(id_, block.number, digest, None if row is None else sealed_parts(row))
        erased += row is not None and row.erased is not None
    return replace(
        found,
        blocks=block.number,
        rows=found.rows + len(block.row_ids) - gone,
        gone=found.gone + gone,
        erased=found.erased + erased,
        broken=broken,
    )


def _row_trouble(id_: UUID, number: int, digest: bytes, parts: Any) -> str | None:
    if parts is None:
        return f"the row {id_} of block {number} is gone"
    try:
        same = record_digest(*parts) == digest
    except ValueError as error:
        return f"the row {id_} of block {number} was changed: {error}"
    return None if same else f"the row {id_} of block {number} was changed"


def verify_file(lines: Iterable[bytes], key: bytes | None) -> Verdict:
    """Compare an export with the seals at its end. It cannot show that the export left nothing out.

    Args:
        lines: NDJSON; rows first, then the blocks that hold them.
        key: the public key that should have signed; None takes the one in the file.
    """
    digests: dict[str, str] = {}
    blocks: list[Block] = []
    erased = 0
    for n, line in enumerate(lines, 1):
        try:
            told = msgspec.json.decode(line)
            if isinstance(told, dict) and "publicKey" in told:
                blocks.append(msgspec.convert(told, Block))
                continue
            made, marks = digest_of(told)
            id_ = str(told["id"])
            if id_ in digests:
                return Verdict(rows=len(digests), broken=f"line {n} is a second one for the row {id_}")
            digests[id_] = made.hex()
            erased += marks.salt is None
        except (msgspec.DecodeError, msgspec.ValidationError, ValueError, KeyError, TypeError) as error:
            return Verdict(rows=len(digests), broken=f"line {n} cannot be read: {error}")
    found = Verdict(blocks=len(blocks), rows=len(digests), erased=erased)
    held: set[str] = set()
    for before, block in zip([None, *blocks], blocks, strict=False):
        wrong = block.trouble(key.hex() if key else blocks[0].public_key) or _follows(before, block)
        for id_, digest in block.rows:
            if not wrong and digests.get(id_, digest) != digest:
                wrong = f"the row {id_} of block {block.number} was changed"
            held.add(id_)
        if wrong:
            return replace(found, broken=wrong)
    unsealed = [id_ for id_ in digests if id_ not in held]
    head, signer = (blocks[-1].hash, blocks[-1].public_key) if blocks else (None, None)
    return replace(found, unsealed=unsealed, head=head, public_key=signer)


def _follows(before: Block | None, block: Block) -> str | None:
    if before is None or (before.number < block.number and before.number + 1 != block.number):
        return None  # blocks in between hold nothing of this export
    fits = before.number + 1 == block.number and before.hash == block.prev
    return None if fits else f"block {block.number} does not follow block {before.number}"


class Seals:
    """How the log is sealed, in the caller's transaction."""

    def __init__(self, session: AsyncSession, actor: Actor) -> None:
        self._session = session
        self._actor = actor

    async def state(self) -> SealState:
        last, check = await repository.last(self._session), await repository.check(self._session)
        return SealState(
            blocks=last.number if last else 0,
            sealed_rows=await repository.sealed_rows(self._session),
            sealed_at=last.closed_at if last else None,
            head=last.hash.hex() if last else None,
            waiting=await repository.waiting(self._session),
            public_key=public_bytes(self._session.info["seal_key"]).hex(),
            verified_at=check.checked_at if check else None,
            verified_blocks=check.blocks if check else None,
            verified_rows=check.rows if check else None,
            broken=check.broken if check else None,
        )

    async def ask(self) -> UUID:
        """Have the whole log verified; while one such job waits or runs, it is that. Returns the job's id."""
        job_id = await enqueue(self._session, VerifyAudit(), key="verify-audit")
        await record(self._session, self._actor, "owner.audit.verify", resource=("job", job_id, "verify_audit"))
        return job_id


async def keep_verdict(session: AsyncSession, verdict: Verdict, started: float) -> None:
    """Note what a verification found, for the page; what is broken is an error in the log of the process too."""
    values = {
        "checked_at": datetime.now(UTC),
        "blocks": verdict.blocks,
        "rows": verdict.rows,
        "took_s": round(time.monotonic() - started, 3),
        "broken": verdict.broken,
    }
    await session.execute(
        insert(AuditCheck).values(id=1, **values).on_conflict_do_update(index_elements=["id"], set_=values)
    )
    signal(session, TOPIC, "check", PLATFORM_TENANT)
    if verdict.broken:
        log.error("audit.broken", broken=verdict.broken)
