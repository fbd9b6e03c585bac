"""`teknav member` and `teknav role`."""

import json
from collections.abc import Awaitable, Callable

from app.modules.people.models import User
from tests.conftest import Made

Teknav = Callable[..., Awaitable[str]]


async def test_members_are_added_listed_changed_and_removed(
    teknav: Teknav, tenant: Made, make_person: Callable[..., Awaitable[User]]
) -> None:
    await make_person("ann@example.org")
    await make_person("bo@example.org")
    here = ("--tenant", tenant.slug)
    assert "Admin of harbour-press" in await teknav("member", "add", "ann@example.org", *here, "--role", "admin")
    await teknav("member", "add", "bo@example.org", *here, "--role", "viewer")
    assert "ann@example.org" in await teknav("member", "list", *here, "--search", "ann")
    assert "is Owner of" in await teknav("member", "role", "bo@example.org", *here, "--role", "owner")
    told = await teknav("member", "role", "ann@example.org", "bo@example.org", *here, "--role", "owner")
    assert "ann@example.org is Owner of" in told and "bo@example.org is Owner of" in told
    assert "at least one owner" in await teknav(
        "member", "role", "ann@example.org", "bo@example.org", *here, "--role", "viewer", code=1
    )
    assert "no member of" in await teknav("member", "remove", "ann@example.org", *here)
    listed = json.loads(await teknav("member", "list", *here, "--json"))
    assert [row["email"] for row in listed["items"]] == ["bo@example.org"]
    assert "at least one owner" in await teknav("member", "remove", "bo@example.org", *here, code=1)
    assert "no member" in await teknav("member", "remove", "ann@example.org", *here, code=1)
    roles = json.loads(await teknav("role", "list", *here, "--json"))["items"]
    assert {row["builtIn"]: row["members"] for row in roles}["owner"] == 1
    assert "articles:publish" in await teknav("role", "show", "editor", *here)
    assert "There is no role nobody" in await teknav("role", "show", "nobody", *here, code=1)
