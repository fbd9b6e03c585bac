"""Coming in with what a mail brings: a code, a link, a new password, a new account."""

import time

import asyncpg
import pytest
from httpx2 import ASGITransport, AsyncClient
from litestar import Litestar
from msgspec.structs import replace

from app.core.secrets import Signer
from app.core.settings import Settings
from app.main import create_app
from app.modules.identity import service
from tests.conftest import ORIGIN, OWNER_EMAIL, OWNER_PASSWORD
from tests.modules.conftest import Mailbox

NEW = "three quite other words"


def ticket_in(page: str) -> str:
    return page.partition('name="ticket" value="')[2].partition('"')[0]


@pytest.mark.promise("S4-74")
async def test_a_code_by_mail_opens_the_door_once(
    owner: AsyncClient, client: AsyncClient, mailbox: Mailbox, admin: asyncpg.Connection
) -> None:
    asked = await client.post("/signin/mail", data={"email": OWNER_EMAIL.upper(), "next": "/dashboard/owner/users"})
    ticket = ticket_in(asked.text)
    (mail,) = await mailbox(OWNER_EMAIL)
    wrong = await client.post("/signin/code", data={"ticket": ticket, "code": "00000000"})
    assert wrong.status_code == 422 and "is wrong" in wrong.text and "teknav_session" not in client.cookies
    form = {"ticket": ticket, "code": mail.code, "next": "/dashboard/owner/users"}
    assert (await client.post("/signin/code", data=form)).headers["location"] == "/dashboard/owner/users"
    assert (await client.get("/dashboard/owner/users")).status_code == 200
    assert (await client.post("/signin/code", data=form)).status_code == 422
    kept = str(await admin.fetch("SELECT o::text, e::text FROM otp_code o, email_log e"))
    assert mail.code.replace(" ", "") not in kept and ticket not in kept


async def test_five_wrong_codes_make_a_code_no_good(owner: AsyncClient, client: AsyncClient, mailbox: Mailbox) -> None:
    ticket = ticket_in((await client.post("/signin/mail", data={"email": OWNER_EMAIL})).text)
    (mail,) = await mailbox(OWNER_EMAIL)
    for _ in range(5):
        await client.post("/signin/code", data={"ticket": ticket, "code": "1234"})
    assert (await client.post("/signin/code", data={"ticket": ticket, "code": mail.code})).status_code == 422
    assert "teknav_session" not in client.cookies


async def test_a_link_is_used_up_by_the_button_and_not_by_looking_at_it(
    owner: AsyncClient, client: AsyncClient, mailbox: Mailbox
) -> None:
    await client.post("/signin/mail", data={"email": OWNER_EMAIL})
    link = (await mailbox(OWNER_EMAIL))[0].link
    for _ in range(2):
        looked = await client.get(link)
        assert looked.status_code == 200 and OWNER_EMAIL in looked.text
    assert (await client.post(link, headers={"Origin": "https://evil.example"})).status_code == 403
    assert (await client.post(link)).headers["location"] == "/dashboard"
    assert (await client.get("/account")).status_code == 200
    client.cookies.clear()
    assert (await client.get(link)).status_code == (await client.post(link)).status_code == 410
    other = link.replace("/signin/link/", "/signin/reset/")
    assert (await client.get(other)).status_code == 410, "a link is good for what it was made for only"


async def test_an_unknown_address_looks_the_same_and_gets_no_mail(
    owner: AsyncClient, client: AsyncClient, mailbox: Mailbox, admin: asyncpg.Connection
) -> None:
    for door in ("/signin/mail", "/signin/reset"):
        known = await client.post(door, data={"email": OWNER_EMAIL})
        unknown = await client.post(door, data={"email": "nobody@example.org"})
        shown = [
            page.text.replace(ticket_in(page.text) or "-", "").replace(email, "")
            for page, email in ((known, OWNER_EMAIL), (unknown, "nobody@example.org"))
        ]
        assert (known.status_code, shown[0]) == (unknown.status_code, shown[1])
    assert len(await mailbox(OWNER_EMAIL)) == 2 and await mailbox("nobody@example.org") == []
    await admin.execute('UPDATE "user" SET disabled_at = now()')
    await client.post("/signin/mail", data={"email": OWNER_EMAIL})
    assert len(await mailbox(OWNER_EMAIL)) == 2, "a banned person gets none"
    assert (await client.post("/signin/mail", data={"email": "no address"})).status_code == 422


async def test_nobody_is_flooded_with_mails(owner: AsyncClient, client: AsyncClient, mailbox: Mailbox) -> None:
    answers = [(await client.post("/signin/reset", data={"email": OWNER_EMAIL})).status_code for _ in range(8)]
    assert answers == [200] * 8 and len(await mailbox(OWNER_EMAIL)) == 5
    more = [(await client.post("/signin/mail", data={"email": f"{n}@example.org"})) for n in range(13)]
    assert more[-1].status_code == 429 and int(more[-1].headers["retry-after"]) > 0


async def test_a_reset_link_sets_a_password_and_ends_every_session(
    owner: AsyncClient, client: AsyncClient, mailbox: Mailbox, admin: asyncpg.Connection
) -> None:
    headers = {"Host": "evil.example", "X-Forwarded-Host": "evil.example"}
    await client.post("/signin/reset", data={"email": OWNER_EMAIL}, headers=headers)
    await client.post("/signin/reset", data={"email": OWNER_EMAIL})
    await client.post("/signin/mail", data={"email": OWNER_EMAIL})
    mail, second, sign_in = await mailbox(OWNER_EMAIL)
    assert "evil.example" not in mail.text and mail.link.startswith("/signin/reset/")
    assert OWNER_EMAIL in (await client.get(mail.link)).text
    for password, repeat, told in (("short", "short", "must have 12"), (NEW, "other", "not the same")):
        refused = await client.post(mail.link, data={"password": password, "repeat": repeat})
        assert refused.status_code == 422 and told in refused.text
    done = await client.post(mail.link, data={"password": NEW, "repeat": NEW})
    assert done.status_code == 200 and "Sign in with it" in done.text
    assert (await client.post(mail.link, data={"password": NEW, "repeat": NEW})).status_code == 410
    # Whoever else reads this person's mails, or did: what was sent before leads nowhere now.
    assert (await client.post(second.link, data={"password": "x" + NEW, "repeat": "x" + NEW})).status_code == 410
    assert (await client.post(sign_in.link)).status_code == 410
    assert (await owner.get("/api/owner/tenants")).status_code == 401
    right = await client.post("/signin", data={"email": OWNER_EMAIL, "password": NEW}, headers={"Origin": ORIGIN})
    assert right.status_code == 303
    row = await admin.fetchrow(
        "SELECT actor_label, before, after FROM audit_log WHERE action = 'account.password.reset'"
    )
    assert tuple(row) == (OWNER_EMAIL, None, None)


@pytest.mark.parametrize(
    "password", ["password1234!", "111111111111", "abababababab", "0123456789012", "owner@example.org", "Qwertyuiop123"]
)
async def test_what_is_easily_guessed_is_no_password(
    owner: AsyncClient, client: AsyncClient, mailbox: Mailbox, password: str
) -> None:
    await client.post("/signin/reset", data={"email": OWNER_EMAIL})
    (mail,) = await mailbox(OWNER_EMAIL)
    assert (await client.post(mail.link, data={"password": password, "repeat": password})).status_code == 422


@pytest.mark.promise("S0-56")
async def test_accounts_are_made_openly_only_where_that_is_switched_on(
    app: Litestar, settings: Settings, client: AsyncClient, owner: AsyncClient, mailbox: Mailbox
) -> None:
    for answer in (await client.get("/signup"), await client.post("/signup", data={"email": "new@example.org"})):
        assert answer.status_code == 404
    open_app = create_app(replace(settings, open_registration=True))
    async with AsyncClient(transport=ASGITransport(app=open_app), base_url=ORIGIN) as visitor:  # type: ignore[arg-type]
        assert "/signup" in (await visitor.get("/signin")).text
        for email in ("New@example.org", OWNER_EMAIL):
            assert (await visitor.post("/signup", data={"email": email})).status_code == 200
        assert [mail.subject for mail in await mailbox(OWNER_EMAIL)] == ["You have a TekNav account"]
        link = (await mailbox("new@example.org"))[0].link
        form = {"name": "Newcomer", "password": NEW, "repeat": NEW}
        assert (await visitor.post(link, data=form)).headers["location"] == "/dashboard"
        assert "Newcomer" in (await visitor.get("/account")).text
        assert (await visitor.get(link)).status_code == 410
        assert (await visitor.get("/dashboard/owner")).status_code == 403
    await open_app.state.process.close()


async def test_a_sign_in_from_a_new_device_is_told_by_mail(
    owner: AsyncClient, client: AsyncClient, mailbox: Mailbox
) -> None:
    assert await mailbox(OWNER_EMAIL) == [], "the first device is nothing to tell of"
    agent = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0", "Origin": ORIGIN}
    form = {"email": OWNER_EMAIL, "password": OWNER_PASSWORD}
    for _ in range(2):  # the second time the browser is known
        assert (await client.post("/signin", data=form, headers=agent)).status_code == 303
    (mail,) = await mailbox(OWNER_EMAIL)
    assert "Firefox on Linux" in mail.text and "127.0.0.1" in mail.text


async def test_a_new_password_ends_every_other_link_and_sign_in_on_its_way(
    owner: AsyncClient, client: AsyncClient, mailbox: Mailbox
) -> None:
    for door in ("reset", "reset", "mail"):
        await client.post(f"/signin/{door}", data={"email": OWNER_EMAIL})
    links = [mail.link for mail in await mailbox(OWNER_EMAIL)]
    resets = [link for link in links if "/reset/" in link]
    (enter,) = [link for link in links if "/link/" in link]
    form = {"password": NEW, "repeat": NEW}
    assert (await client.post(resets[0], data=form)).status_code == 200
    assert (await client.post(resets[1], data=form)).status_code == 410
    assert (await client.post(enter)).status_code == 410 and "teknav_session" not in client.cookies


async def test_a_code_that_nobody_was_sent_opens_nothing(
    owner: AsyncClient, client: AsyncClient, mailbox: Mailbox, settings: Settings, admin: asyncpg.Connection
) -> None:
    for _ in range(6):
        ticket = ticket_in((await client.post("/signin/mail", data={"email": OWNER_EMAIL})).text)
    assert len(await mailbox(OWNER_EMAIL)) == 5
    last = await admin.fetchval("SELECT id FROM otp_code ORDER BY id DESC LIMIT 1")
    form = {"ticket": ticket, "code": Signer(settings.secret_key).code("sign_in", last)}
    assert (await client.post("/signin/code", data=form)).status_code == 422
    assert "teknav_session" not in client.cookies


async def test_neighbours_of_one_network_count_as_one_address(owner: AsyncClient, app: Litestar) -> None:
    async def ask(n: int, door: str, **form: str) -> int:
        transport = ASGITransport(app=app, client=(f"2001:db8:7::{n:x}", 5000))  # type: ignore[arg-type]
        async with AsyncClient(transport=transport, base_url=ORIGIN) as someone:
            return (await someone.post(door, data=form)).status_code

    guesses = [await ask(n, "/signin", email=OWNER_EMAIL, password=f"wrong {n}") for n in range(1, 12)]
    assert guesses == [401] * 10 + [429]
    asked = [await ask(n, "/signin/mail", email=f"{n}@example.org") for n in range(1, 22)]
    assert asked == [200] * 20 + [429]


async def test_how_long_asking_takes_tells_nobody_which_accounts_there_are(
    owner: AsyncClient, client: AsyncClient, monkeypatch: pytest.MonkeyPatch, quick_doors: float
) -> None:
    assert quick_doors >= 0.3
    monkeypatch.setattr(service, "ASKING_TAKES_S", quick_doors)
    for email in (OWNER_EMAIL, "nobody@example.org"):
        started = time.monotonic()
        assert (await client.post("/signin/reset", data={"email": email})).status_code == 200
        assert time.monotonic() - started >= quick_doors
