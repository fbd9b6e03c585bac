"""People: made, found, changed, banned and deleted, by the API, the pages and the command."""

import html
import json
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from httpx2 import AsyncClient

from app.core.ids import new_id
from app.modules.people.service import User
from tests.conftest import ORIGIN, OWNER_EMAIL, Person
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
    link = re.search(r'href="([^"]+)">Ended sessions<', (await owner.get(f"{PAGES}/{id_}")).text)
    assert link and session["id"] not in (await owner.get("/api/owner/sessions")).text
    assert EMAIL in (await owner.get(html.unescape(link[1]))).text.partition("<table")[2]
    assert (await owner.delete(f"/api/owner/sessions/{session['id']}")).status_code == 404
    listed = await teknav("session", "list", "--user", OWNER_EMAIL)
    assert OWNER_EMAIL in listed and "127.0.0.1" in listed


@pytest.mark.promise("S4-2")
async def test_sessions_are_found_by_person_browser_and_state_sorted_and_ended_together(
    owner: AsyncClient,
    make_person: Callable[..., Awaitable[User]],
    sign_in: Person,
    teknav: Teknav,
    admin: asyncpg.Connection,
) -> None:
    api, pages = "/api/owner/sessions", "/dashboard/owner/sessions"
    browsers = {name: await _enter(make_person, sign_in, f"{name}@example.org") for name in ("ann", "bob", "cleo")}
    agent = (
        'UPDATE session SET user_agent = $2, last_seen_at = $3 WHERE user_id = (SELECT id FROM "user" WHERE email = $1)'
    )
    said = {"ann": "Firefox/140.0", "bob": "Chrome/150.0", "cleo": "Firefox/141.0"}
    for hours, name in enumerate(said):
        seen = datetime.now(UTC) - timedelta(hours=hours)
        await admin.execute(agent, f"{name}@example.org", said[name], seen)

    async def found(query: str) -> list[str]:
        items = (await owner.get(f"{api}?{query}")).json()["items"]
        return [item["userAgent"] for item in items if item["userAgent"][0] in "FC"]

    assert await found("device=firefox") == ["Firefox/141.0", "Firefox/140.0"]
    assert await found("q=BOB%40") == ["Chrome/150.0"]
    assert await found("sort=lastSeenAt") == ["Firefox/141.0", "Chrome/150.0", "Firefox/140.0"]
    first = (await owner.get(f"{api}?device=Firefox&limit=1&sort=lastSeenAt")).json()
    second = (await owner.get(f"{api}?device=Firefox&limit=1&sort=lastSeenAt&cursor={first['nextCursor']}")).json()
    assert [page["items"][0]["userAgent"] for page in (first, second)] == ["Firefox/141.0", "Firefox/140.0"]
    assert (await owner.get(f"{api}?cursor={first['nextCursor']}")).status_code == 400
    assert (await owner.get(f"{api}?state=nonsense")).status_code == 422
    ids = [item["id"] for item in (await owner.get(f"{api}?device=Firefox")).json()["items"]]
    assert (await owner.post(f"{api}/revocations", json={"ids": []})).status_code == 422
    ended = await owner.post(f"{api}/revocations", json={"ids": [*ids, str(new_id())]})
    assert ended.json() == {"revoked": 2}
    query = "SELECT resource_id FROM audit_log WHERE action = 'session.revoke' AND outcome = 'success' ORDER BY id"
    assert [row["resource_id"] for row in await admin.fetch(query)] == sorted(ids)
    assert [(await browsers[name].get("/api/account")).status_code for name in browsers] == [401, 200, 401]
    assert await found("state=ended&device=Firefox") == ["Firefox/141.0", "Firefox/140.0"]
    page = await owner.get(f"{pages}?state=ended&device=firefox")
    assert "ann@example.org" in page.text and "bob@example.org" not in page.text and "/revocation" not in page.text
    [bob] = (await owner.get(f"{api}?q=bob")).json()["items"]
    assert "End the ticked" in (await owner.get(pages)).text
    answer = await owner.post(f"{pages}/revocations", data={"ids": bob["id"]}, headers=HTMX)
    assert answer.status_code == 200 and "bob@example.org" not in answer.text
    assert "This one" in answer.text and "End the ticked" not in answer.text, "there is none to tick"
    assert "ann@example.org" in await teknav("session", "list", "--state", "ended", "--device", "firefox/140")
    assert "no such session" in await teknav("session", "revoke", bob["id"], code=1)


async def test_many_people_are_banned_together_or_nobody_and_let_in_again(
    owner: AsyncClient,
    make_person: Callable[..., Awaitable[User]],
    sign_in: Person,
    teknav: Teknav,
    admin: asyncpg.Connection,
) -> None:
    ann, bob = await make_person("ann@example.org"), await make_person("bob@example.org")
    browser = await sign_in("ann@example.org")
    [own] = [item["id"] for item in (await owner.get(API)).json()["items"] if item["email"] == OWNER_EMAIL]
    for wrong, status in (([own], 409), ([str(new_id())], 404), ([], 422)):
        answer = await owner.post(f"{API}/bans", json={"ids": [str(ann.id), *wrong] if wrong else []})
        assert answer.status_code == status, answer.text
    assert (await browser.get("/api/account")).status_code == 200
    ids = [str(ann.id), str(bob.id)]
    assert (await owner.post(f"{API}/bans", json={"ids": ids, "reason": "Left"})).json() == {"changed": 2}
    assert (await browser.get("/api/account")).status_code == 401
    assert (await owner.post(f"{API}/bans", json={"ids": ids})).json() == {"changed": 0}
    rows = await admin.fetch("SELECT reason FROM audit_log WHERE action = 'owner.user.ban' AND outcome = 'success'")
    assert [row["reason"] for row in rows] == ["Left", "Left"]
    assert (await owner.post(f"{API}/unbans", json={"ids": ids[:1]})).json() == {"changed": 1}
    shown = await owner.post(f"{PAGES}/unbans", data={"ids": ids}, headers=HTMX)
    assert shown.status_code == 200 and "May sign in again: 1" in shown.headers["hx-trigger"]
    shown = await owner.post(f"{PAGES}/bans", data={"ids": ids, "reason": "x" * 501}, headers=HTMX)
    assert shown.status_code == 422 and 'data-field="reason"' in shown.text
    shown = await owner.post(f"{PAGES}/bans", data={"ids": ids, "reason": "Two\r\nlines"}, headers=HTMX)
    assert "Banned now: 2" in shown.headers["hx-trigger"]
    whys = await admin.fetch("SELECT reason FROM audit_log WHERE action = 'owner.user.ban' AND reason LIKE 'Two%'")
    assert [row["reason"] for row in whys] == ["Two\nlines", "Two\nlines"]
    told = await teknav("user", "unban", "ann@example.org", "bob@example.org")
    assert "ann@example.org may sign in again" in told and "bob@example.org may sign in again" in told


@pytest.mark.promise("S4-2")
async def test_what_a_person_agreed_to_and_took_back_is_shown_with_its_version(
    owner: AsyncClient, make_person: Callable[..., Awaitable[User]], sign_in: Person
) -> None:
    ann = await make_person("ann@example.org")
    browser = await sign_in("ann@example.org")
    assert "You have not answered yet" in (await browser.get("/account")).text
    for granted in ({"granted": "true"}, {}):
        answer = await browser.post("/account/consents/product_news", data=granted, headers=HTMX)
        assert answer.status_code == 200 and ("Given" if granted else "Withdrawn") in answer.text
    home = await owner.get(f"{PAGES}/{ann.id}")
    assert home.text.count("Send me news about TekNav") == 2 and "before" in home.text
    answers = (await owner.get(f"{API}/{ann.id}/consents")).json()
    assert [(one["purpose"], one["textVersion"], one["granted"]) for one in answers] == [
        ("product_news", 1, True),
        ("product_news", 1, False),
    ]
    assert (await owner.get(f"{API}/{new_id()}/consents")).status_code == 404
    export = (await browser.get("/api/account/export")).json()
    assert [one["granted"] for one in export["consents"]] == [True, False]


async def _enter(make_person: Callable[..., Awaitable[User]], sign_in: Person, email: str) -> AsyncClient:
    await make_person(email)
    return await sign_in(email)


async def test_the_command_knows_people(teknav: Teknav, owner: AsyncClient, mailbox: Mailbox) -> None:
    assert EMAIL in await teknav("user", "create", "--email", EMAIL, "--name", "Ada")
    assert EMAIL in await teknav("user", "list", "--state", "invited") and EMAIL in await teknav("user", "show", EMAIL)
    changed = json.loads(await teknav("user", "change", EMAIL, "--name", "Ada L", "--phone", "+442079460018", "--json"))
    assert (changed["name"], changed["email"], changed["phone"]) == ("Ada L", EMAIL, "+442079460018")
    assert json.loads(await teknav("user", "change", EMAIL, "--phone", "", "--json"))["phone"] is None
    assert "email: " in await teknav("user", "change", EMAIL, "--email", "nobody", code=1)
    assert "There is no such person" in await teknav("user", "show", "nobody@example.org", code=1)
    assert "on its way" in await teknav("user", "reset-password", EMAIL)
    assert [mail.subject for mail in await mailbox(EMAIL)] == ["Your TekNav account", "A new password for TekNav"]
    assert "may sign in again" in await teknav("user", "unban", EMAIL)
    assert "no second factor" in await teknav("user", "reset-factor", EMAIL)
    assert "owner" in await teknav("user", "role", EMAIL, "owner")
    assert "is deleted" in await teknav("user", "erase", EMAIL, "--yes")


@pytest.mark.parametrize(
    "address", ["<x@y.org>", "x,y@z.org", "x@y.org,", "x;y@z.org", "x(y)@z.org", "=?utf-8?q?x?=@y.org", "x@[127.0.0.1]"]
)
async def test_an_address_that_a_header_would_read_as_another_is_none(owner: AsyncClient, address: str) -> None:
    refused = await owner.post("/api/owner/users", json={"email": address, "name": "X"})
    assert refused.status_code == 422 and refused.json()["errors"][0]["field"] == "email"
