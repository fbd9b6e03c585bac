"""`teknav audit` and `teknav access`: who did what, who read what, and the proof of it, without a browser."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import rich_click as click
from msgspec import to_builtins

from app.cli.command import (
    Failed,
    Shown,
    as_json,
    cursor,
    in_process,
    limit,
    pager_of,
    settings_of,
    show,
    show_page,
    sort,
)
from app.cli.transactions import in_platform

where = click.option(
    "--where", "given", multiple=True, metavar="NAME=VALUE", help="A filter as in the list's address; several times."
)


def filter_of(given: tuple[str, ...]) -> dict[str, str]:
    pairs = [one.partition("=") for one in given]
    if bad := [name for name, sign, _ in pairs if not sign]:
        raise click.UsageError(f"--where wants NAME=VALUE, not {bad[0]!r}")
    return {name: value for name, _, value in pairs}


@click.group()
def audit() -> None:
    """Who did what, and whether the log is as it was sealed."""


@click.group()
def access() -> None:
    """Who read what."""


def _moment(row: Any) -> str:
    found: str = row.created_at.isoformat(timespec="seconds")
    return found


@audit.command("list")
@where
@sort
@limit
@cursor
@as_json
def audit_list(given: tuple[str, ...], limit: int, cursor: str | None, as_json: bool) -> None:
    """List who did what, newest first or as --sort says. Reading it leaves a row in the access log."""

    async def find(process: Any, session: Any, actor: Any) -> Any:
        from app.core.queries import query_of
        from app.modules.access.service import record_read
        from app.modules.audit.schemas import LIST_SEEN, AuditPage, AuditQuery, read
        from app.modules.audit.service import AuditTrail

        asked = query_of(filter_of(given), AuditQuery)
        trail, pager = AuditTrail(session), pager_of(process)
        page = await trail.search(pager, asked.filter(), limit=limit, cursor=cursor)
        await record_read(session, actor, LIST_SEEN, rows=len(page.items))
        found = page.map(read)
        return AuditPage(items=found.items, next_cursor=found.next_cursor, prev_cursor=found.prev_cursor)

    found = in_platform(find)
    rows = [(_moment(r), r.action, r.outcome, r.actor_label, r.resource_label or r.resource_id) for r in found.items]
    show_page(as_json, found, ("when", "action", "outcome", "who", "what"), rows)


@access.command("list")
@where
@sort
@limit
@cursor
@as_json
def access_list(given: tuple[str, ...], limit: int, cursor: str | None, as_json: bool) -> None:
    """List who read what sensitive thing, newest first or as --sort says."""

    async def find(process: Any, session: Any, actor: Any) -> Any:
        from app.core.queries import query_of
        from app.modules.access.schemas import AccessPage, AccessQuery, read
        from app.modules.access.service import AccessTrail

        asked = query_of(filter_of(given), AccessQuery)
        trail, pager = AccessTrail(session), pager_of(process)
        page = await trail.search(pager, asked.filter(), limit=limit, cursor=cursor)
        found = page.map(read)
        return AccessPage(items=found.items, next_cursor=found.next_cursor, prev_cursor=found.prev_cursor)

    found = in_platform(find)
    rows = [(_moment(r), r.action, r.actor_label, r.resource_type, r.resource_id, r.row_count) for r in found.items]
    show_page(as_json, found, ("when", "action", "who", "what", "id", "rows"), rows)


@audit.command("export")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, writable=True))
@click.option("--format", "form", type=click.Choice(["ndjson", "csv"]), default="ndjson", show_default=True)
@where
@as_json
def audit_export(file: Path, form: str, given: tuple[str, ...], as_json: bool) -> None:
    """Write the audit log to FILE. NDJSON holds the seals, for `teknav audit verify FILE`."""

    async def write(process: Any, actor: Any) -> dict[str, Any]:
        from app.modules.access.service import record_read
        from app.modules.exports.schemas import FILE_SEEN
        from app.modules.exports.service import Writing

        writing = Writing(process.database, actor.scope, "audit", form, filter_of(given))
        async with process.database.transaction(actor.scope) as session:
            rows = await writing.count(session)
            await record_read(session, actor, FILE_SEEN, resource_id="audit", rows=rows)
        return {"file": str(file), "rows": rows, "bytes": await save(file, writing.pieces())}

    done = in_process(write)
    show(as_json, done, text=f"{done['rows']} rows are in {done['file']}.")


async def save(file: Path, pieces: AsyncIterator[bytes]) -> int:
    """Returns how many bytes."""
    try:
        target = file.open("wb")
    except OSError as error:
        raise Failed(f"FILE: {error}") from None
    with target as out:
        async for piece in pieces:
            out.write(piece)
        return out.tell()


@audit.command("key")
@as_json
def audit_key(as_json: bool) -> None:
    """Print the public key that the seals are signed with: keep it where this installation cannot change it."""
    from app.modules.seals.service import public_bytes, signing_key

    key = public_bytes(signing_key(settings_of().encryption_key)).hex()
    show(as_json, {"publicKey": key}, text=key)


@audit.command("verify")
@click.argument("file", required=False, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--key", help="The public key that should have signed the file; without it the file's own is taken.")
@click.option("--head", help="A hash that `verify` printed before: the log must still hold that block.")
@click.option("--allow-unsealed", is_flag=True, help="Accept rows of a file that were not sealed yet.")
@as_json
def audit_verify(file: Path | None, key: str | None, head: str | None, allow_unsealed: bool, as_json: bool) -> None:
    """Compare the audit log with its seals; or FILE, an export in NDJSON, for which no server is needed.

    Exit code 0: all is as it was sealed. 1: something is not, and the first such row or block is named.
    """
    from app.modules.seals.service import Verdict, verify_file

    if file is not None and head:
        raise click.UsageError("--head goes with the log itself: FILE need not hold that block")
    if file is None and key:
        raise click.UsageError("--key goes with FILE: the log itself is compared with this installation's key")
    if file is not None:
        with file.open("rb") as lines:
            verdict = verify_file(lines, _key(key))
    else:
        verdict = in_process(lambda process, actor: _verify(process, actor, head))
    assert isinstance(verdict, Verdict)
    wrong = verdict.broken
    if not wrong and verdict.unsealed and not allow_unsealed:
        wrong = f"{len(verdict.unsealed)} rows are not sealed, the first is {verdict.unsealed[0]}"
    if wrong and not as_json:
        raise Failed(f"Not as it was sealed: {wrong}.")
    told = [f"{verdict.rows} rows in {verdict.blocks} blocks are as they were sealed."]
    told += [f"{verdict.gone} rows went with their months."] if verdict.gone else []
    told += [f"Of {verdict.erased} rows personal values were erased."] if verdict.erased else []
    told += [f"Last hash: {verdict.head}", f"Signed by: {verdict.public_key}"] if verdict.head else []
    told += ["Compare that key with the one you keep: a file can bring its own."] if file and not key else []
    show(as_json, to_builtins(verdict) | {"wrong": wrong}, text="\n".join(told))
    if wrong:
        raise SystemExit(1)


async def _verify(process: Any, actor: Any, head: str | None) -> Any:
    import time

    from app.modules.seals.service import Sealer, keep_verdict

    started = time.monotonic()
    verdict = await process.resources()[Sealer].verify(actor.scope, head=head)
    async with process.database.transaction(actor.scope) as session:
        await keep_verdict(session, verdict, started)
    return verdict


def _key(text: str | None) -> bytes | None:
    try:
        return bytes.fromhex(text) if text else None
    except ValueError:
        raise click.UsageError("--key wants hexadecimal text, as `teknav audit key` prints it") from None


SHOWN = Shown("Who did what", (audit, access), 10)
