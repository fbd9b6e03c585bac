"""`teknav member`, `teknav role` and `teknav workspace`."""

import json
from collections.abc import Awaitable, Callable

from httpx2 import AsyncClient

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


async def test_workspaces_and_roles_are_made_and_members_placed_by_commands(
    teknav: Teknav, tenant: Made, make_person: Callable[..., Awaitable[User]], owner: AsyncClient
) -> None:
    await make_person("ann@example.org")
    here, api = ("--tenant", tenant.slug), f"/api/owner/tenants/{tenant.id}"
    await teknav("member", "add", "ann@example.org", *here, "--role", "viewer")

    made = json.loads(await teknav("workspace", "create", "Photo desk", *here, "--json"))
    assert (await owner.get(f"{api}/workspaces/{made['id']}")).json() == made
    assert "called Pictures now" in await teknav("workspace", "rename", "photo desk", "Pictures", *here)
    listed = json.loads(await teknav("workspace", "list", *here, "--json"))
    assert listed == (await owner.get(f"{api}/workspaces")).json()

    role = json.loads(await teknav("role", "create", "Desk", *here, "--permission", "articles:read", "--json"))
    changed = ("--name", "Picture desk", "--permission", "articles:read", "--permission", "files:write")
    assert "Picture desk" in await teknav("role", "change", "desk", *here, *changed)
    read = (await owner.get(f"{api}/roles/{role['id']}")).json()
    assert (read["name"], read["permissions"]) == ("Picture desk", ["articles:read", "files:write"])
    placed = ("member", "place", "ann@example.org", "pictures", *here)
    assert "Picture desk" in await teknav(*placed, "--role", "picture desk")
    assert "give them another first" in await teknav("role", "delete", "picture desk", *here, code=1)
    assert "nothing" in await teknav(*placed)

    assert "is deleted" in await teknav("role", "delete", "picture desk", *here)
    assert "permissions: " in await teknav("role", "create", "X", *here, "--permission", "articles:fly", code=1)
    assert "name: " in await teknav("role", "create", "", *here, code=2)
    assert "Pictures is deleted" in await teknav("workspace", "delete", "Pictures", *here)
    assert "has none called Pictures" in await teknav("workspace", "delete", "Pictures", *here, code=1)
    assert "has none called" in await teknav("member", "place", "ann@example.org", "nowhere", *here, code=1)
