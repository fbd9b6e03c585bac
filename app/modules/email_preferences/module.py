"""Email preferences: which mails people do not want, and addresses to which none are sent."""

from app.module import Module

email_preferences = Module(name="email_preferences")
