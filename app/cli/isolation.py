"""`teknav isolation`: whether tenants are apart, without a browser."""

from typing import Any
from uuid import UUID

import rich_click as click
from msgspec import to_builtins

from app.cli.command import Failed, Shown, as_json, columns, cursor, limit, pager_of, show, show_page
from app.cli.transactions import in_platform


@click.group()
def isolation() -> None:
    """What a tenant must not be able to do: try it, and see what came of it."""


@isolation.command("run")
@as_json
def isolation_run(as_json: bool) -> None:
    """Have a worker try everything, against the live database."""
    from app.modules.isolation.schemas import IsolationRunRead, read

    async def act(_: Any, session: Any, actor: Any) -> IsolationRunRead:
        from app.modules.isolation.service import IsolationService

        return read(await IsolationService(session, actor).ask(), IsolationRunRead)

    found = in_platform(act)
    show(as_json, to_builtins(found), text=f"It is on its way: teknav isolation show {found.id}")


@isolation.command("list")
@limit
@cursor
@as_json
def isolation_list(limit: int, cursor: str | None, as_json: bool) -> None:
    """The runs that are kept, newest first."""
    from app.modules.isolation.schemas import IsolationRunPage, read

    async def ask(process: Any, session: Any, actor: Any) -> IsolationRunPage:
        from app.modules.isolation.service import IsolationService

        service = IsolationService(session, actor)
        return read(await service.list(pager_of(process), limit=limit, cursor=cursor), IsolationRunPage)

    page = in_platform(ask)
    rows = [
        (one.id, one.status, one.tried, one.got_through, one.skipped, one.created_at.isoformat(timespec="seconds"))
        for one in page.items
    ]
    show_page(as_json, page, ("run", "result", "tried", "got through", "skipped", "asked"), rows)


@isolation.command("show")
@click.argument("run", type=click.UUID)
@as_json
def isolation_show(run: UUID, as_json: bool) -> None:
    """One run: what got through and what was skipped; with --json, all that was tried. Fails where it did not hold."""
    from app.modules.isolation.schemas import IsolationRunDetail, Result, read

    async def ask(_: Any, session: Any, actor: Any) -> IsolationRunDetail:
        from app.modules.isolation.service import IsolationService

        return read(await IsolationService(session, actor).get(run), IsolationRunDetail)

    found = in_platform(ask)
    told = [case for case in found.cases if case.result != Result.HELD]
    rows = [(case.result, case.subject, case.context, case.tried, case.found) for case in told]
    head = ("result", "table", "as", "statement", "found")
    text = f"{found.status}: {found.tried} tried, {found.got_through} got through, {found.skipped} skipped"
    show(as_json, to_builtins(found), text=text + (f"\n\n{columns(head, rows)}" if rows else ""))
    if found.status in ("breached", "failed"):
        raise Failed(found.error or "Tenants are not apart")


SHOWN = Shown("Who did what", (isolation,), 40)
