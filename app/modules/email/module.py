"""Email: mails that people get, and the log of them."""

from typing import Annotated

from litestar.di import NamedDependency
from litestar.params import FromQuery, QueryParameter
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.live import Topic
from app.core.policy import Actor
from app.core.quota import Quota
from app.core.settings import Settings
from app.core.signs import SignSource
from app.core.templating import NavigationItem
from app.core.trace import TraceSource
from app.module import Module
from app.modules.email.client import Post
from app.modules.email.controllers import EmailController, OwnerEmailController
from app.modules.email.pages import EmailPages, MemberEmailPages, UnsubscribePages
from app.modules.email.permissions import ALL, OPEN, READ
from app.modules.email.processor import send_email, send_otp
from app.modules.email.repository import signs, steps
from app.modules.email.schemas import EmailQuery
from app.modules.email.service import EMAILS_PER_DAY, TOPIC, EmailService, Unsubscribing, folder, sent_today


def provide_emails(
    session: NamedDependency[AsyncSession], actor: NamedDependency[Actor], settings: NamedDependency[Settings]
) -> EmailService:
    return EmailService(session, actor, folder(settings))


def provide_unsubscribing(session: NamedDependency[AsyncSession]) -> Unsubscribing:
    return Unsubscribing(session)


def provide_query(
    q: FromQuery[str | None] = None,
    status: FromQuery[str | None] = None,
    template: FromQuery[str | None] = None,
    tenant_id: Annotated[str | None, QueryParameter(name="tenantId")] = None,
    since: Annotated[str | None, QueryParameter(name="from")] = None,
    until: Annotated[str | None, QueryParameter(name="to")] = None,
) -> EmailQuery:
    # As text: a provider that raises would leave the request's session to the garbage collector.
    return EmailQuery(q=q, status=status, template=template, tenant_id=tenant_id, since=since, until=until)


email = Module(
    name="email",
    api=(EmailController,),
    owner_api=(OwnerEmailController,),
    pages=(EmailPages,),
    member_pages=(MemberEmailPages,),
    public=(UnsubscribePages,),
    providers={"emails": provide_emails, "unsubscribing": provide_unsubscribing, "asked": provide_query},
    processors=(send_otp, send_email),
    permissions=ALL,
    topics=(Topic(TOPIC, READ),),
    quotas=(Quota(EMAILS_PER_DAY, "Mails per day", sent_today),),
    navigation=(NavigationItem("Platform", "Mail", "/emails", "mail", READ, order=75),),
    links={"email": ("/emails/{id}", OPEN)},
    signs=(SignSource(signs, READ, TOPIC, plane=None),),
    traces=(TraceSource(steps, READ, TOPIC),),
    resources={Post: lambda parts: Post(parts.settings, parts.mails)},
)
