"""Who may see the proof that tenants are apart, and ask for a new one."""

from app.core.policy import Permission

READ = Permission("isolation:read", "See what was tried against the walls between tenants")
RUN = Permission("isolation:run", "Try the walls between tenants against the live database")

ALL = (READ, RUN)
