"""`teknav email`, as far as it says what is not sent, and to whom."""

from typing import Any
from uuid import UUID

import rich_click as click
from msgspec import to_builtins

from app.cli.command import as_json, asked, cursor, limit, show, show_page, sort
from app.cli.given import fitting
from app.cli.transactions import in_tenant

REASONS = ("bounced", "complained", "unsubscribed", "manual")
recipient_option = click.option("--to", help="How the address begins.")
tenant_option = click.option("--tenant", "slug", required=True, help="Whose mails, by slug or id.")


@click.command("suppressions")
@recipient_option
@click.option("--reason", type=click.Choice(REASONS))
@sort
@limit
@cursor
@as_json
def suppressions(to: str | None, reason: str | None, limit: int, cursor: str | None, as_json: bool) -> None:
    """List the addresses to which nothing is sent, newest first."""
    from app.modules.email_preferences.schemas import SuppressionPage, read
    from app.modules.email_preferences.service import EmailPreferences, Reason

    why = Reason(reason) if reason else None

    async def find(service: Any, pager: Any) -> Any:
        page = (await service.suppressions(pager, text=to, reason=why, limit=limit, cursor=cursor)).map(read)
        return SuppressionPage(items=page.items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)

    found = asked(EmailPreferences, find)
    rows = [(one.recipient, one.reason, f"{one.created_at:%Y-%m-%d %H:%M}", one.id) for one in found.items]
    show_page(as_json, found, ("address", "reason", "since", "id"), rows)


@click.command("suppress")
@click.argument("recipient")
@tenant_option
@click.option("--reason", type=click.Choice(REASONS), default="manual", show_default=True)
@as_json
def suppress(recipient: str, slug: str, reason: str, as_json: bool) -> None:
    """Send nothing more of a tenant to RECIPIENT, an address."""
    from app.modules.email_preferences.schemas import SuppressionCreate, read
    from app.modules.email_preferences.service import EmailPreferences

    wanted = fitting({"recipient": recipient, "reason": reason}, SuppressionCreate)

    async def act(_: Any, session: Any, actor: Any) -> Any:
        return read(await EmailPreferences(session, actor).suppress(wanted.recipient, wanted.reason))

    found = in_tenant(slug, act)
    show(as_json, to_builtins(found), text=f"Nothing more is sent to {found.recipient}: {found.id}")


@click.command("allow")
@click.argument("suppression", type=click.UUID)
@as_json
def allow(suppression: UUID, as_json: bool) -> None:
    """Send to an address again; SUPPRESSION is the id of its line."""
    from app.modules.email_preferences.schemas import read
    from app.modules.email_preferences.service import EmailPreferences

    found = asked(EmailPreferences, lambda service, _: service.allow(suppression))
    show(as_json, to_builtins(read(found)), text=f"Mails are sent to {found.recipient} again.")


@click.command("preferences")
@recipient_option
@sort
@limit
@cursor
@as_json
def preferences(to: str | None, limit: int, cursor: str | None, as_json: bool) -> None:
    """List who chose to get which mails, or not to, newest first."""
    from app.modules.email_preferences.schemas import PreferencePage, read_preference
    from app.modules.email_preferences.service import EmailPreferences

    async def find(service: Any, pager: Any) -> Any:
        page = (await service.preferences(pager, text=to, limit=limit, cursor=cursor)).map(read_preference)
        return PreferencePage(items=page.items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)

    found = asked(EmailPreferences, find)
    rows = [(one.recipient, one.category, "yes" if one.subscribed else "no") for one in found.items]
    show_page(as_json, found, ("address", "category", "gets them"), rows)


@click.command("prefer")
@click.argument("recipient")
@click.argument("category")
@click.argument("choice", type=click.Choice(["on", "off"]))
@tenant_option
@as_json
def prefer(recipient: str, category: str, choice: str, slug: str, as_json: bool) -> None:
    """Say whether RECIPIENT gets a tenant's mails of CATEGORY; '*' is all that people can do without."""
    from app.modules.email_preferences.schemas import PreferenceChange, read_preference
    from app.modules.email_preferences.service import EmailPreferences

    wanted = fitting({"recipient": recipient, "category": category, "subscribed": choice == "on"}, PreferenceChange)

    async def act(_: Any, session: Any, actor: Any) -> Any:
        service = EmailPreferences(session, actor)
        return read_preference(await service.choose(wanted.recipient, wanted.category, wanted.subscribed))

    found = in_tenant(slug, act)
    gets = "gets" if found.subscribed else "does not get"
    show(as_json, to_builtins(found), text=f"{found.recipient} {gets} mails of {found.category}.")


PREFERENCES = (suppressions, suppress, allow, preferences, prefer)
