"""How people come into a tenant: by a link that is good once, for one address and for seven days."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from httpx2 import ASGITransport, AsyncClient
from msgspec.structs import replace

from app.core.settings import Settings
from app.main import create_app
from app.modules.people.models import User
from tests.conftest import ORIGIN, Made
from tests.modules.conftest import Mailbox, Teknav

Person = Callable[..., Awaitable[AsyncClient]]
LINK = r"http://testserver/invitations/[\w-]{64,}"
NEW = {"name": "Bo Writer", "password": "a password of some length", "repeat": "a password of some length"}


async def role_of(client: AsyncClient, tenant: Made, name: str) -> str:
    roles = (await client.get(f"/api/owner/tenants/{tenant.id}/roles?limit=50")).json()["items"]
    return str(next(role["id"] for role in roles if role["name"] == name))


async def invite(owner: AsyncClient, tenant: Made, email: str, role: str) -> dict[str, Any]:
    body = {"email": email, "roleId": await role_of(owner, tenant, role)}
    answer = await owner.post(f"/api/owner/tenants/{tenant.id}/invitations", json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def test_a_tenant_takes_no_more_members_than_its_quota(
    owner: AsyncClient, client: AsyncClient, member: Person, make_person: Person, tenant: Made
) -> None:
    await member("ann@example.org", "admin")
    place = f"/api/owner/tenants/{tenant.id}"
    assert (await owner.patch(f"{place}/quotas", json={"quotas": {"members": 1}})).status_code == 200
    await make_person("cy@example.org")
    body = {"email": "cy@example.org", "roleId": await role_of(owner, tenant, "Viewer")}
    refused = await owner.post(f"{place}/members", json=body)
    assert (refused.status_code, refused.json()["code"]) == (409, "quota_exceeded")
    link = (await invite(owner, tenant, "bo@example.org", "Editor"))["link"]
    assert (await client.post(link, data=NEW)).status_code == 409
    assert len((await owner.get(f"{place}/members")).json()["items"]) == 1
    assert (await owner.patch(f"{place}/quotas", json={"quotas": {"members": 2}})).status_code == 200
    assert (await client.post(link, data=NEW)).status_code == 303
    # Three at once for one place that is left.
    assert (await owner.patch(f"{place}/quotas", json={"quotas": {"members": 3}})).status_code == 200
    for name in "xyz":
        await make_person(f"{name}@example.org")
    adding = [owner.post(f"{place}/members", json=body | {"email": f"{name}@example.org"}) for name in "xyz"]
    answers = await asyncio.gather(*adding)
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409]
    told = {answer.json()["detail"] for answer in answers if answer.status_code == 409}
    assert told == {"Members: this tenant may have 3 and has 3"}


@pytest.mark.promise("S4-3")
async def test_somebody_without_an_account_makes_one_and_is_in(
    owner: AsyncClient,
    client: AsyncClient,
    tenant: Made,
    sign_in: Person,
    admin: asyncpg.Connection,
    mailbox: Callable[[str], Awaitable[list[Any]]],
) -> None:
    made = await invite(owner, tenant, "Bo@Example.org", "Editor")
    (mail,) = await mailbox("bo@example.org")
    assert mail.subject == "You are invited to Harbour Press" and made["link"] in mail.text
    page = await client.get(made["link"])
    assert page.status_code == 200 and "bo@example.org is invited as Editor" in page.text
    assert (await client.post(made["link"], data=NEW | {"repeat": "another"})).status_code == 422
    assert (await client.post(made["link"], data=NEW | {"password": "short", "repeat": "short"})).status_code == 422
    joined = await client.post(made["link"], data=NEW)
    assert joined.headers["location"] == f"/signin?next=/dashboard/t/{tenant.slug}"
    bo = await sign_in("bo@example.org")
    assert (await bo.get(f"/dashboard/t/{tenant.slug}/articles")).status_code == 200
    assert (await bo.get(f"/dashboard/t/{tenant.slug}/members")).status_code == 403
    assert (await client.get(made["link"])).status_code == 410
    assert (await client.post(made["link"], data=NEW)).status_code == 410
    rows = await admin.fetch("SELECT action, actor_label FROM audit_log WHERE tenant_id = $1", tenant.id)
    done = {(row["action"], row["actor_label"]) for row in rows}
    assert {("member.add", "bo@example.org"), ("invitation.accept", "bo@example.org")} <= done
    secret = made["link"].rpartition("/")[2]
    for table in ("audit_log", "job", "email_log", "invitation"):
        kept = await admin.fetchval(f"SELECT count(*) FROM {table} row WHERE strpos(row::text, $1) > 0", secret)
        assert kept == 0, table


async def test_somebody_with_an_account_signs_in_and_joins(
    owner: AsyncClient,
    client: AsyncClient,
    tenant: Made,
    make_person: Callable[..., Awaitable[User]],
    sign_in: Person,
) -> None:
    await make_person("ann@example.org")
    await make_person("eve@example.org")
    link = (await invite(owner, tenant, "ann@example.org", "Viewer"))["link"]
    assert "Sign in to join" in (await client.get(link)).text
    assert (await client.post(link, data=NEW)).status_code == 409
    eve = await sign_in("eve@example.org")
    assert "You are signed in as eve@example.org" in (await eve.get(link)).text
    assert (await eve.post(f"{link}/join")).status_code == 403
    ann = await sign_in("ann@example.org")
    joined = await ann.post(f"{link}/join")
    assert joined.headers["location"] == f"/dashboard/t/{tenant.slug}"
    assert (await ann.get(joined.headers["location"])).status_code == 200


async def test_a_link_that_was_taken_back_or_is_too_old_leads_nowhere(
    owner: AsyncClient, client: AsyncClient, tenant: Made, admin: asyncpg.Connection
) -> None:
    api = f"/api/owner/tenants/{tenant.id}/invitations"
    first, second = (
        await invite(owner, tenant, "a@example.org", "Viewer"),
        await invite(owner, tenant, "b@example.org", "Viewer"),
    )
    body = {"email": "a@example.org", "roleId": await role_of(owner, tenant, "Viewer")}
    assert (await owner.post(api, json=body)).json()["code"] == "invited_already"
    assert (await owner.delete(f"{api}/{first['id']}")).status_code == 204
    await admin.execute("UPDATE invitation SET expires_at = now() WHERE email = 'b@example.org'")
    for made in (first, second):
        assert (await client.get(made["link"])).status_code == 410
        assert (await client.post(made["link"], data=NEW)).status_code == 410
    states = {row["email"]: row["state"] for row in (await owner.get(api)).json()["items"]}
    assert states == {"a@example.org": "revoked", "b@example.org": "expired"}
    assert [row["email"] for row in (await owner.get(f"{api}?state=expired")).json()["items"]] == ["b@example.org"]
    # What ran out makes room for another.
    assert await invite(owner, tenant, "b@example.org", "Viewer")


async def test_invitations_are_sent_again_and_taken_back_together(
    owner: AsyncClient,
    client: AsyncClient,
    tenant: Made,
    admin: asyncpg.Connection,
    mailbox: Mailbox,
    teknav: Teknav,
    make_tenant: Callable[[str], Awaitable[Made]],
) -> None:
    api, pages = (f"/{start}/owner/tenants/{tenant.id}/invitations" for start in ("api", "dashboard"))
    made = {name: await invite(owner, tenant, f"{name}@example.org", "Viewer") for name in ("a", "b", "c")}
    ids = [one["id"] for one in made.values()]
    await admin.execute("UPDATE invitation SET expires_at = now() - interval '1 day'")
    assert (await client.get(made["a"]["link"])).status_code == 410
    again = await owner.post(f"{api}/{ids[0]}/reminder")
    for sort, order in (("email", "abc"), ("-email", "cba"), ("-createdAt", "cba"), ("-expiresAt", "acb")):
        found = (await owner.get(f"{api}?sort={sort}")).json()["items"]
        shown = re.findall(r'class="row-link"[^>]*>(\w)@', (await owner.get(f"{pages}?sort={sort}")).text)
        assert [one["email"][0] for one in found] == shown == [*order], sort
    assert again.status_code == 200 and again.json()["state"] == "pending"
    assert [mail.link for mail in await mailbox("a@example.org")] == [made["a"]["link"].removeprefix(ORIGIN)] * 2
    assert (await client.get(made["a"]["link"])).status_code == 200
    assert (await owner.post(f"{api}/reminders", json={"ids": ids})).json() == {"changed": 3}
    other = await make_tenant("Other Press")
    foreign = await invite(owner, other, "d@example.org", "Viewer")
    for kind in ("reminders", "revocations"):
        assert (await owner.post(f"{api}/{kind}", json={"ids": [ids[0], foreign["id"]]})).status_code == 404
        assert (await owner.post(f"{api}/{kind}", json={"ids": []})).status_code == 422
    shown = await owner.post(f"{pages}/reminders", data={"ids": ids[1]}, headers={"HX-Request": "true"})
    assert "A mail to b@example.org is on its way" in shown.headers["hx-trigger"]
    shown = await owner.post(f"{pages}/revocations", data={"ids": ids[:2]}, headers={"HX-Request": "true"})
    assert "Taken back now: 2" in shown.headers["hx-trigger"] and shown.text.count("Revoked") == 2
    assert (await owner.post(f"{api}/revocations", json={"ids": ids})).json() == {"changed": 1}
    assert (await owner.post(f"{api}/{ids[0]}/reminder")).json()["code"] == "invitation_over"
    rows = await admin.fetch(
        "SELECT action, count(*) FROM audit_log WHERE outcome = 'success' AND resource_type = 'invitation' GROUP BY 1"
    )
    counts = {row["action"]: row["count"] for row in rows}
    assert (counts["invitation.resend"], counts["invitation.revoke"]) == (5, 3)
    told = await teknav("invitation", "create", "e@example.org", "--tenant", tenant.slug, "--role", "viewer")
    assert re.search(r"/invitations/[\w-]{64,}\n", told)
    at = ("--tenant", tenant.slug)
    listed = json.loads(await teknav("invitation", "list", *at, "--state", "pending", "--json"))["items"]
    assert [one["email"] for one in listed] == ["e@example.org"]
    assert "A mail to e@example.org" in await teknav("invitation", "resend", listed[0]["id"], *at)
    assert "Taken back now: 1" in await teknav("invitation", "revoke", listed[0]["id"], *at)
    assert "no such invitation" in await teknav("invitation", "resend", foreign["id"], *at, code=1)


async def test_a_member_invites_with_the_link_shown_once_and_gives_no_right_that_he_does_not_have(
    member: Person, tenant: Made, owner: AsyncClient, client: AsyncClient
) -> None:
    chief = await member("chief@example.org", "admin")
    pages = f"/dashboard/t/{tenant.slug}/invitations"
    higher = {"email": "x@example.org", "roleId": await role_of(owner, tenant, "Owner")}
    refused = await chief.post(pages, data=higher, headers={"HX-Request": "true"})
    assert refused.status_code == 403 and "roles:write" in refused.text
    form = {"email": "x@example.org", "roleId": await role_of(owner, tenant, "Admin")}
    made = await chief.post(pages, data=form, headers={"HX-Request": "true"})
    assert made.status_code == 200 and re.search(LINK, made.text)
    shown = await chief.get(pages)
    assert "x@example.org" in shown.text and not re.search(LINK, shown.text)
    assert (await client.get(f"/api/owner/tenants/{tenant.id}/invitations")).status_code == 401


async def test_where_mails_go_out_a_member_does_not_see_the_link_to_the_account_of_another(
    owner: AsyncClient, member: Person, tenant: Made, settings: Settings
) -> None:
    admin, role = await member("ann@example.org", "admin"), await role_of(owner, tenant, "Viewer")
    mailing = create_app(replace(settings, smtp_url="smtp://127.0.0.1:1"))
    shown = []
    for who, home in ((admin, f"t/{tenant.slug}"), (owner, f"owner/tenants/{tenant.id}")):
        asked = {"email": f"{len(shown)}@example.org", "roleId": role}
        transport = ASGITransport(app=mailing)  # type: ignore[arg-type]
        async with AsyncClient(transport=transport, base_url=ORIGIN, cookies=who.cookies, headers=who.headers) as there:
            made = await there.post(f"/dashboard/{home}/invitations", data=asked, headers={"HX-Request": "true"})
        assert made.status_code == 200, made.text
        shown.append(re.search(LINK, made.text) is not None)
    assert shown == [False, True]
    await mailing.state.process.close()
