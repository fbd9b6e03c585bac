"""What may be done with AI's templates. They are the platform's."""

from app.core.policy import Permission

READ = Permission("templates:read", "Read what models are told")
WRITE = Permission("templates:write", "Change what models are told")

ALL = (READ, WRITE)
