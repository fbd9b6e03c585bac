"""Email templates: what tenants' mails say, version by version."""

from typing import Any

from litestar import Request
from litestar.di import NamedDependency
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.live import Topic
from app.core.paging import Pager
from app.core.policy import Actor
from app.core.templating import NavigationItem
from app.module import Module
from app.modules.email_templates.controllers import EmailTemplateController, OwnerEmailTemplateController
from app.modules.email_templates.pages import EmailTemplatePages, MemberEmailTemplatePages, Views
from app.modules.email_templates.permissions import ALL, READ
from app.modules.email_templates.service import RESOURCE, TOPIC, EmailTemplates


def provide_templates(session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]) -> EmailTemplates:
    return EmailTemplates(session, actor)


def provide_views(
    request: Request[Any, Any, Any],
    session: NamedDependency[AsyncSession],
    templates: NamedDependency[EmailTemplates],
    pager: NamedDependency[Pager],
) -> Views:
    return Views(request, session, templates, pager)


email_templates = Module(
    name="email_templates",
    api=(EmailTemplateController,),
    owner_api=(OwnerEmailTemplateController,),
    pages=(EmailTemplatePages,),
    member_pages=(MemberEmailTemplatePages,),
    providers={"templates": provide_templates, "views": provide_views},
    permissions=ALL,
    topics=(Topic(TOPIC, READ),),
    navigation=(NavigationItem("Content", "Mail templates", "/email-templates", "mail-opened", READ, order=36),),
    links={RESOURCE: ("/email-templates/{id}", READ)},
)
