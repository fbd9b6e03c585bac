"""What may be done with the list of who gets no mails."""

from app.core.policy import Permission

READ = Permission("email_preferences:read", "See who gets no mails, and why", tenant=True, roles=("editor", "operator"))
WRITE = Permission(
    "email_preferences:write", "Say who gets no mails, and who does again", tenant=True, roles=("operator",)
)
ALL = (READ, WRITE)
