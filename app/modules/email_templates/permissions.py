"""What may be done with the templates of mails."""

from app.core.policy import Permission

READ = Permission("email_templates:read", "Read mail templates", tenant=True, roles=("editor", "author", "operator"))
WRITE = Permission(
    "email_templates:write", "Write and delete mail templates", tenant=True, roles=("editor", "operator")
)
ALL = (READ, WRITE)
