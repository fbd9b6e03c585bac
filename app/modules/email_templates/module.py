"""Email templates: what tenants' mails say, version by version."""

from app.module import Module

email_templates = Module(name="email_templates")
