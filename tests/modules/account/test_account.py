"""One's own account: profile, devices, sessions, consents, and a copy of all of it."""

import asyncpg
import pytest
from httpx2 import AsyncClient

from tests.conftest import ORIGIN, OWNER_EMAIL, OWNER_PASSWORD

FORM = {"email": OWNER_EMAIL, "password": OWNER_PASSWORD}
HTMX = {"HX-Request": "true"}


async def second_browser(client: AsyncClient) -> None:
    assert (await client.post("/signin", data=FORM, headers={"Origin": ORIGIN})).status_code == 303


@pytest.mark.promise("S4-2")
async def test_a_profile_is_what_the_person_says(owner: AsyncClient, admin: asyncpg.Connection) -> None:
    change = {"name": "Olive Owner", "phone": "+49 30 1234", "timezone": "Europe/Berlin", "about": "I own this."}
    changed = await owner.patch("/api/account", json=change)
    assert {name: changed.json()[name] for name in change} == change
    for field, value in (("timezone", "Mars/Olympus"), ("phone", "no"), ("name", ""), ("about", "a\0b")):
        wrong = await owner.patch("/api/account", json={field: value})
        assert (wrong.status_code, [error["field"] for error in wrong.json()["errors"]]) == (422, [field])
    form = change | {"about": "Less to say."}
    too_much = await owner.post("/account/profile", data=form | {"about": "a" * 2001}, headers=HTMX)
    assert too_much.status_code == 422 and "at most 2000" in too_much.text
    saved = await owner.post("/account/profile", data=form, headers=HTMX)
    assert "Less to say." in saved.text and "saved" in saved.headers["hx-trigger"]
    rows = await admin.fetch(
        "SELECT changed_fields FROM audit_log WHERE action = 'account.profile.update'"
        " AND outcome = 'success' ORDER BY id"
    )
    assert rows[-1]["changed_fields"] == '["about"]'


async def test_sessions_and_devices_are_listed_and_ended(owner: AsyncClient, client: AsyncClient) -> None:
    await second_browser(client)
    page = await owner.get("/account")
    assert page.text.count("This one") == 1
    sessions = (await owner.get("/api/account/sessions")).json()["items"]
    devices = (await owner.get("/api/account/devices")).json()
    assert len(sessions) == len(devices) == 2
    theirs = (await client.get("/api/account/sessions")).json()["items"][0]["id"]
    assert (await owner.post(f"/account/sessions/{theirs}/revocation", headers=HTMX)).status_code == 200
    assert (await client.get("/api/account")).status_code == 401
    assert (await owner.delete(f"/api/account/sessions/{theirs}")).status_code == 404
    await second_browser(client)
    newest = (await owner.get("/api/account/devices")).json()[0]["id"]
    assert (await owner.post(f"/account/devices/{newest}/removal", headers=HTMX)).status_code == 200
    assert (await client.get("/api/account")).status_code == 401, "forgetting a device signs it out"
    client.cookies.clear()
    await second_browser(client)
    assert (await owner.delete("/api/account/sessions")).status_code == 204
    assert (await client.get("/api/account")).status_code == 401
    assert (await owner.get("/api/account")).status_code == 200


async def test_nobody_ends_another_persons_session(
    owner: AsyncClient, client: AsyncClient, admin: asyncpg.Connection
) -> None:
    mine = (await owner.get("/api/account/sessions")).json()["items"][0]["id"]
    device = (await owner.get("/api/account/devices")).json()[0]["id"]
    await second_browser(client)
    await admin.execute(
        "WITH other AS (INSERT INTO \"user\" (id, email, name) VALUES (gen_random_uuid(), 'o@example.org', 'O') "
        "RETURNING id) UPDATE session SET user_id = other.id FROM other WHERE session.id <> $1",
        mine,
    )
    client.headers["X-CSRF-Token"] = (
        (await client.get("/account")).text.partition('X-CSRF-Token": "')[2].partition('"')[0]
    )
    assert (await client.get("/api/account")).json()["email"] == "o@example.org"
    foreign = await client.delete(f"/api/account/sessions/{mine}")
    assert foreign.status_code == 404, foreign.text
    assert (await client.delete(f"/api/account/devices/{device}")).status_code == 404
    assert (await owner.get("/api/account")).status_code == 200


async def test_a_changed_password_changes_the_cookie(owner: AsyncClient, client: AsyncClient) -> None:
    before = owner.cookies["teknav_session"]
    body = {"current": OWNER_PASSWORD, "password": "another five word phrase"}
    assert (await owner.put("/api/account/password", json=body)).status_code == 204
    assert owner.cookies["teknav_session"] != before and (await owner.get("/api/account")).status_code == 200
    client.cookies["teknav_session"] = before
    assert (await client.get("/api/account")).status_code == 401


@pytest.mark.promise("S4-2")
async def test_consents_are_kept_for_each_version_and_none_is_changed(
    owner: AsyncClient, admin: asyncpg.Connection
) -> None:
    asked = (await owner.get("/api/account/consents")).json()
    assert asked and all(each["granted"] is None for each in asked)
    purpose = asked[0]["purpose"]
    given = await owner.put(f"/api/account/consents/{purpose}", json={"granted": True})
    assert (given.json()["granted"], given.json()["textVersion"]) == (True, asked[0]["version"])
    await owner.put(f"/api/account/consents/{purpose}", json={"granted": True})
    await owner.post(f"/account/consents/{purpose}", data={}, headers=HTMX)
    rows = await admin.fetch("SELECT granted, ip FROM user_consent ORDER BY id")
    assert [(row["granted"], row["ip"]) for row in rows] == [(True, "127.0.0.1"), (False, "127.0.0.1")]
    assert (await owner.put("/api/account/consents/none", json={"granted": True})).status_code == 404
    copy = await owner.get("/api/account/export")
    assert "attachment" in copy.headers["content-disposition"]
    found = copy.json()
    assert [each["granted"] for each in found["consents"]] == [True, False] and len(found["sessions"]) == 1
    assert "token" not in copy.text.lower() and "password" not in copy.text.lower() and "hash" not in copy.text.lower()


async def test_the_second_factor_is_set_up_on_the_page(owner: AsyncClient, admin: asyncpg.Connection) -> None:
    from tests.modules.identity.test_second_factor import code_of

    begun = await owner.post("/account/factor", headers=HTMX)
    assert "data:image/svg+xml" in begun.text
    secret = begun.text.partition('id="factor-secret" value="')[2].partition('"')[0]
    wrong = await owner.post("/account/factor/confirmation", data={"code": "0"}, headers=HTMX)
    assert wrong.status_code == 422 and 'data-field="code"' in wrong.text
    done = await owner.post("/account/factor/confirmation", data={"code": code_of(secret)}, headers=HTMX)
    assert "recovery codes" in done.text and secret not in done.text
    rows = await admin.fetch("SELECT outcome FROM audit_log WHERE action = 'account.factor.enable' ORDER BY id")
    assert [row["outcome"] for row in rows] == ["invalid", "success"]
    assert "10 recovery codes are left" in (await owner.get("/account")).text
    assert (await owner.post("/account/recovery-codes", headers=HTMX)).status_code == 200
    assert "Whoever learns your password" in (await owner.post("/account/factor/removal", headers=HTMX)).text
