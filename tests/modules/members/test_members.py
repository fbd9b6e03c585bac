"""Who may change who belongs to a tenant, and that one who looks after it stays."""

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import pytest
from httpx2 import AsyncClient

from tests.conftest import Made

Person = Callable[..., Awaitable[AsyncClient]]
MakeTenant = Callable[[str], Awaitable[Made]]
HTMX = {"HX-Request": "true"}


async def ids(owner: AsyncClient, tenant: Made) -> dict[str, str]:
    """The tenant's members by the part of the address before the @, its roles by name."""
    api = f"/api/owner/tenants/{tenant.id}"
    members = (await owner.get(f"{api}/members?limit=100")).json()["items"]
    roles = (await owner.get(f"{api}/roles?limit=100")).json()["items"]
    return {row["email"].partition("@")[0]: row["id"] for row in members} | {row["name"]: row["id"] for row in roles}


async def test_the_last_owner_or_admin_is_neither_removed_nor_demoted(
    owner: AsyncClient, member: Person, tenant: Made
) -> None:
    ann, bo = await member("ann@example.org", "owner"), await member("bo@example.org", "owner")
    home, known = f"/dashboard/t/{tenant.slug}/members", await ids(owner, tenant)
    # Each takes the rights of the other at the same moment.
    answers = await asyncio.gather(
        ann.post(f"{home}/{known['bo']}/role", data={"roleId": known["Viewer"]}, headers=HTMX),
        bo.post(f"{home}/{known['ann']}/role", data={"roleId": ""}, headers=HTMX),
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    left = (await owner.get(f"/api/owner/tenants/{tenant.id}/members?roleId={known['Owner']}")).json()["items"]
    assert len(left) == 1
    place = f"/api/owner/tenants/{tenant.id}/members/{left[0]['id']}"
    for refused in (
        await owner.delete(place),
        await owner.patch(place, json={"roleId": None}),
        await owner.patch(place, json={"roleId": known["Editor"]}),
    ):
        assert (refused.status_code, refused.json()["code"]) == (409, "last_admin")
    assert (await owner.patch(place, json={"roleId": known["Admin"]})).status_code == 200


async def test_who_has_less_touches_nobody_who_has_more(owner: AsyncClient, member: Person, tenant: Made) -> None:
    admin = await member("admin@example.org", "admin")
    await member("chief@example.org", "owner")
    await member("ed@example.org", "editor")
    home, known = f"/dashboard/t/{tenant.slug}/members", await ids(owner, tenant)
    refused = [
        await admin.post(f"{home}/{known['chief']}/role", data={"roleId": known["Viewer"]}, headers=HTMX),
        await admin.post(f"{home}/{known['ed']}/role", data={"roleId": known["Owner"]}, headers=HTMX),
        await admin.post(f"{home}/removal", data={"ids": [known["ed"], known["chief"]]}, headers=HTMX),
    ]
    assert [answer.status_code for answer in refused] == [403] * 3
    assert len((await owner.get(f"/api/owner/tenants/{tenant.id}/members")).json()["items"]) == 3
    gone = await admin.post(f"{home}/removal", data={"ids": known["ed"]}, headers=HTMX)
    assert gone.status_code == 200 and "ed@example.org" not in gone.text


async def test_who_has_more_in_a_workspace_is_not_removed_by_who_has_less(
    owner: AsyncClient, member: Person, tenant: Made
) -> None:
    api = f"/api/owner/tenants/{tenant.id}"
    made = {"name": "Doorkeeper", "permissions": ["members:read", "members:write"]}
    role = (await owner.post(f"{api}/roles", json=made)).json()
    keeper = await member("keeper@example.org", "viewer")
    await member("ed@example.org", "viewer")
    known = await ids(owner, tenant)
    workspace = (await owner.post(f"{api}/workspaces", json={"name": "Desk"})).json()["id"]
    place = f"{api}/members/{known['ed']}/workspaces/{workspace}"
    assert (await owner.put(place, json={"roleIds": [known["Editor"]]})).status_code == 200
    for name, role_id in (("keeper", role["id"]), ("ed", None)):
        assert (await owner.patch(f"{api}/members/{known[name]}", json={"roleId": role_id})).status_code == 200
    removal = f"/dashboard/t/{tenant.slug}/members/removal"
    assert (await keeper.post(removal, data={"ids": known["ed"]}, headers=HTMX)).status_code == 403
    assert (await owner.put(place, json={"roleIds": []})).status_code == 200
    assert (await keeper.post(removal, data={"ids": known["ed"]}, headers=HTMX)).status_code == 200


async def test_many_members_get_a_role_together_or_nobody(
    owner: AsyncClient, member: Person, tenant: Made, admin: asyncpg.Connection
) -> None:
    for name in ("ann", "bo"):
        await member(f"{name}@example.org", "viewer")
    chief = await member("chief@example.org", "admin")
    known, api = await ids(owner, tenant), f"/api/owner/tenants/{tenant.id}/members"
    home, both = f"/dashboard/t/{tenant.slug}/members", [known["ann"], known["bo"]]

    async def are(role: str) -> set[str]:
        return {row["name"] for row in (await owner.get(f"{api}?roleId={known[role]}")).json()["items"]}

    for wrong, answer in (
        ({"ids": []}, (422, "invalid")),
        ({"ids": [known["Editor"]] * 101}, (422, "invalid")),
        ({"ids": [*both, known["Editor"]]}, (404, "not_found")),
        ({"roleId": known["ann"]}, (422, "invalid")),
        ({"ids": [*both, known["chief"]]}, (409, "last_admin")),
    ):
        refused = await owner.post(f"{api}/roles", json={"ids": both, "roleId": known["Editor"]} | wrong)
        assert (refused.status_code, refused.json()["code"]) == answer, refused.text
    for form, status in (
        ({"ids": both, "roleId": known["Owner"]}, 403),
        ({"ids": both, "roleId": ""}, 422),
        ({"roleId": known["Editor"]}, 422),
    ):
        assert (await chief.post(f"{home}/roles", data=form, headers=HTMX)).status_code == status, form
    assert await are("Viewer") == {"Ann", "Bo"}
    changed = await owner.post(f"{api}/roles", json={"ids": [*both, known["ann"]], "roleId": known["Editor"]})
    assert changed.json() == {"changed": 2} and await are("Editor") == {"Ann", "Bo"}
    told = await chief.post(f"{home}/roles", data={"ids": both[0], "roleId": known["Author"]}, headers=HTMX)
    assert "Have another role now: 1" in told.headers["hx-trigger"] and await are("Author") == {"Ann"}
    form = {"ids": both, "roleId": known["Author"]}
    page = await owner.post(f"/dashboard/owner/tenants/{tenant.id}/members/roles", data=form, headers=HTMX)
    assert "Have another role now: 1" in page.headers["hx-trigger"] and await are("Author") == {"Ann", "Bo"}
    query = "SELECT resource_id FROM audit_log WHERE action = 'member.update' AND outcome = 'success' ORDER BY id"
    rows = [row["resource_id"] for row in await admin.fetch(query)]
    assert sorted(rows) == sorted([*both, *both]), "one for each who changed, none for who was it already"


@pytest.mark.promise("S4-3")
async def test_the_owner_lists_adds_and_places_members(
    owner: AsyncClient, member: Person, tenant: Made, make_tenant: MakeTenant, admin: asyncpg.Connection
) -> None:
    for n in range(3):
        await member(f"m{n}@example.org", "viewer")
    other, api = await make_tenant("Stranger"), f"/api/owner/tenants/{tenant.id}"
    known = await ids(owner, tenant)
    first = (await owner.get(f"{api}/members?limit=2")).json()
    second = (await owner.get(f"{api}/members?limit=2&cursor={first['nextCursor']}")).json()
    assert [row["name"] for row in first["items"] + second["items"]] == ["M2", "M1", "M0"]
    by_name = (await owner.get(f"{api}/members?limit=2&sort=name")).json()
    rest = (await owner.get(f"{api}/members?limit=2&sort=name&cursor={by_name['nextCursor']}")).json()
    assert [row["name"] for row in by_name["items"] + rest["items"]] == ["M0", "M1", "M2"]
    assert [row["name"] for row in (await owner.get(f"{api}/members?q=m1%40")).json()["items"]] == ["M1"]
    assert (await owner.get(f"{api}/members?cursor={first['nextCursor']}&q=m")).json()["code"] == "bad_cursor"
    workspace = (await owner.get(f"{api}/workspaces")).json()["items"][0]["id"]
    place = f"{api}/members/{known['m1']}/workspaces/{workspace}"
    placed = await owner.put(place, json={"roleIds": [known["Editor"]]})
    assert placed.json()["workspaces"] == [{"workspaceId": workspace, "roleIds": [known["Editor"]]}]
    found = (await owner.get(f"{api}/members?workspaceId={workspace}")).json()["items"]
    assert [row["name"] for row in found] == ["M1"]
    assert (await owner.put(place, json={"roleIds": []})).json()["workspaces"] == []
    for wrong, field in (({"email": "nobody@example.org"}, "email"), ({"roleId": str(tenant.id)}, "roleId")):
        body = {"email": "m0@example.org", "roleId": known["Viewer"]} | wrong
        refused = await owner.post(f"{api}/members", json=body)
        assert refused.status_code == 422 and refused.json()["errors"][0]["field"] == field
    twice = await owner.post(f"{api}/members", json={"email": "m0@example.org", "roleId": known["Viewer"]})
    assert twice.json()["code"] == "member_already"
    foreign = await owner.get(f"/api/owner/tenants/{other.id}/members/{known['m0']}")
    assert foreign.status_code == 404
    rows = await admin.fetch("SELECT action, outcome FROM audit_log WHERE tenant_id = $1", tenant.id)
    actions = [tuple(row) for row in rows]
    assert actions.count(("member.add", "success")) == 3 and actions.count(("member.place", "success")) == 2
    assert actions.count(("member.add", "invalid")) == 3, "what the owner tried stands there too"


async def test_each_page_is_whole_and_a_fragment(owner: AsyncClient, member: Person, tenant: Made) -> None:
    chief = await member("chief@example.org", "owner")
    known = await ids(owner, tenant)
    places = [(owner, f"/dashboard/owner/tenants/{tenant.id}"), (chief, f"/dashboard/t/{tenant.slug}")]
    for who, home in places:
        for path in ("members", f"members/{known['chief']}", "roles", f"roles/{known['Editor']}", "invitations"):
            page, part = await who.get(f"{home}/{path}"), await who.get(f"{home}/{path}", headers=HTMX)
            assert page.status_code == part.status_code == 200, (path, page.text)
            assert "<html" in page.text and "<html" not in part.text
        assert (await who.get(f"{home}/impersonations")).status_code == 200
