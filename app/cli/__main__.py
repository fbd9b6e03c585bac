"""`python -m app.cli`, for where the `teknav` command is not on the path."""

from app.cli import main

main()
