"""`teknav email`, as far as it writes what tenants' mails say."""

from collections.abc import Awaitable, Callable
from typing import Any, BinaryIO
from uuid import UUID

import rich_click as click
from msgspec import to_builtins

from app.cli.command import as_json, asked, cursor, limit, show, show_page, sort
from app.cli.given import document, json_file
from app.cli.transactions import in_tenant

template_argument = click.argument("template_id", type=click.UUID, metavar="TEMPLATE")


@click.command("templates")
@click.option("--search", "text", help="A part of the name.")
@sort
@limit
@cursor
@as_json
def templates(text: str | None, limit: int, cursor: str | None, as_json: bool) -> None:
    """List tenants' mail templates, newest first."""
    from app.modules.email_templates.schemas import EmailTemplatePage, item
    from app.modules.email_templates.service import EmailTemplates

    async def find(service: Any, pager: Any) -> Any:
        page = (await service.search(pager, text=text, limit=limit, cursor=cursor)).map(item)
        return EmailTemplatePage(items=page.items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)

    found = asked(EmailTemplates, find)
    rows = [(one.name, one.latest, f"{one.updated_at:%Y-%m-%d %H:%M}", one.tenant_id, one.id) for one in found.items]
    show_page(as_json, found, ("template", "version", "changed", "tenant", "id"), rows)


@click.command("template")
@template_argument
@click.option("--preview", is_flag=True, help="What it says with the samples of its variables.")
@as_json
def template(template_id: UUID, preview: bool, as_json: bool) -> None:
    """Show a mail template as it is sent now."""
    if not preview:
        _template(lambda service: service.get(template_id), as_json)
        return
    from app.modules.email_templates.schemas import EmailPreview
    from app.modules.email_templates.service import EmailTemplates

    async def find(service: Any, _: Any) -> Any:
        said = await service.preview((await service.get(template_id))[1])
        return EmailPreview(subject=said.subject, text=said.text, html=said.html)

    found = asked(EmailTemplates, find)
    show(as_json, to_builtins(found), text=f"{found.subject}\n\n{found.text}")


@click.command("create-template")
@json_file
@click.option("--tenant", "slug", required=True, help="Whose it is to be, by slug or id.")
@as_json
def create_template(file: BinaryIO, slug: str, as_json: bool) -> None:
    """Write the template in FILE: {"name", "subject", "body", "category", "variables"}, as the API takes it."""
    from app.modules.email_templates.schemas import EmailTemplateCreate, read
    from app.modules.email_templates.service import EmailTemplates

    new = document(file, EmailTemplateCreate)

    async def act(_: Any, session: Any, actor: Any) -> Any:
        return read(*await EmailTemplates(session, actor).create(new))

    _show(in_tenant(slug, act), as_json)


@click.command("change-template")
@template_argument
@json_file
@as_json
def change_template(template_id: UUID, file: BinaryIO, as_json: bool) -> None:
    """Write a new version, which is sent from now on: {"subject", "body", "category", "variables"} in FILE."""
    from app.modules.email_templates.schemas import EmailTemplateVersionCreate

    new = document(file, EmailTemplateVersionCreate)
    _template(lambda service: service.revise(template_id, new), as_json)


@click.command("delete-template")
@template_argument
@as_json
def delete_template(template_id: UUID, as_json: bool) -> None:
    """Delete a template; mails that are on their way are sent."""
    from app.modules.email_templates.service import EmailTemplates

    async def act(service: Any, _: Any) -> str:
        name = (await service.get(template_id))[0].name
        await service.delete(template_id)
        return str(name)

    name = asked(EmailTemplates, act)
    show(as_json, {"id": str(template_id), "deleted": True}, text=f"{name} is deleted.")


def _template(act: Callable[[Any], Awaitable[Any]], as_json: bool) -> None:
    """Do something with one template, and print how it is then."""
    from app.modules.email_templates.schemas import read
    from app.modules.email_templates.service import EmailTemplates

    async def run(service: Any, _: Any) -> Any:
        return read(*await act(service))

    _show(asked(EmailTemplates, run), as_json)


def _show(found: Any, as_json: bool) -> None:
    said = found.current
    head = f"{found.name} ({found.id}), version {said.number}, {said.category}"
    show(as_json, to_builtins(found), text=f"{head}\n\n{said.subject}\n\n{said.body}")


TEMPLATES = (templates, template, create_template, change_template, delete_template)
