"""The front door: sign-in, sessions, sign-out."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import asyncpg
import pytest
from httpx2 import ASGITransport, AsyncClient
from litestar import Litestar
from pwdlib import PasswordHash

from app.core.database import Database
from app.core.passwords import matches
from app.core.policy import Actor
from app.core.secrets import digest
from app.modules.identity import service
from app.modules.identity.service import (
    DEVICE_COOKIE,
    FAILURES_OF_STRANGERS,
    FAILURES_PER_ACCOUNT,
    IdentityService,
)
from tests.modules.conftest import Mailbox

EMAIL, PASSWORD = "owner@example.org", "a long enough password"
ORIGIN = {"Origin": "http://testserver"}
COOKIE = "teknav_session"
Register = Callable[[], Awaitable[None]]


@pytest.fixture
def register(database: Database, operator: Actor) -> Register:
    async def make() -> None:
        async with database.transaction(operator.scope) as session:
            await IdentityService(session, operator).create_owner(f" {EMAIL.upper()} ", PASSWORD)

    return make


async def sign_in(client: AsyncClient, password: str = PASSWORD, **more: str) -> tuple[int, str]:
    answer = await client.post("/signin", data={"email": EMAIL, "password": password, **more}, headers=ORIGIN)
    return answer.status_code, answer.headers.get("location", "")


@pytest.mark.promise("S0-56")
async def test_the_right_password_opens_the_dashboard(client: AsyncClient, register: Register) -> None:
    await register()
    assert (await client.get("/dashboard/owner")).headers["location"].startswith("/signin")
    answer = await client.post("/signin", data={"email": EMAIL, "password": PASSWORD}, headers=ORIGIN)
    assert (answer.status_code, answer.headers["location"]) == (303, "/dashboard")
    cookie = answer.headers["set-cookie"].lower()
    assert all(part in cookie for part in ("httponly", "samesite=lax", "path=/", "max-age=43200"))
    assert (await client.get("/dashboard/owner")).status_code == 200


async def test_only_the_hash_of_the_cookie_is_stored(
    client: AsyncClient, register: Register, admin: asyncpg.Connection
) -> None:
    await register()
    await sign_in(client)
    row = await admin.fetchrow("SELECT token_hash, ip FROM session")
    assert row["token_hash"] == digest(client.cookies[COOKIE])
    assert row["ip"] == "127.0.0.1"
    stored = await admin.fetchval('SELECT password_hash FROM "user"')
    assert stored.startswith("$argon2id$") and PASSWORD not in stored


async def test_an_unknown_account_and_a_wrong_password_look_the_same(client: AsyncClient, register: Register) -> None:
    await register()
    wrong = await client.post("/signin", data={"email": EMAIL, "password": "x" * 12}, headers=ORIGIN)
    unknown = await client.post("/signin", data={"email": EMAIL[1:], "password": "x" * 12}, headers=ORIGIN)
    nonsense = await client.post("/signin", data={"email": "a\0b", "password": "x"}, headers=ORIGIN)
    assert wrong.status_code == unknown.status_code == nonsense.status_code == 401
    assert wrong.text.replace(EMAIL, "") == unknown.text.replace(EMAIL[1:], "")
    assert "E-mail or password is wrong" in wrong.text
    assert COOKIE not in client.cookies


async def test_an_unknown_account_costs_one_argon2_as_well(
    client: AsyncClient, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    await register()
    tried: list[str] = []
    verify = PasswordHash.verify

    def counted(hasher: PasswordHash, password: str, hashed: str) -> bool:
        tried.append(hashed.rsplit("$", 2)[0])
        return verify(hasher, password, hashed)

    monkeypatch.setattr(PasswordHash, "verify", counted)
    for email in (EMAIL, "nobody@example.org"):
        await client.post("/signin", data={"email": email, "password": "x" * 12}, headers=ORIGIN)
    known, unknown = tried
    assert known == unknown  # the same algorithm with the same costs


def test_passwords_cost_an_attacker_what_is_recommended(quick_passwords: PasswordHash) -> None:
    """The costs of the program, not those of the tests: RFC 9106's second choice."""
    assert quick_passwords.hash(PASSWORD).startswith("$argon2id$v=19$m=65536,t=3,p=4$")


async def test_a_made_up_cookie_is_never_adopted(client: AsyncClient, register: Register) -> None:
    await register()
    client.cookies[COOKIE] = "chosen-by-somebody-else"
    answer = await client.post("/signin", data={"email": EMAIL, "password": PASSWORD}, headers=ORIGIN)
    assert "chosen-by-somebody-else" not in answer.headers["set-cookie"]
    client.cookies.clear()
    client.cookies[COOKIE] = "chosen-by-somebody-else"
    assert (await client.get("/api/owner/tenants")).status_code == 401


async def test_signing_in_again_ends_the_session_before(client: AsyncClient, register: Register) -> None:
    await register()
    await sign_in(client)
    first = client.cookies[COOKIE]
    await sign_in(client)
    second = client.cookies[COOKIE]
    assert first != second
    client.cookies.clear()
    client.cookies[COOKIE] = first
    assert (await client.get("/api/owner/tenants")).status_code == 401


async def test_signing_out_ends_the_session_at_once(owner: AsyncClient, admin: asyncpg.Connection) -> None:
    kept = owner.cookies[COOKIE]
    answer = await owner.post("/signout")
    assert (answer.status_code, answer.headers["location"]) == (303, "/signin")
    assert COOKIE not in owner.cookies
    owner.cookies[COOKIE] = kept
    assert (await owner.get("/api/owner/tenants")).status_code == 401
    actions = [row["action"] for row in await admin.fetch("SELECT action FROM audit_log ORDER BY id")]
    assert actions == ["owner.create", "session.create", "session.end"]


async def test_a_form_from_another_site_is_refused(client: AsyncClient, register: Register) -> None:
    await register()
    form = {"email": EMAIL, "password": PASSWORD}
    for origin in ("https://evil.example", "null", "http://testserver.evil.example"):
        answer = await client.post("/signin", data=form, headers={"Origin": origin})
        assert answer.status_code == 403, origin
    assert COOKIE not in client.cookies


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ("/dashboard/owner/tenants", "/dashboard/owner/tenants"),
        ("https://evil.example", "/dashboard"),
        ("//evil.example", "/dashboard"),
        ("/dashboard//evil.example", "/dashboard"),
        ("/dashboard\\evil", "/dashboard"),
        ("/dashboard/../signout", "/dashboard"),
        ("/account/%2E%2e/signout", "/dashboard"),
        ("/api/owner/tenants", "/dashboard"),
    ],
)
async def test_after_sign_in_people_land_inside_the_dashboard(
    client: AsyncClient, register: Register, asked: str, sent: str
) -> None:
    await register()
    assert await sign_in(client, next=asked) == (303, sent)
    assert (await client.get("/signin", params={"next": asked})).headers["location"] == sent


async def test_guessing_is_bounded_also_when_it_comes_all_at_once(
    client: AsyncClient, register: Register, admin: asyncpg.Connection
) -> None:
    await register()
    codes = await asyncio.gather(*(sign_in(client, f"wrong password {n}") for n in range(14)))
    assert sorted(code for code, _ in codes) == [401] * 10 + [429] * 4
    refused = await client.post("/signin", data={"email": EMAIL, "password": PASSWORD}, headers=ORIGIN)
    assert refused.status_code == 429
    assert 0 < int(refused.headers["retry-after"]) <= 15 * 60
    await admin.execute("UPDATE sign_in_counter SET until = now() - interval '1 second'")
    assert (await sign_in(client))[0] == 303


async def test_one_address_cannot_try_one_account_after_another(client: AsyncClient, admin: asyncpg.Connection) -> None:
    await admin.execute("INSERT INTO sign_in_counter VALUES ('127.0.0.1', '*', 50, now() + interval '5 minutes')")
    assert (await sign_in(client))[0] == 429


async def test_guesses_from_many_networks_close_an_account_to_strangers_and_not_to_its_person(
    app: Litestar, client: AsyncClient, register: Register, mailbox: Mailbox, admin: asyncpg.Connection
) -> None:
    await register()

    async def guess(place: str, password: str = "x" * 12, email: str = EMAIL, device: str = "") -> tuple[int, str]:
        transport = ASGITransport(app=app, client=(place, 5000))  # type: ignore[arg-type]
        cookies = {DEVICE_COOKIE: device} if device else {}
        async with AsyncClient(transport=transport, base_url=ORIGIN["Origin"], cookies=cookies) as someone:
            answer = await someone.post("/signin", data={"email": email, "password": password})
            return answer.status_code, answer.text

    assert (await guess("192.0.2.1", PASSWORD))[0] == 303
    assert (await sign_in(client))[0] == 303
    device = client.cookies[DEVICE_COOKIE]
    for email in (EMAIL, "nobody@example.org"):
        told = Counter([(await guess(f"2001:db8:{n % 11}::1", email=email))[0] for n in range(110)])
        assert told == {401: FAILURES_OF_STRANGERS, 429: 10}, email
        code, page = await guess("198.51.100.1", PASSWORD, email)
        assert (code, "get a code by e-mail" in page) == (429, True), "also the right one, and of nobody the same"
    closed = "SELECT actor_kind, resource_label FROM audit_log WHERE action = 'account.sign_in.close'"
    assert [tuple(row) for row in await admin.fetch(closed)] == [("anonymous", EMAIL)]
    assert len(await admin.fetch(DENIED)) == FAILURES_OF_STRANGERS + 1
    # Nobody can lock the person out.
    assert (await guess("192.0.2.1"))[0] == 401, "an address that the account knows"
    assert (await guess("192.0.2.1", PASSWORD))[0] == 303
    assert (await guess("203.0.113.9", PASSWORD, device=device))[0] == 303, "a browser that it knows, from anywhere"
    assert (await guess("198.51.100.2", PASSWORD))[0] == 429
    client.cookies.clear()
    ticket = (await client.post("/signin/mail", data={"email": EMAIL})).text
    ticket = ticket.partition('name="ticket" value="')[2].partition('"')[0]
    mail = (await mailbox(EMAIL))[-1]
    assert (await client.post("/signin/code", data={"ticket": ticket, "code": mail.code})).status_code == 303
    await admin.execute("UPDATE sign_in_counter SET until = now() - interval '1 second' WHERE address = '*'")
    assert (await guess("198.51.100.2", PASSWORD))[0] == 303


async def test_one_address_alone_closes_no_account(
    client: AsyncClient, register: Register, admin: asyncpg.Connection
) -> None:
    await register()
    for _ in range(FAILURES_PER_ACCOUNT + 5):
        await sign_in(client, "x" * 12)
    strangers = "SELECT failures FROM sign_in_counter WHERE address = '*'"
    assert await admin.fetchval(strangers) == FAILURES_PER_ACCOUNT, "what was refused was no guess"


async def test_a_right_password_does_not_count_as_a_guess(
    client: AsyncClient, register: Register, admin: asyncpg.Connection
) -> None:
    await register()
    await sign_in(client, "wrong password")
    for _ in range(12):
        assert (await sign_in(client))[0] == 303
    left = await admin.fetch("SELECT account, failures FROM sign_in_counter")
    assert sorted(tuple(row) for row in left) == [("*", 1), (EMAIL, 0)], "what is left counts strangers, and none now"


async def test_an_account_without_a_tenant_gets_in_and_no_further(
    client: AsyncClient, register: Register, admin: asyncpg.Connection
) -> None:
    await register()
    await admin.execute("""UPDATE "user" SET role = 'user'""")
    assert (await sign_in(client))[0] == 303
    assert "belong to no tenant" in (await client.get("/dashboard")).text
    assert (await client.get("/dashboard/owner")).status_code == 403


async def test_a_disabled_account_loses_its_sessions(owner: AsyncClient, admin: asyncpg.Connection) -> None:
    await admin.execute('UPDATE "user" SET disabled_at = now()')
    assert (await owner.get("/api/owner/tenants")).status_code == 401
    assert (await sign_in(owner))[0] == 401


async def test_a_session_ends_after_its_hours(owner: AsyncClient, admin: asyncpg.Connection) -> None:
    lasts = await admin.fetchval("SELECT extract(epoch FROM expires_at - created_at) FROM session")
    assert float(lasts) == pytest.approx(12 * 3600, abs=30)
    await admin.execute("UPDATE session SET expires_at = now()")
    assert (await owner.get("/api/owner/tenants")).status_code == 401


async def test_a_change_without_the_csrf_token_is_refused(owner: AsyncClient, admin: asyncpg.Connection) -> None:
    token = owner.headers.pop("X-CSRF-Token")
    for headers in ({}, {"X-CSRF-Token": "x" * 32}):
        answer = await owner.post("/api/owner/tenants", json={"name": "Forged"}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "bad_csrf_token")
    assert (await owner.post("/signout")).status_code == 403
    assert (await owner.post("/signout", data={"_csrf_token": token})).status_code == 303


async def test_a_token_has_no_session_to_end(tenant_client: Callable[..., Awaitable[AsyncClient]]) -> None:
    program = await tenant_client("articles:read")
    answer = await program.post("/signout")
    assert (answer.status_code, answer.json()["code"]) == (409, "no_session")


async def test_the_root_leads_to_the_dashboard(client: AsyncClient) -> None:
    assert (await client.get("/")).headers["location"] == "/dashboard"


DENIED = "SELECT actor_kind, actor_id, resource_label, ip FROM audit_log WHERE outcome = 'denied'"


async def test_a_refused_sign_in_to_a_known_account_leaves_a_row_and_others_none(
    client: AsyncClient, register: Register, admin: asyncpg.Connection
) -> None:
    await register()
    await client.post("/signin", data={"email": "nobody@example.org", "password": "x" * 12}, headers=ORIGIN)
    await client.post("/signin", data={"email": "a\0b", "password": "x"}, headers=ORIGIN)
    assert await admin.fetch(DENIED) == []
    await sign_in(client, "x" * 12)
    (row,) = await admin.fetch(DENIED)
    assert tuple(row) == ("anonymous", None, EMAIL, "127.0.0.1")


async def test_refused_sign_ins_cannot_flood_the_audit_log_and_say_how_long_to_wait(
    client: AsyncClient, register: Register, admin: asyncpg.Connection
) -> None:
    await register()
    for _ in range(FAILURES_PER_ACCOUNT):
        await sign_in(client, "x" * 12)
    for _ in range(3):
        answer = await client.post("/signin", data={"email": EMAIL, "password": PASSWORD}, headers=ORIGIN)
        assert answer.status_code == 429 and "wait 15 minutes" in answer.text
    assert len(await admin.fetch(DENIED)) == FAILURES_PER_ACCOUNT + 1


@pytest.mark.parametrize("change", ["disabled_at = now()", "password_hash = 'another'"])
async def test_a_ban_or_another_password_holds_for_who_is_at_the_door_already(
    client: AsyncClient, register: Register, admin: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    await register()

    async def slowly(password: str, hashed: str | None) -> bool:
        right = await matches(password, hashed)
        await admin.execute(f'UPDATE "user" SET {change}')
        return right

    monkeypatch.setattr(service, "matches", slowly)
    assert (await sign_in(client))[0] == 401
    assert await admin.fetchval("SELECT count(*) FROM session") == 0
