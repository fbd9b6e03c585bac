"""What may be done with mails."""

from app.core.policy import Permission

READ = Permission("emails:read", "See which mails were sent to whom", tenant=True, roles=("editor", "operator"))
OPEN = Permission(
    "emails:open",
    "Open mails; the platform's people also read codes and links",
    tenant=True,
    roles=(),
)
SEND = Permission("emails:send", "Send mails of the tenant's templates", tenant=True, roles=("editor", "operator"))
ALL = (READ, OPEN, SEND)
