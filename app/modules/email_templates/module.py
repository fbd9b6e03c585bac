"""Email templates: what tenants' mails say, version by version."""

from app.module import Module
from app.modules.email_templates.permissions import ALL

email_templates = Module(name="email_templates", permissions=ALL)
