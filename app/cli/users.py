"""`teknav user` and `session`: people, and where they are signed in."""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import rich_click as click
from msgspec import to_builtins

from app.cli.command import Failed, Shown, as_json, cursor, in_process, limit, pager_of, show, show_page, sort
from app.cli.given import fitting
from app.cli.transactions import in_platform

who = click.argument("who", metavar="EMAIL_OR_ID")


several = click.argument("whom", metavar="EMAIL_OR_ID...", nargs=-1, required=True)
ROLES = ("owner", "operator", "auditor", "user")


@click.group()
def user() -> None:
    """People who may sign in."""


@user.command("list")
@click.option("--search", "text", help="In name or e-mail.")
@click.option("--role", type=click.Choice(ROLES))
@click.option("--state", type=click.Choice(["active", "invited", "banned"]))
@sort
@limit
@cursor
@as_json
def user_list(
    text: str | None, role: str | None, state: str | None, limit: int, cursor: str | None, as_json: bool
) -> None:
    """List people, newest first."""

    async def find(process: Any, session: Any, actor: Any) -> Any:
        from app.modules.people.schemas import UserPage, read
        from app.modules.people.service import People

        people = People(session, actor)
        pager = pager_of(process)
        page = await people.search(pager, text=text, role=role, state=state, limit=limit, cursor=cursor)
        found = page.map(read)
        return UserPage(items=found.items, next_cursor=found.next_cursor, prev_cursor=found.prev_cursor)

    found = in_platform(find)
    rows = [(one.email, one.name, one.role, one.state, f"{one.created_at:%F}", one.id) for one in found.items]
    show_page(as_json, found, ("e-mail", "name", "role", "state", "created", "id"), rows)


@user.command("show")
@who
@as_json
def user_show(who: str, as_json: bool) -> None:
    """Show one person."""
    found = _act(who, lambda people, row: _same(row))
    lines = (f"{name}: {value}" for name, value in to_builtins(found).items() if value is not None)
    show(as_json, to_builtins(found), text="\n".join(lines))


@user.command("create")
@click.option("--email", required=True)
@click.option("--name", required=True)
@as_json
def user_create(email: str, name: str, as_json: bool) -> None:
    """Make a person, who gets a mail with a link to set a password."""

    async def create(_: Any, session: Any, actor: Any) -> Any:
        from app.modules.people.schemas import read
        from app.modules.people.service import People

        return read(await People(session, actor).create(email, name))

    made = in_platform(create)
    show(as_json, to_builtins(made), text=f"{made.email} was made ({made.id}); a mail is on its way.")


@user.command("ban")
@several
@click.option("--reason", default="", help="For the audit log.")
@as_json
def user_ban(whom: tuple[str, ...], reason: str, as_json: bool) -> None:
    """Let people in no more, all of them or nobody; every session ends at once."""
    _act_on_all(whom, lambda people, ids: people.ban_many(ids, reason), as_json, "is banned")


@user.command("unban")
@several
@as_json
def user_unban(whom: tuple[str, ...], as_json: bool) -> None:
    """Let banned people in again."""
    _act_on_all(whom, lambda people, ids: people.unban_many(ids), as_json, "may sign in again")


@user.command("reset-password")
@who
@as_json
def user_reset_password(who: str, as_json: bool) -> None:
    """Mail a person a link that sets a new password."""
    found = _act(who, lambda people, row: people.send_reset(row.id))
    show(as_json, to_builtins(found), text=f"A mail to {found.email} is on its way.")


@user.command("reset-factor")
@who
@as_json
def user_reset_factor(who: str, as_json: bool) -> None:
    """Switch the second factor off for a person who lost it; the person's sessions end."""
    found = _act(who, lambda people, row: people.drop_factor(row.id))
    show(as_json, to_builtins(found), text=f"{found.email} has no second factor.")


@user.command("change")
@who
@click.option("--name")
@click.option("--email")
@click.option("--phone", help="In the international form; an empty one takes it away.")
@as_json
def user_change(who: str, name: str | None, email: str | None, phone: str | None, as_json: bool) -> None:
    """Correct what is known of a person."""
    from app.modules.people.schemas import UserChange

    given: dict[str, str | None] = {"name": name, "email": email, "phone": phone}
    given = {field: value or None for field, value in given.items() if value is not None}
    change = fitting(given, UserChange)
    found = _act(who, lambda people, row: people.update(row.id, change))
    show(as_json, to_builtins(found), text=f"{found.email}, {found.name}, is changed.")


@user.command("role")
@who
@click.argument("role", type=click.Choice(ROLES))
@as_json
def user_role(who: str, role: str, as_json: bool) -> None:
    """Make a person an owner, operator or auditor of the platform, or an ordinary person."""
    found = _act(who, lambda people, row: people.set_role(row.id, role))
    show(as_json, to_builtins(found), text=f"{found.email}: {found.role}.")


@user.command("erase")
@who
@click.confirmation_option(prompt="Delete this person with all that hangs on the account?")
@as_json
def user_erase(who: str, as_json: bool) -> None:
    """Delete a person with everything that hangs on the account."""

    async def erase(people: Any, row: Any) -> Any:
        await people.erase(row.id)
        return row

    found = _act(who, erase)
    show(as_json, {"id": str(found.id)}, text=f"{found.email} is deleted.")


def _act(who: str, change: Callable[[Any, Any], Awaitable[Any]]) -> Any:
    """What `change(people, row)` answers for the person named on the command line, as the API tells it."""

    async def act(_: Any, session: Any, actor: Any) -> Any:
        from app.modules.people.schemas import read
        from app.modules.people.service import People

        people = People(session, actor)
        return read(await change(people, await people.find(who)))

    return in_platform(act)


def _act_on_all(whom: tuple[str, ...], change: Callable[[Any, Any], Awaitable[Any]], as_json: bool, now: str) -> None:
    async def act(_: Any, session: Any, actor: Any) -> list[Any]:
        from app.modules.people.schemas import read
        from app.modules.people.service import People

        people = People(session, actor)
        ids = [(await people.find(who)).id for who in whom]
        await change(people, ids)
        rows = await people.by_ids(ids)
        return [read(rows[id_]) for id_ in ids]

    found = in_platform(act)
    told = to_builtins(found[0]) if len(found) == 1 else {"items": to_builtins(found)}
    show(as_json, told, text="\n".join(f"{one.email} {now}." for one in found))


async def _same(row: Any) -> Any:
    return row


@click.group()
def session() -> None:
    """Browsers in which people are signed in."""


@session.command("list")
@click.option("--user", "who", help="Of this person only, by e-mail or id.")
@click.option("--search", "text", help="In the person's name or e-mail.")
@click.option("--device", help="In what the browser calls itself.")
@click.option("--state", type=click.Choice(["open", "ended", "expired"]), default="open", show_default=True)
@sort
@limit
@cursor
@as_json
def session_list(
    who: str | None,
    text: str | None,
    device: str | None,
    state: Any,
    limit: int,
    cursor: str | None,
    as_json: bool,
) -> None:
    """List sessions, newest first."""

    async def find(process: Any, session: Any, actor: Any) -> Any:
        from app.modules.people.service import People
        from app.modules.sessions.service import SessionFilter, SessionPage, read_session

        people = People(session, actor)
        of = (await people.find(who)).id if who else None
        wanted, pager = SessionFilter(state, device), pager_of(process)
        page = await people.sessions(pager, wanted, of, text=text, limit=limit, cursor=cursor)
        whose = await people.by_ids({row.user_id for row in page.items})
        found = page.map(read_session)
        read = SessionPage(items=found.items, next_cursor=found.next_cursor, prev_cursor=found.prev_cursor)
        return read, {user_id: row.email for user_id, row in whose.items()}

    found, emails = in_platform(find)
    rows = [(emails[one.user_id], one.ip, f"{one.created_at:%F %H:%M}", one.user_agent, one.id) for one in found.items]
    show_page(as_json, found, ("e-mail", "address", "signed in", "browser", "id"), rows)


@session.command("revoke")
@click.argument("sessions", type=click.UUID, nargs=-1, required=True, metavar="SESSION...")
@as_json
def session_revoke(sessions: tuple[UUID, ...], as_json: bool) -> None:
    """End sessions, at once."""

    async def revoke(process: Any, actor: Any) -> int:
        from app.modules.sessions.service import SessionBook

        async with process.database.transaction(actor.scope) as transaction:
            return await SessionBook(transaction, actor).revoke_many(sessions)

    ended = in_process(revoke)
    if not ended:
        raise Failed("There is no such session that is open")
    show(as_json, {"revoked": ended}, text=f"Ended now: {ended}.")


SHOWN = Shown("People and tenants", (user, session), 20)
