"""The `teknav` command. Services run in this process, as `cli:<os user>` with the platform's rights; audited."""

from importlib import import_module
from pkgutil import iter_modules

import rich_click as click

from app import __version__
from app.cli.ai import ai
from app.cli.articles import article
from app.cli.email import email
from app.cli.email_preferences import PREFERENCES
from app.cli.email_templates import TEMPLATES as MAIL_TEMPLATES
from app.cli.letters import LETTERS
from app.cli.plugin_setup import SETUP
from app.cli.plugins import plugins
from app.cli.prompts import TEMPLATES
from app.cli.queues import queues
from app.cli.releases import RELEASES
from app.cli.token_changes import client_change, token_change
from app.cli.tokens import client, token
from app.cli.workflow_drafts import DRAFTS
from app.cli.workflows import workflows
from app.cli.writing import WRITING

TITLES = (
    "Run TekNav",
    "People and tenants",
    "Content and readers",
    "AI, workflows, plugins",
    "Work",
    "Who did what",
)
OPTIONS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(context_settings=OPTIONS)
@click.version_option(__version__, prog_name="teknav")
def main() -> None:
    """TekNav: the control room and API of a multi-tenant publishing platform that works with AI."""


PARTS = (
    (article, (*WRITING, *RELEASES)),
    (ai, TEMPLATES),
    (queues, LETTERS),
    (email, (*MAIL_TEMPLATES, *PREFERENCES)),
    (plugins, SETUP),
    (workflows, DRAFTS),
    (token, (token_change,)),
    (client, (client_change,)),
)
for group, commands in PARTS:
    for part in commands:
        group.add_command(part)

PANELS: dict[str, list[click.Command]] = {title: [] for title in TITLES}
files = (import_module(f"{__name__}.{each.name}") for each in iter_modules(__path__) if each.name != "__main__")
for shown in sorted((file.SHOWN for file in files if hasattr(file, "SHOWN")), key=lambda shown: shown.order):
    PANELS[shown.panel].extend(shown.commands)
for title, listed in PANELS.items():
    for command in listed:
        main.add_command(command)
    main.add_panel(click.RichCommandPanel(title, commands=[command.name or "" for command in listed]))
