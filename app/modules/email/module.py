"""Email: mails that people get, and the log of them."""

from litestar.di import NamedDependency
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.live import Topic
from app.core.quota import Quota
from app.core.settings import Settings
from app.core.templating import NavigationItem
from app.module import Module
from app.modules.email.controllers import EmailController
from app.modules.email.pages import EmailPages
from app.modules.email.permissions import ALL, READ
from app.modules.email.processor import send_email, send_otp
from app.modules.email.service import EMAILS_PER_DAY, TOPIC, EmailService, folder, sent_today


def provide_emails(session: NamedDependency[AsyncSession], settings: NamedDependency[Settings]) -> EmailService:
    return EmailService(session, folder(settings))


email = Module(
    name="email",
    owner_api=(EmailController,),
    pages=(EmailPages,),
    providers={"emails": provide_emails},
    processors=(send_otp, send_email),
    permissions=ALL,
    topics=(Topic(TOPIC, READ),),
    quotas=(Quota(EMAILS_PER_DAY, "Mails per day", sent_today),),
    navigation=(NavigationItem("Platform", "Mail", "/emails", "mail", READ, order=75),),
)
