"""What may be done with AI's runs. What a provider was told and answered is the platform's."""

from app.core.policy import Permission

READ = Permission("runs:read", "Read the runs of AI tasks, with what was said in them")
USE = Permission(
    "ai_usage:read", "Read what AI used and cost", tenant=True, roles=("editor", "author", "viewer", "operator")
)

ALL = (READ, USE)
