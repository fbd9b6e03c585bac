"""`teknav email`: which mails were sent to whom, and one more."""

import json
from typing import Any
from uuid import UUID

import rich_click as click
from msgspec import to_builtins

from app.cli.command import Shown, as_json, cursor, limit, pager_of, show, show_page, sort
from app.cli.transactions import in_platform, in_tenant, of_tenant, tenant_id


@click.group()
def email() -> None:
    """Mails that people got, what they say, and to whom none are sent. FILE is JSON, - for standard input."""


@email.command("list")
@click.option("--to", help="How the recipient's address begins.")
@click.option("--status", type=click.Choice(["queued", "sent", "failed", "expired", "suppressed"]))
@click.option("--template", help="The name of the mail, or of the tenant's template.")
@of_tenant
@sort
@limit
@cursor
@as_json
def email_list(
    to: str | None,
    status: Any,
    template: str | None,
    tenant: str | None,
    limit: int,
    cursor: str | None,
    as_json: bool,
) -> None:
    """List mails, newest first. Reading them leaves a row in the access log."""

    async def find(process: Any, session: Any, actor: Any) -> Any:
        from app.modules.access.service import record_read
        from app.modules.email.schemas import EMAILS_SEEN, EmailPage, EmailQuery, read
        from app.modules.email.service import EmailService

        of = await tenant_id(session, actor, tenant)
        asked = EmailQuery(q=to, status=status, template=template, tenant_id=str(of) if of else None).filter()
        emails = EmailService(session, actor, None)
        found = (await emails.search(pager_of(process), asked, limit=limit, cursor=cursor)).map(read)
        await record_read(session, actor, EMAILS_SEEN, rows=len(found.items), tenant_id=of)
        return EmailPage(items=found.items, next_cursor=found.next_cursor, prev_cursor=found.prev_cursor)

    found = in_platform(find)
    rows = [
        (one.recipient, one.template, one.status, f"{one.created_at:%Y-%m-%d %H:%M}", one.id) for one in found.items
    ]
    show_page(as_json, found, ("recipient", "mail", "status", "written", "id"), rows)


@email.command("show")
@click.argument("email", type=click.UUID)
@as_json
def email_show(email: UUID, as_json: bool) -> None:
    """Show one mail; what it says if it is of a tenant's template, or mails are kept in a folder."""

    async def find(process: Any, session: Any, actor: Any) -> Any:
        from app.modules.email.schemas import read
        from app.modules.email.service import EmailService, folder

        emails = EmailService(session, actor, folder(process.settings))
        row = await emails.get(email)
        return read(row, await emails.said(row))

    found = in_platform(find)
    head = f"To: {found.recipient}\nMail: {found.template}, {found.status}"
    show(as_json, to_builtins(found), text=f"{head}\n\n{found.text or 'What it says is not kept here.'}")


@email.command("send")
@click.argument("template")
@click.option("--tenant", "slug", required=True, help="Whose template it is: the tenant, by slug or id.")
@click.option("--to", required=True, help="An address.")
@click.option("--values", default="{}", help="The template's values, as JSON.")
@click.option("--key", help="A second mail of the tenant with this key is not sent.")
@as_json
def email_send(template: str, slug: str, to: str, values: str, key: str | None, as_json: bool) -> None:
    """Send a mail of a tenant's template: to try it, or from a script."""
    try:
        given = json.loads(values)
    except json.JSONDecodeError as error:
        raise click.BadParameter(f"is not JSON: {error}", param_hint="--values") from None
    if not isinstance(given, dict):
        raise click.BadParameter("must be a JSON object", param_hint="--values")

    async def send(_: Any, session: Any, actor: Any) -> Any:
        from app.modules.email.schemas import EmailSend, read
        from app.modules.email.service import EmailService

        wanted = EmailSend(template=template, to=to, values=given, deduplication_key=key)
        return read(await EmailService(session, actor, None).send(wanted))

    sent = in_tenant(slug, send)
    show(as_json, to_builtins(sent), text=f"{sent.template} to {sent.recipient}: {sent.status}, {sent.id}")


SHOWN = Shown("Content and readers", (email,), 50)
