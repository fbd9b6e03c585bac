"""`teknav owner`: the platform's owners."""

import asyncio
import sys
from typing import Any

import rich_click as click

from app.cli.command import Failed, Shown, as_json, serving, settings_of, show, unreachable
from app.cli.transactions import in_platform
from app.core.garbage import loading


@click.group()
def owner() -> None:
    """The platform's owners."""


@owner.command("create")
@click.option("--email", required=True)
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input instead of asking.")
@as_json
def owner_create(email: str, password_stdin: bool, as_json: bool) -> None:
    """Make an owner who can sign in to the dashboard."""
    password = _ask_password(password_stdin)

    async def create(_: Any, session: Any, actor: Any) -> dict[str, Any]:
        from app.modules.identity.service import IdentityService

        user = await IdentityService(session, actor).create_owner(email, password)
        return {"id": str(user.id), "email": user.email}

    made = in_platform(create)
    show(as_json, made, text=f"{made['email']} is an owner now.")


@owner.command("link")
@as_json
def owner_link(as_json: bool) -> None:
    """Print a new link that makes the first owner; there is none once an owner exists."""
    settings = serving(settings_of())

    async def issue() -> str | None:
        # Not as `in_process`, which loads every module: each `teknav up` ends with this.
        with loading():
            from app.core.database import SYSTEM, Database
            from app.modules.identity.service import OwnerLinks

        database = Database(settings)
        try:
            async with database.transaction(SYSTEM) as session:
                secret = await OwnerLinks(session).issue()
                return f"{settings.base_url}/setup/{secret}" if secret else None
        except OSError as error:
            raise unreachable(error) from None
        finally:
            await database.close()

    link = asyncio.run(issue())
    if link is None and not as_json:
        raise Failed("There is an owner already.")
    show(as_json, {"link": link}, text=str(link))


@owner.command("password")
@click.option("--email", required=True)
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input instead of asking.")
@as_json
def owner_password(email: str, password_stdin: bool, as_json: bool) -> None:
    """Give an owner another password, and end all sessions of that person."""
    password = _ask_password(password_stdin)

    async def change(_: Any, session: Any, actor: Any) -> dict[str, Any]:
        from app.modules.identity.service import IdentityService

        user = await IdentityService(session, actor).reset_password(email, password)
        return {"id": str(user.id), "email": user.email}

    made = in_platform(change)
    show(as_json, made, text=f"{made['email']} has a new password. All sessions are ended.")


def _ask_password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\n")
    asked: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    return asked


SHOWN = Shown("People and tenants", (owner,), 10)
