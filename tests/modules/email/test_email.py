"""Mails: written with the change, sent by a job, and their codes kept by nobody."""

import stat
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import asyncpg
import pytest
from httpx2 import AsyncClient
from litestar import Litestar

from app.core.database import SYSTEM, Database
from app.core.ids import new_id
from app.core.secrets import Signer
from app.core.settings import Settings
from app.modules.email.service import Letter, Ticket, send
from app.modules.people.models import User
from tests.conftest import Person
from tests.modules.conftest import Teknav
from tests.modules.email.conftest import Deliver, MailServer

TO = "reader@example.org"
Drain = Callable[..., Awaitable[int]]


async def post(database: Database, *, key: str | None = None, good_for: timedelta = timedelta(minutes=10)) -> UUID:
    """A mail with a code, as sign-in sends it; returns the id that its code and link are derived from."""
    of = new_id()
    letter = Letter(
        template="sign_in",
        to=TO,
        props={"minutes": 10, "password": "not for the log"},
        ticket=Ticket("sign_in", of, "/signin/link"),
        good_until=datetime.now(UTC) + good_for,
        key=key,
    )
    async with database.transaction(SYSTEM) as session:
        await send(session, letter)
    return of


@pytest.mark.promise("S4-74", "S4-28")
async def test_a_code_arrives_by_smtp_and_is_kept_nowhere(
    app: Litestar,
    database: Database,
    settings: Settings,
    admin: asyncpg.Connection,
    mail_server: MailServer,
    deliver: Deliver,
    owner: AsyncClient,
) -> None:
    of = await post(database)
    signer = Signer(settings.secret_key)
    code, ticket = signer.code("sign_in", of), signer.ticket("sign_in", of)
    before = await everything(app, admin)
    await deliver()
    (mail,) = mail_server.mails
    assert (mail["To"], mail["Subject"], mail["From"]) == (TO, "Sign in to TekNav", settings.email_from)
    for kind in ("plain", "html"):
        body = mail.get_body((kind,))
        assert body is not None
        assert f"{code[:4]} {code[4:]}" in body.get_content() and ticket in body.get_content()
    row = await admin.fetchrow("SELECT * FROM email_log")
    assert (row["status"], row["error"]) == ("sent", None) and str(row["id"]) in mail["Message-ID"]
    assert row["props"] == '{"minutes": 10, "password": "***"}'
    for kept in (before, await everything(app, admin)):
        assert all(secret not in kept for secret in (code, f"{code[:4]} {code[4:]}", ticket)) and str(of) in kept
    # The owner sees that it went out, and not what it said.
    shown = (await owner.get("/api/owner/emails", params={"q": TO.upper()[:4]})).json()["items"]
    assert [(one["status"], one["text"]) for one in shown] == [("sent", None)]


def rights(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


async def everything(app: Litestar, admin: asyncpg.Connection) -> str:
    """All that PostgreSQL and Redis hold, as text."""
    tables = [
        row["name"] for row in await admin.fetch("SELECT tablename AS name FROM pg_tables WHERE schemaname='public'")
    ]
    rows = [str(row) for name in tables for row in await admin.fetch(f'SELECT t::text FROM "{name}" t')]
    redis = app.state.process.queue_redis
    for key in await redis.keys("*"):
        rows.append(str(await redis.dump(key)))
        if await redis.type(key) in (b"hash", "hash"):
            rows.append(str(await redis.hgetall(key)))
    return "\n".join(rows)


async def test_what_a_server_cannot_take_now_is_tried_again_and_what_it_refuses_is_not(
    database: Database, admin: asyncpg.Connection, mail_server: MailServer, deliver: Deliver
) -> None:
    mail_server.answers = ["451 try again later", "451 and again"]
    await post(database)
    assert await deliver() == 3
    assert [row["status"] for row in await admin.fetch("SELECT status FROM email_log")] == ["sent"]

    mail_server.answers = ["550 there is no such mailbox"]
    await post(database)
    assert await deliver() == 1
    row = await admin.fetchrow("SELECT status, error FROM email_log ORDER BY id DESC LIMIT 1")
    assert row["status"] == "failed" and "550 there is no such mailbox" in row["error"]
    assert len(mail_server.mails) == 1


async def test_a_dead_mail_that_is_replayed_or_taken_out_of_the_trash_arrives(
    database: Database, admin: asyncpg.Connection, mail_server: MailServer, deliver: Deliver, owner: AsyncClient
) -> None:
    mail_server.answers = ["451 try again later"] * 5
    await post(database)
    job = await admin.fetchval("SELECT id FROM job ")
    queue = "/api/owner/queues/email:outbound"
    await deliver()
    assert await admin.fetchval("SELECT status FROM email_log") == "failed" and not mail_server.answers
    assert (await owner.post(f"{queue}/dlq/{job}/replay")).status_code == 200
    mail_server.answers = ["451 not yet"] * 4
    assert await deliver() == 5
    assert [row["status"] for row in await admin.fetch("SELECT status FROM email_log")] == ["sent"]
    assert await admin.fetchval("SELECT state FROM job WHERE id = $1", job) == "completed"

    mail_server.answers = ["451 try again later"]
    await post(database)
    job = await admin.fetchval("SELECT id FROM job WHERE state <> 'completed'")
    assert await deliver(retries=False) == 1
    assert await admin.fetchval("SELECT state FROM job WHERE id = $1", job) == "retrying"
    assert (await owner.delete(f"{queue}/jobs/{job}")).status_code == 204
    assert (await owner.post(f"{queue}/jobs/{job}/restoration")).status_code == 200
    await deliver()
    assert len(mail_server.mails) == 2


async def test_a_code_that_is_too_old_is_not_sent(
    database: Database, admin: asyncpg.Connection, mail_server: MailServer, deliver: Deliver
) -> None:
    await post(database, good_for=timedelta(seconds=-1))
    await deliver()
    assert await admin.fetchval("SELECT status FROM email_log") == "expired"
    assert mail_server.mails == []


async def test_two_letters_with_one_key_are_one_mail(
    database: Database, mail_server: MailServer, deliver: Deliver
) -> None:
    for _ in range(2):
        await post(database, key="the same")
    await deliver()
    assert len(mail_server.mails) == 1


async def test_without_a_mail_server_mails_lie_in_a_folder_and_owners_can_read_them(
    database: Database,
    settings: Settings,
    drain: Drain,
    owner: AsyncClient,
    teknav: Teknav,
    make_person: Callable[..., Awaitable[User]],
    sign_in: Person,
) -> None:
    of = await post(database)
    await drain()
    (email,) = (await owner.get("/api/owner/emails", params={"status": "sent", "q": TO})).json()["items"]
    assert rights(settings.data_dir / "mail" / f"{email['id']}.eml") == 0o600
    link = f"{settings.base_url}/signin/link/{Signer(settings.secret_key).ticket('sign_in', of)}"
    assert link in (await owner.get(f"/api/owner/emails/{email['id']}")).json()["text"]
    for address in ("/dashboard/owner/emails", f"/dashboard/owner/emails/{email['id']}"):
        for headers in ({}, {"HX-Request": "true"}):
            page = await owner.get(address, headers=headers)
            assert page.status_code == 200 and TO in page.text
            assert (link in page.text) == address.endswith(email["id"])
    # What it says opens an account: who only reads is told that there is a mail, and no more.
    await make_person("auditor@example.org", role="auditor")
    auditor = await sign_in("auditor@example.org")
    listed = await auditor.get("/dashboard/owner/emails")
    assert listed.status_code == 200 and TO in listed.text and email["id"] not in listed.text
    assert (await auditor.get(f"/dashboard/owner/emails/{email['id']}")).status_code == 403
    assert "No mail fits" in (await owner.get("/dashboard/owner/emails?q=nobody")).text
    assert (await owner.get("/dashboard/owner/emails?status=lost")).status_code == 422
    assert (await owner.get(f"/api/owner/emails/{new_id()}")).status_code == 404
    assert TO in await teknav("email", "list", "--to", "reader")
    assert "Sign in to TekNav" not in await teknav("email", "show", email["id"])  # its folder is another


def test_a_ticket_is_good_for_its_purpose_only() -> None:
    signer, of = Signer("k" * 40), new_id()
    ticket = signer.ticket("reset", of)
    assert signer.read_ticket("reset", ticket) == of
    assert len(signer.code("sign_in", of)) == 8 and signer.code("sign_in", of) != signer.code("reset", of)
    for wrong in (ticket[:-1], ticket + "x", "", "x" * 64, "é" * 64, "otp_" + new_id().hex + ticket[36:]):
        assert signer.read_ticket("reset", wrong) is None
    assert signer.read_ticket("sign_in", ticket) is None and Signer("l" * 40).read_ticket("reset", ticket) is None
