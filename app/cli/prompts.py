"""`teknav ai templates, template, change-template, use-template`: what models are told."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import rich_click as click
from msgspec import to_builtins

from app.cli.command import as_json, asked, columns, show
from app.cli.given import fitting


@click.command("templates")
@as_json
def templates(as_json: bool) -> None:
    """What models are told for each kind of task."""
    from app.modules.prompts.schemas import TemplateList
    from app.modules.prompts.service import TemplateService

    found = TemplateList(items=asked(TemplateService, lambda service, _: service.all()))
    rows = [(one.name, one.current, len(one.versions), ", ".join(one.variables)) for one in found.items]
    show(as_json, to_builtins(found), text=columns(("template", "used", "versions", "variables"), rows))


@click.command("template")
@click.argument("name")
@as_json
def template(name: str, as_json: bool) -> None:
    """Show what models are told for one kind of task."""
    _template(lambda service: service.get(name), as_json)


@click.command("change-template")
@click.argument("name")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--message", default="", help="What was changed, and why.")
@click.option("--temperature", type=click.FloatRange(0, 2), help="The model's own where none is named.")
@click.option("--keep", is_flag=True, help="Write the version, and go on with the one in use.")
@as_json
def change_template(name: str, file: Path, message: str, temperature: float | None, keep: bool, as_json: bool) -> None:
    """Write a new version, with the text that stands in FILE."""
    from app.modules.prompts.schemas import TemplateChange

    given = {"text": file.read_text("utf-8"), "message": message, "temperature": temperature, "use": not keep}
    change = fitting(given, TemplateChange)
    _template(lambda service: service.change(name, change), as_json)


@click.command("use-template")
@click.argument("name")
@click.argument("number", type=click.IntRange(min=0))
@as_json
def use_template(name: str, number: int, as_json: bool) -> None:
    """Tell models version NUMBER from now on; 0 is the code's own."""
    _template(lambda service: service.use(name, number), as_json)


def _template(act: Callable[[Any], Awaitable[Any]], as_json: bool) -> None:
    """Do something with one template, and print how it is then."""
    from app.modules.prompts.service import TemplateService

    found = asked(TemplateService, lambda service, _: act(service))
    told = next(version for version in found.versions if version.current)
    show(as_json, to_builtins(found), text=f"{found.name} uses version {found.current}.\n\n{told.text}")


TEMPLATES = (templates, template, change_template, use_template)
