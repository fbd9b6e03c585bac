"""`teknav approvals`: what waits for people, and their word on it."""

from typing import Any
from uuid import UUID

import rich_click as click
from msgspec import to_builtins

from app.cli.command import Shown, as_json, asked, columns, cursor, limit, show, show_page, sort
from app.cli.transactions import asked_of, of_tenant


@click.group()
def approvals() -> None:
    """What waits for people, and their word on it."""


@approvals.command("list")
@click.option("--status", type=click.Choice(["pending", "approved", "rejected", "expired", "cancelled"]))
@of_tenant
@sort
@limit
@cursor
@as_json
def approvals_list(status: str | None, tenant: str | None, limit: int, cursor: str | None, as_json: bool) -> None:
    """List what waits or waited, newest first."""
    from app.modules.approvals.schemas import ApprovalPage, item
    from app.modules.approvals.service import ApprovalService, Status

    wanted = Status(status) if status else None
    found = asked_of(
        tenant,
        ApprovalService,
        lambda service, pager, of: service.search(pager, wanted, of, limit=limit, cursor=cursor),
    )
    items = [item(row) for row in found.items]
    page = ApprovalPage(items=items, next_cursor=found.next_cursor, prev_cursor=found.prev_cursor)
    rows = [(one.id, one.status, one.title, f"{one.expires_at:%Y-%m-%d %H:%M}") for one in items]
    show_page(as_json, page, ("approval", "status", "what", "until"), rows)


@approvals.command("show")
@click.argument("approval", type=click.UUID)
@as_json
def approvals_show(approval: UUID, as_json: bool) -> None:
    """Show one approval, with what was said so far."""
    _show(approval, as_json)


@approvals.command("decide")
@click.argument("approval", type=click.UUID)
@click.argument("decision", type=click.Choice(["approve", "reject"]))
@click.option("--comment", default="", help="Why, for whoever reads it later.")
@as_json
def approvals_decide(approval: UUID, decision: str, comment: str, as_json: bool) -> None:
    """Approve or reject what waits."""
    _show(approval, as_json, (decision, comment))


def _show(approval: UUID, as_json: bool, decision: tuple[str, str] | None = None) -> None:
    """Print an approval as it is, or is then."""
    from app.modules.approvals.schemas import read
    from app.modules.approvals.service import ApprovalService

    async def run(service: Any, _: Any) -> Any:
        if decision is not None:
            await service.decide(approval, *decision)
        return read(await service.get(approval), await service.said(approval))

    found = asked(ApprovalService, run)
    rows = [(one.label, one.decision, one.comment) for one in found.decisions]
    head = f"{found.title}\nIt is {found.status}."
    show(as_json, to_builtins(found), text=f"{head}\n\n{columns(('who', 'said', 'why'), rows)}" if rows else head)


SHOWN = Shown("AI, workflows, plugins", (approvals,), 40)
