"""What may be done with invitations."""

from app.core.policy import Permission

READ = Permission("invitations:read", "See who is invited", roles=())
WRITE = Permission("invitations:write", "Invite people, and take invitations back", roles=())
ALL = (READ, WRITE)
