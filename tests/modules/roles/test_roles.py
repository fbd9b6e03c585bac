"""What roles give, and that nobody gives what he does not have."""

import re
import runpy
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from httpx2 import AsyncClient

from app import registry
from app.core import roles as built_in
from tests.conftest import Made

MIGRATIONS = Path(__file__).parents[3] / "alembic" / "versions"
Person = Callable[..., Awaitable[AsyncClient]]
MakeTenant = Callable[[str], Awaitable[Made]]
SEEN = {"articles:read", "ai:read", "ai_usage:read", "drafts:read", "reports:read", "dashboard:read"}
FIGURES = {"analytics:read", "funnels:read", "taxonomy:read", "locales:read"}
BASIC = SEEN | FIGURES | {"files:read"}
WRITES = BASIC | {"articles:write", "ai:run", "drafts:decide", "files:write", "email_templates:read"}
AUTHOR = WRITES | {"approvals:read", "instances:read", "workflows:read"}
MAILS = {"emails:read", "emails:send", "email_templates:read", "email_templates:write", "email_preferences:read"}
EDITOR = AUTHOR | MAILS | {"articles:publish", "approvals:decide", "instances:manage", "events:read", "funnels:write"}
RUNS = {"approvals:read", "instances:read", "workflows:read", "events:read", "plugins:read", "plugins:manage"}
CARES = {"email_preferences:write", "tokens:read", "tokens:write", "workspaces:read"}
LOOKS = {name for name in built_in.grantable(registry.permissions()) if name.endswith(":read")}
# Reviewed by hand.
EXPECTED = {
    "editor": EDITOR | {"taxonomy:write", "locales:write", "imports:read", "imports:write", "plugins:read"},
    "author": AUTHOR,
    "viewer": BASIC,
    "auditor": LOOKS,
    "operator": SEEN
    | FIGURES
    | MAILS
    | RUNS
    | {"email_preferences:write", "tokens:read", "tokens:write", "workspaces:read"},
}


@pytest.mark.promise("S4-3")
async def test_a_new_tenant_has_the_built_in_roles_and_they_may_what_is_reviewed(
    owner: AsyncClient, tenant: Made
) -> None:
    page = (await owner.get(f"/api/owner/tenants/{tenant.id}/roles")).json()
    found: dict[str, set[str]] = {role["builtIn"]: set(role["permissions"]) for role in page["items"]}
    assert set(found) == {each.key for each in built_in.BUILT_IN}
    assert {key: found[key] for key in EXPECTED} == EXPECTED
    assert found["owner"] == set(built_in.grantable(registry.permissions()))
    assert found["owner"] - found["admin"] == {"roles:write"}
    # Nothing of the platform's own is among what members can have.
    assert not found["owner"] & {"tenants:read", "queues:read", "workers:manage", "impersonation:start"}


async def test_roles_from_before_they_told_what_they_are_for_tell_it_after_the_migration(
    owner: AsyncClient, tenant: Made, admin: asyncpg.Connection
) -> None:
    migration = runpy.run_path(str(MIGRATIONS / "0039_what_roles_are_for.py"))
    await admin.execute("UPDATE role SET about = '' WHERE built_in <> 'editor'")
    await admin.execute("UPDATE role SET about = 'Ours' WHERE built_in = 'editor'")
    await admin.execute(migration["FILL"])
    page = (await owner.get(f"/api/owner/tenants/{tenant.id}/roles")).json()
    told = {role["builtIn"]: role["about"] for role in page["items"]}
    assert told == {each.key: each.about for each in built_in.BUILT_IN} | {"editor": "Ours"}


async def test_a_role_is_made_changed_for_all_who_have_it_and_deleted_when_nobody_has(
    owner: AsyncClient, member: Person, tenant: Made
) -> None:
    api = f"/api/owner/tenants/{tenant.id}"
    pages = f"/dashboard/owner/tenants/{tenant.id}"
    body: dict[str, Any] = {"name": "Photo desk", "permissions": ["articles:read", "dashboard:read"]}
    made = await owner.post(f"{api}/roles", json=body)
    assert made.status_code == 201 and made.json()["builtIn"] is None
    assert (await owner.post(f"{api}/roles", json=body | {"name": "photo DESK"})).json()["code"] == "name_taken"
    assert (await owner.post(f"{api}/roles", json=body | {"permissions": ["tenants:write"]})).status_code == 422
    for sort, first in (("name", "Admin"), ("-name", "Viewer"), ("-createdAt", "Photo desk")):
        found = (await owner.get(f"{api}/roles?sort={sort}&limit=1")).json()
        shown = re.search(r'class="row-link"[^>]*>([^<]+)<', (await owner.get(f"{pages}/roles?sort={sort}")).text)
        assert shown and found["items"][0]["name"] == shown[1] == first, sort
        assert (await owner.get(f"{api}/roles?sort={sort}&cursor={found['nextCursor']}")).status_code == 200
    place = made.headers["location"]
    ann = await member("ann@example.org", "Photo desk")
    home = f"/dashboard/t/{tenant.slug}"
    assert (await ann.get(f"{home}/articles")).status_code == 200
    assert (await ann.get(f"{home}/ai/tasks")).status_code == 403
    change = {"permissions": ["ai:read"]}
    assert (await owner.patch(place, json=change, headers={"If-Match": '"7"'})).status_code == 412
    changed = await owner.patch(place, json=change, headers={"If-Match": made.headers["etag"]})
    assert changed.json()["permissions"] == ["ai:read"] and changed.headers["etag"] != made.headers["etag"]
    assert (await ann.get(f"{home}/articles")).status_code == 403
    assert (await ann.get(f"{home}/ai/tasks")).status_code == 200
    assert (await owner.delete(place)).json()["code"] == "role_in_use"
    found = (await owner.get(f"{api}/members?q=ann")).json()["items"][0]
    assert (await owner.delete(f"{api}/members/{found['id']}")).status_code == 204
    assert (await owner.delete(place)).status_code == 204
    assert (await owner.get(place)).status_code == 404


async def test_a_built_in_role_stays_as_it_is(owner: AsyncClient, tenant: Made) -> None:
    roles = (await owner.get(f"/api/owner/tenants/{tenant.id}/roles")).json()["items"]
    place = f"/api/owner/tenants/{tenant.id}/roles/{roles[0]['id']}"
    assert (await owner.patch(place, json={"name": "Mine"})).json()["code"] == "built_in"
    assert (await owner.delete(place)).json()["code"] == "built_in"


async def test_another_tenants_role_answers_as_a_missing_one_and_can_be_given_to_nobody(
    owner: AsyncClient, tenant: Made, make_tenant: MakeTenant, member: Person
) -> None:
    other = await make_tenant("Stranger")
    chief = await member("chief@example.org", "owner")
    theirs = (await owner.get(f"/api/owner/tenants/{other.id}/roles")).json()["items"][0]["id"]
    home, missing = f"/dashboard/t/{tenant.slug}", "00000000-0000-7000-8000-000000000007"
    answers = [await chief.get(f"{home}/roles/{id_}") for id_ in (theirs, missing)]
    assert [answer.status_code for answer in answers] == [404, 404]
    me = (await owner.get(f"/api/owner/tenants/{tenant.id}/members")).json()["items"][0]["id"]
    given = [
        await chief.post(f"{home}/members/{me}/role", data={"roleId": id_}, headers={"HX-Request": "true"})
        for id_ in (theirs, missing)
    ]
    assert [answer.status_code for answer in given] == [422, 422]
    assert given[0].text.replace(given[0].headers["x-request-id"], "") == given[1].text.replace(
        given[1].headers["x-request-id"], ""
    )


async def test_a_member_makes_roles_of_what_he_has_himself(member: Person, tenant: Made, owner: AsyncClient) -> None:
    chief = await member("chief@example.org", "owner")
    body = {"name": "Keys", "permissions": ["roles:read", "roles:write"]}
    assert (await owner.post(f"/api/owner/tenants/{tenant.id}/roles", json=body)).status_code == 201
    keys = await member("keys@example.org", "Keys")
    pages = f"/dashboard/t/{tenant.slug}/roles"
    form = {"name": "More", "about": "", "permissions": ["roles:read", "members:write"]}
    refused = await keys.post(pages, data=form, headers={"HX-Request": "true"})
    assert refused.status_code == 403 and "members:write" in refused.text
    made = await keys.post(pages, data=form | {"permissions": "roles:read"}, headers={"HX-Request": "true"})
    assert made.status_code == 200 and "More" in made.text
    assert (await chief.post(pages, data=form, headers={"HX-Request": "true"})).status_code == 409


async def test_after_a_role_is_made_or_deleted_the_list_is_searched_and_sorted_as_before(
    member: Person, tenant: Made
) -> None:
    chief = await member("chief@example.org", "owner")
    pages = f"/dashboard/t/{tenant.slug}/roles"
    htmx = {"HX-Request": "true", "HX-Current-URL": f"http://testserver{pages}?q=desk&sort=-name"}
    form = {"about": "", "permissions": "roles:read"}
    shown = re.compile(rf'<a class="row-link" href="({pages}/[^"]+)"[^>]*>([^<]+)<')
    for number, name in enumerate(("Photo desk", "Map desk", "Night desk"), 1):
        made = await chief.post(pages, data=form | {"name": name}, headers=htmx)
        assert len(shown.findall(made.text)) == number, "no built-in role: none is called desk"
    rows = shown.findall(made.text)
    assert [name for _, name in rows] == ["Photo desk", "Night desk", "Map desk"]
    left = await chief.post(f"{rows[1][0]}/removal", headers=htmx)
    assert [name for _, name in shown.findall(left.text)] == ["Photo desk", "Map desk"]
