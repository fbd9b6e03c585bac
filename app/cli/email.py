"""`teknav email`: which mails were sent to whom."""

from typing import Any
from uuid import UUID

import rich_click as click
from msgspec import to_builtins

from app.cli.command import as_json, cursor, in_process, limit, pager_of, show, show_page


@click.group()
def email() -> None:
    """Mails that people got."""


@email.command("list")
@click.option("--to", help="How the recipient's address begins.")
@click.option("--status", type=click.Choice(["queued", "sent", "failed", "expired"]))
@limit
@cursor
@as_json
def email_list(to: str | None, status: Any, limit: int, cursor: str | None, as_json: bool) -> None:
    """List mails, newest first."""

    async def find(process: Any, actor: Any) -> Any:
        from app.modules.email.schemas import EmailPage, read
        from app.modules.email.service import EmailService

        async with process.database.transaction(actor.scope) as session:
            emails = EmailService(session, None)
            page = await emails.search(pager_of(process), text=to, status=status, limit=limit, cursor=cursor)
            found = page.map(read)
            return EmailPage(items=found.items, next_cursor=found.next_cursor, prev_cursor=found.prev_cursor)

    found = in_process(find)
    rows = [
        (one.recipient, one.template, one.status, f"{one.created_at:%Y-%m-%d %H:%M}", one.id) for one in found.items
    ]
    show_page(as_json, found, ("recipient", "mail", "status", "written", "id"), rows)


@email.command("show")
@click.argument("email", type=click.UUID)
@as_json
def email_show(email: UUID, as_json: bool) -> None:
    """Show one mail; what it says only where mails are kept in a folder instead of being sent."""

    async def find(process: Any, actor: Any) -> Any:
        from app.modules.email.schemas import read
        from app.modules.email.service import EmailService, folder

        async with process.database.transaction(actor.scope) as session:
            emails = EmailService(session, folder(process.settings))
            row = await emails.get(email)
            return read(row, emails.body(row.id))

    found = in_process(find)
    head = f"To: {found.recipient}\nMail: {found.template}, {found.status}"
    show(as_json, to_builtins(found), text=f"{head}\n\n{found.text or 'What it says is not kept here.'}")
