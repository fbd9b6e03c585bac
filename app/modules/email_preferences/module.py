"""Email preferences: which mails people do not want, and addresses to which none are sent."""

from typing import Any

from litestar import Request
from litestar.di import NamedDependency
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.live import Topic
from app.core.paging import Pager
from app.core.policy import Actor
from app.core.templating import NavigationItem
from app.module import Module
from app.modules.email_preferences.controllers import (
    OwnerPreferenceController,
    OwnerSuppressionController,
    PreferenceController,
    SuppressionController,
)
from app.modules.email_preferences.pages import MemberSuppressionPages, SuppressionPages, Views
from app.modules.email_preferences.permissions import ALL, READ
from app.modules.email_preferences.service import TOPIC, EmailPreferences


def provide_preferences(session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]) -> EmailPreferences:
    return EmailPreferences(session, actor)


def provide_views(
    request: Request[Any, Any, Any],
    session: NamedDependency[AsyncSession],
    preferences: NamedDependency[EmailPreferences],
    pager: NamedDependency[Pager],
) -> Views:
    return Views(request, session, preferences, pager)


email_preferences = Module(
    name="email_preferences",
    api=(SuppressionController, PreferenceController),
    owner_api=(OwnerSuppressionController, OwnerPreferenceController),
    pages=(SuppressionPages,),
    member_pages=(MemberSuppressionPages,),
    providers={"preferences": provide_preferences, "views": provide_views},
    permissions=ALL,
    topics=(Topic(TOPIC, READ),),
    navigation=(NavigationItem("Platform", "Not mailed", "/email-suppressions", "ban", READ, order=76),),
)
