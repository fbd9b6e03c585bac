"""Somebody of the platform sees a tenant as one of its members does: to read only, for a time, with a trace."""

import re
from collections.abc import Awaitable, Callable

import asyncpg
import pytest
from httpx2 import AsyncClient

from tests.conftest import OWNER_EMAIL, Made

Person = Callable[..., Awaitable[AsyncClient]]
HTMX = {"HX-Request": "true"}


async def begin(owner: AsyncClient, tenant: Made, reason: str = "Ticket 12") -> int:
    members = (await owner.get(f"/api/owner/tenants/{tenant.id}/members")).json()["items"]
    place = f"/dashboard/owner/tenants/{tenant.id}/members/{members[0]['id']}/impersonation"
    answer = await owner.post(place, data={"reason": reason}, headers=HTMX)
    assert answer.status_code != 200 or answer.headers["hx-redirect"] == f"/dashboard/t/{tenant.slug}"
    return answer.status_code


async def test_the_owner_sees_what_the_member_sees_changes_nothing_and_ends_it(
    owner: AsyncClient, member: Person, tenant: Made, admin: asyncpg.Connection
) -> None:
    await member("chief@example.org", "admin")
    home = f"/dashboard/t/{tenant.slug}"
    assert (await owner.get(f"{home}/articles")).status_code == 404
    assert await begin(owner, tenant, " ") == 422
    assert await begin(owner, tenant) == 200
    for path in ("", "/articles", "/members", "/roles", "/invitations", "/impersonations", "/logs/audit"):
        page = await owner.get(home + path)
        assert page.status_code == 200, path
        assert f"{OWNER_EMAIL} sees this as <strong>chief@example.org</strong>" in page.text
        assert 'action="/impersonation/end"' in page.text
        assert 'data-dialog-open="new-' not in page.text, "nothing that would be refused"
    assert "Ticket 12" in (await owner.get(f"{home}/impersonations")).text
    # Everything else is closed: the platform, other people's doors, and every change.
    assert (await owner.get("/dashboard/owner/tenants")).status_code == 403
    assert (await owner.get("/api/owner/tenants")).status_code == 403
    assert (await owner.get("/dashboard")).headers["location"] == home
    form = {"email": "x@example.org", "roleId": str(tenant.id)}
    assert (await owner.post(f"{home}/invitations", data=form, headers=HTMX)).status_code == 403
    ended = await owner.post("/impersonation/end")
    assert ended.headers["location"] == f"/dashboard/owner/tenants/{tenant.id}/members"
    assert (await owner.get("/api/owner/tenants")).status_code == 200
    assert (await owner.get(f"{home}/articles")).status_code == 404
    assert (await owner.post("/impersonation/end")).status_code == 409
    rows = await admin.fetch(
        "SELECT action, outcome, actor_label, impersonator_id, reason FROM audit_log "
        "WHERE tenant_id = $1 AND (action LIKE 'impersonation.%' OR impersonator_id IS NOT NULL) ORDER BY id",
        tenant.id,
    )
    owner_id = await admin.fetchval("""SELECT id FROM "user" WHERE email = $1""", OWNER_EMAIL)
    both = f"chief@example.org (seen by {OWNER_EMAIL})"
    assert [tuple(row) for row in rows] == [
        ("impersonation.start", "invalid", OWNER_EMAIL, None, None),
        ("impersonation.start", "success", OWNER_EMAIL, None, "Ticket 12"),
        ("invitation.create", "denied", both, owner_id, None),
        ("impersonation.end", "success", both, owner_id, None),
    ]


async def test_impersonations_are_searched_and_sorted_in_both_dashboards_and_by_the_api(
    owner: AsyncClient, member: Person, tenant: Made, admin: asyncpg.Connection
) -> None:
    chief = await member("chief@example.org", "admin")
    for reason in ("Ticket 12", "The list is empty", "50% of mails"):
        assert await begin(owner, tenant, reason) == 200
        await owner.post("/impersonation/end")
    await admin.execute("UPDATE impersonation SET label = 'ann@example.org' WHERE reason = 'Ticket 12'")
    api = f"/api/owner/tenants/{tenant.id}/impersonations"
    pages = (
        (owner, f"/dashboard/owner/tenants/{tenant.id}/impersonations"),
        (chief, f"/dashboard/t/{tenant.slug}/impersonations"),
    )
    every = ["50% of mails", "The list is empty", "Ticket 12"]
    for query, reasons in (
        ("", every),
        ("q=LIST", every[1:2]),
        ("q=50%25", every[:1]),
        ("q=ann@", every[2:]),
        ("sort=createdAt", every[::-1]),
        ("sort=label", ["Ticket 12", *every[1::-1]]),
        ("q=nothing", []),
    ):
        items = (await owner.get(f"{api}?{query}")).json()["items"]
        assert [item["reason"] for item in items] == reasons, query
        for who, page in pages:
            text = (await who.get(f"{page}?{query}", headers=HTMX)).text
            assert re.findall(r'data-label="Why"><span[^>]*>([^<]+)<', text) == reasons and "<html" not in text, query
            assert reasons or "No impersonation fits" in text
    first = (await owner.get(f"{api}?sort=label&limit=2")).json()
    rest = (await owner.get(f"{api}?sort=label&limit=2&cursor={first['nextCursor']}")).json()
    assert [item["reason"] for item in first["items"] + rest["items"]] == ["Ticket 12", *every[1::-1]]
    assert (await owner.get(f"{api}?sort=reason")).status_code == 422
    assert (await chief.get(f"{pages[1][1]}?sort=reason")).status_code == 422


async def test_it_is_over_after_an_hour_and_with_the_membership_the_session_or_the_right(
    owner: AsyncClient, member: Person, tenant: Made, admin: asyncpg.Connection
) -> None:
    await member("chief@example.org", "admin")
    home = f"/dashboard/t/{tenant.slug}"
    assert await begin(owner, tenant) == 200
    lasts = await admin.fetchval("SELECT extract(epoch FROM expires_at - created_at) FROM impersonation")
    assert float(lasts) == pytest.approx(3600, abs=30)
    await admin.execute("UPDATE impersonation SET expires_at = now()")
    assert (await owner.get(f"{home}/articles")).status_code == 404
    assert (await owner.get("/api/owner/tenants")).status_code == 200
    assert await begin(owner, tenant) == 200
    await admin.execute("""UPDATE "user" SET role = 'auditor' WHERE email = $1""", OWNER_EMAIL)
    assert (await owner.get(f"{home}/articles")).status_code == 404
    await admin.execute("""UPDATE "user" SET role = 'owner' WHERE email = $1""", OWNER_EMAIL)
    assert (await owner.get(f"{home}/articles")).status_code == 200
    await admin.execute("DELETE FROM tenant_member")
    assert (await owner.get(f"{home}/articles")).status_code == 404
    assert (await owner.get("/api/owner/tenants")).status_code == 200


async def test_signing_out_ends_it_and_only_who_may_begins(
    owner: AsyncClient, member: Person, tenant: Made, make_person: Callable[..., Awaitable[object]], sign_in: Person
) -> None:
    await member("chief@example.org", "admin")
    await make_person("look@example.org", "auditor")
    assert await begin(await sign_in("look@example.org"), tenant) == 403
    assert await begin(owner, tenant) == 200
    assert (await owner.post("/signout")).status_code == 303
    assert (await owner.get("/api/owner/tenants")).status_code == 401
