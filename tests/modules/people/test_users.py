"""People: made, found, changed, banned and deleted, by the API, the pages and the command."""

import asyncpg
import pytest
from httpx2 import AsyncClient

from app.core.ids import new_id
from tests.conftest import ORIGIN, OWNER_EMAIL
from tests.modules.conftest import Mailbox, Teknav

API, PAGES = "/api/owner/users", "/dashboard/owner/users"
EMAIL, PASSWORD = "ada@example.org", "engines of difference"
HTMX = {"HX-Request": "true"}


async def make(owner: AsyncClient, email: str = EMAIL, name: str = "Ada Lovelace") -> str:
    answer = await owner.post(API, json={"email": email, "name": name})
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"{API}/{answer.json()['id']}"
    return str(answer.json()["id"])


async def enter(client: AsyncClient, mailbox: Mailbox, email: str = EMAIL) -> None:
    """Follow the link of the welcoming mail, and sign in."""
    link = (await mailbox(email))[0].link
    assert (await client.post(link, data={"password": PASSWORD, "repeat": PASSWORD})).status_code == 200
    form = {"email": email, "password": PASSWORD}
    assert (await client.post("/signin", data=form, headers={"Origin": ORIGIN})).status_code == 303


@pytest.mark.promise("S4-2", "S4-3", "S4-48", "S0-46")
async def test_a_person_is_made_found_changed_and_deleted(
    owner: AsyncClient, client: AsyncClient, mailbox: Mailbox, admin: asyncpg.Connection
) -> None:
    id_ = await make(owner, " Ada@Example.org ")
    made = (await owner.get(f"{API}/{id_}")).json()
    assert (made["email"], made["role"], made["state"], made["phone"]) == (EMAIL, "user", "invited", None)
    for wanted, count in (({"q": "LOVEL"}, 1), ({"q": "ada@"}, 1), ({"q": "%"}, 0), ({"state": "invited"}, 1)):
        found = (await owner.get(API, params=wanted)).json()["items"]
        assert [one["id"] for one in found] == [id_] * count, wanted
    owners = (await owner.get(API, params={"role": "owner"})).json()["items"]
    assert [one["email"] for one in owners] == [OWNER_EMAIL]
    assert (await owner.get(API, params={"state": "lost"})).status_code == 422
    first = (await owner.get(API, params={"limit": 1})).json()
    assert [one["id"] for one in first["items"]] == [id_] and first["nextCursor"] and not first["prevCursor"]

    await enter(client, mailbox)
    changed = await owner.patch(f"{API}/{id_}", json={"phone": "+44 20 7946 0018"}, headers={"If-Match": '"1"'})
    assert changed.status_code == 412, "a password was set in the meantime"
    current = (await owner.get(f"{API}/{id_}")).headers["etag"]
    changed = await owner.patch(f"{API}/{id_}", json={"phone": "+44 20 7946 0018"}, headers={"If-Match": current})
    assert (changed.json()["phone"], changed.json()["state"]) == ("+44 20 7946 0018", "active")
    for field, value in (("email", "x"), ("phone", "call me"), ("name", "a\nb")):
        wrong = await owner.patch(f"{API}/{id_}", json={field: value})
        assert [error["field"] for error in wrong.json()["errors"]] == [field]
    taken = await owner.patch(f"{API}/{id_}", json={"email": OWNER_EMAIL})
    assert (taken.status_code, taken.json()["code"]) == (409, "email_taken")

    assert (await owner.delete(f"{API}/{id_}")).status_code == 204
    assert (await client.get("/api/account")).status_code == 401
    gone = [await owner.get(f"{API}/{each}") for each in (id_, new_id())]
    assert {answer.status_code for answer in gone} == {404}
    for table in ("session", "user_device", "otp_code"):
        assert await admin.fetchval(f"SELECT count(*) FROM {table} WHERE user_id::text = $1", id_) == 0, table
    assert await admin.fetchval("SELECT count(*) FROM email_log WHERE recipient = $1", EMAIL) == 0
    query = "SELECT action FROM audit_log WHERE outcome = 'success' AND action LIKE 'owner.user.%' ORDER BY id"
    rows = await admin.fetch(query)
    assert [row["action"] for row in rows] == ["owner.user.create", "owner.user.update", "owner.user.erase"]
    for table in ("audit_log", "data_access_log"):
        named = f"SELECT count(*) FROM {table} WHERE strpos(lower({table}::text), $1) > 0"
        assert await admin.fetchval(named, EMAIL) == 0, f"{table} still names the person"


@pytest.mark.promise("S4-76")
async def test_a_banned_person_is_out_at_once(
    owner: AsyncClient, client: AsyncClient, mailbox: Mailbox, admin: asyncpg.Connection
) -> None:
    id_ = await make(owner)
    await enter(client, mailbox)
    assert (await client.get("/api/account")).json()["email"] == EMAIL
    banned = await owner.put(f"{API}/{id_}/ban", json={"reason": "Sold the list of readers"})
    assert (banned.json()["state"], banned.json()["disabledReason"]) == ("banned", "Sold the list of readers")
    assert (await client.get("/api/account")).status_code == 401
    assert (await owner.get(f"{API}/{id_}/sessions")).json()["items"] == []
    form = {"email": EMAIL, "password": PASSWORD}
    assert (await client.post("/signin", data=form, headers={"Origin": ORIGIN})).status_code == 401
    assert (await owner.post(f"{API}/{id_}/password-reset")).json()["code"] == "user_banned"
    row = await admin.fetchrow("SELECT reason, before, after FROM audit_log WHERE action = 'owner.user.ban'")
    assert row["reason"] == "Sold the list of readers" and '"sessions_ended": 1' in row["after"]
    assert (await owner.delete(f"{API}/{id_}/ban")).json()["state"] == "active"
    assert (await client.get("/api/account")).status_code == 401, "what was ended stays ended"
    assert (await client.post("/signin", data=form, headers={"Origin": ORIGIN})).status_code == 303


async def test_there_is_always_an_owner_and_nobody_cuts_their_own_branch(
    owner: AsyncClient, teknav: Teknav, admin: asyncpg.Connection
) -> None:
    mine = str(await admin.fetchval('SELECT id FROM "user"'))
    for method, path, body in (("PUT", "ban", {}), ("PUT", "role", {"role": "user"}), ("DELETE", "", None)):
        answer = await owner.request(method, f"{API}/{mine}/{path}".rstrip("/"), json=body)
        assert (answer.status_code, answer.json()["code"]) == (409, "own_account")
    for command in (("ban", OWNER_EMAIL), ("role", OWNER_EMAIL, "user"), ("erase", OWNER_EMAIL, "--yes")):
        assert "the last owner" in await teknav("user", *command, code=1)
    other = await make(owner)
    assert (await owner.put(f"{API}/{other}/role", json={"role": "owner"})).json()["role"] == "owner"
    assert "is banned" in await teknav("user", "ban", OWNER_EMAIL, "--reason", "left")


async def test_the_pages_do_the_same(owner: AsyncClient, client: AsyncClient, mailbox: Mailbox) -> None:
    form = {"email": EMAIL, "name": "Ada Lovelace", "phone": ""}
    made = await owner.post(PAGES, data=form, headers=HTMX)
    home = made.headers["hx-redirect"]
    assert home.startswith(PAGES)
    await enter(client, mailbox)
    for headers in ({}, HTMX):
        listed = await owner.get(PAGES, params={"q": "ada"}, headers=headers)
        shown = await owner.get(home, headers=headers)
        assert "Ada Lovelace" in listed.text and "127.0.0.1" in shown.text
        assert ("<html" in listed.text) == ("<html" in shown.text) == (not headers)
    assert "No user fits" in (await owner.get(PAGES, params={"q": "nobody"})).text
    version = (await owner.get(f"{API}/{home.rpartition('/')[2]}")).json()["version"]
    for answer, status in (
        (await owner.post(home, data=form | {"name": "Augusta", "version": version}, headers=HTMX), 200),
        (await owner.post(home, data=form | {"name": "Late", "version": version}, headers=HTMX), 412),
        (await owner.post(f"{home}/password-reset", headers=HTMX), 200),
        (await owner.post(f"{home}/factor-removal", headers=HTMX), 200),
        (await owner.post(f"{home}/ban", data={"reason": "x" * 501}, headers=HTMX), 422),
        (await owner.post(f"{home}/ban", data={"reason": "x"}, headers=HTMX), 200),
        (await owner.post(f"{home}/unban", headers=HTMX), 200),
        (await owner.post(f"{home}/role", data={"role": "owner"}, headers=HTMX), 200),
    ):
        assert answer.status_code == status, answer.text
    page = await owner.get(home)
    assert "Augusta" in page.text and "Owner of the platform" in page.text
    assert (await owner.post(f"{home}/erasure", headers=HTMX)).headers["hx-redirect"] == PAGES
    assert (await owner.get(home)).status_code == 404


async def test_every_session_is_listed_and_can_be_ended(
    owner: AsyncClient, client: AsyncClient, mailbox: Mailbox, teknav: Teknav
) -> None:
    id_ = await make(owner)
    await enter(client, mailbox)
    for address in ("/api/owner/sessions", f"{API}/{id_}/sessions", f"{API}/{id_}/devices"):
        found = (await owner.get(address)).json()
        assert "token" not in str(found).lower() and len(found if isinstance(found, list) else found["items"]) > 0
    page = await owner.get("/dashboard/owner/sessions")
    assert EMAIL in page.text and OWNER_EMAIL in page.text
    (session,) = (await owner.get(f"{API}/{id_}/sessions")).json()["items"]
    ended = await owner.post(f"/dashboard/owner/sessions/{session['id']}/revocation", headers=HTMX)
    assert ended.status_code == 200 and EMAIL not in ended.text
    assert (await client.get("/api/account")).status_code == 401
    assert (await owner.delete(f"/api/owner/sessions/{session['id']}")).status_code == 404
    listed = await teknav("session", "list", "--user", OWNER_EMAIL)
    assert OWNER_EMAIL in listed and "127.0.0.1" in listed


async def test_the_command_knows_people(teknav: Teknav, owner: AsyncClient, mailbox: Mailbox) -> None:
    assert EMAIL in await teknav("user", "create", "--email", EMAIL, "--name", "Ada")
    assert EMAIL in await teknav("user", "list", "--state", "invited") and EMAIL in await teknav("user", "show", EMAIL)
    assert "There is no such person" in await teknav("user", "show", "nobody@example.org", code=1)
    assert "on its way" in await teknav("user", "reset-password", EMAIL)
    assert [mail.subject for mail in await mailbox(EMAIL)] == ["Your TekNav account", "A new password for TekNav"]
    assert "may sign in again" in await teknav("user", "unban", EMAIL)
    assert "no second factor" in await teknav("user", "reset-factor", EMAIL)
    assert "owner" in await teknav("user", "role", EMAIL, "owner")
    assert "is deleted" in await teknav("user", "erase", EMAIL, "--yes")
