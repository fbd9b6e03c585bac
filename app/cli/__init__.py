"""The `teknav` command. Services run in this process, as `cli:<os user>` with the platform's rights; audited."""

import rich_click as click

from app import __version__
from app.cli.ai import ai
from app.cli.analytics import analytics
from app.cli.approvals import approvals
from app.cli.articles import article
from app.cli.cache import cache
from app.cli.doctor import config, doctor
from app.cli.drafts import drafts, reports
from app.cli.email import email
from app.cli.email_preferences import PREFERENCES
from app.cli.email_templates import TEMPLATES as MAIL_TEMPLATES
from app.cli.exports import export
from app.cli.files import file
from app.cli.funnels import funnel
from app.cli.imports import import_
from app.cli.invitations import invitation
from app.cli.isolation import isolation
from app.cli.letters import LETTERS
from app.cli.logs import access, audit
from app.cli.members import member
from app.cli.overview import overview
from app.cli.owners import owner
from app.cli.plugin_setup import SETUP
from app.cli.plugins import plugins
from app.cli.prompts import TEMPLATES
from app.cli.queues import queues
from app.cli.releases import RELEASES
from app.cli.roles import role
from app.cli.schedules import schedules
from app.cli.serve import migrate, up, web, worker
from app.cli.taxonomy import category, tag
from app.cli.tenants import tenant
from app.cli.token_changes import client_change, token_change
from app.cli.tokens import client, token
from app.cli.traces import trace
from app.cli.users import session, user
from app.cli.workers import workers
from app.cli.workflow_drafts import DRAFTS
from app.cli.workflows import workflows
from app.cli.workspaces import workspace
from app.cli.writing import WRITING

OPTIONS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(context_settings=OPTIONS)
@click.version_option(__version__, prog_name="teknav")
def main() -> None:
    """TekNav: the control room and API of a multi-tenant publishing platform that works with AI."""


PANELS = {
    "Run TekNav": (up, migrate, web, worker, doctor, overview, config),
    "People and tenants": (owner, user, session, tenant, workspace, member, invitation, role, token, client),
    "Content and readers": (article, category, tag, file, import_, email, analytics, funnel),
    "AI, workflows, plugins": (ai, drafts, reports, workflows, approvals, plugins),
    "Work": (queues, workers, schedules, cache),
    "Who did what": (audit, access, trace, export, isolation),
}

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
for title, shown in PANELS.items():
    for command in shown:
        main.add_command(command)
    main.add_panel(click.RichCommandPanel(title, commands=[command.name or "" for command in shown]))
