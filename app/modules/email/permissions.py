"""What may be done with the mail log."""

from app.core.policy import Permission

READ = Permission("emails:read", "See which mails were sent to whom")
ALL = (READ,)
