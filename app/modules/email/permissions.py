"""What may be done with the mail log."""

from app.core.policy import Permission

READ = Permission("emails:read", "See which mails were sent to whom")
OPEN = Permission("emails:open", "Open mails; where they are kept here, what they say: codes and links")
ALL = (READ, OPEN)
