"""The `teknav` command on the servers of the tests; mails that people got; people who belong to tenants."""

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from email import message_from_bytes, policy
from pathlib import Path

import asyncpg
import pytest
from click.testing import CliRunner
from httpx2 import AsyncClient
from litestar import Litestar

from app.cli import main
from app.core.database import Database
from app.core.policy import Actor
from app.core.settings import Settings
from app.modules.identity import service as identity_service
from app.modules.members.service import MemberService
from app.modules.people.models import User
from app.modules.roles.service import RoleService
from tests.conftest import ORIGIN, Made, _client, csrf_of

Teknav = Callable[..., Awaitable[str]]
PASSWORD = "a password of some length"
Person = Callable[..., Awaitable[AsyncClient]]


@pytest.fixture
def teknav(app: Litestar, settings: Settings, tmp_path: Path) -> Teknav:
    """What a command prints; `code` is how it must end, and then what it complains about is returned."""
    names = ("database_url", "platform_database_url", "redis_url", "secret_key", "jwt_secret", "encryption_key")
    environment = {name.upper(): str(getattr(settings, name)) for name in names}
    environment |= {"APP_ENV": "test", "LOG_LEVEL": settings.log_level, "TEKNAV_DATA_DIR": str(tmp_path)}

    async def run(*arguments: str, code: int = 0, input: str | None = None) -> str:
        # In a thread, where the command can have an event loop of its own.
        done = await asyncio.to_thread(CliRunner().invoke, main, arguments, env=environment, input=input)
        assert done.exit_code == code, done.output
        return done.stderr if code else done.stdout

    return run


@pytest.fixture
def make_person(database: Database, operator: Actor) -> Callable[..., Awaitable[User]]:
    """Makes somebody who has an account: `await make_person("ann@example.org", role="auditor")`."""

    async def make(email: str, role: str = "user") -> User:
        hashed = identity_service._ARGON2.hash(PASSWORD)
        async with database.transaction(operator.scope) as session:
            user = User(email=email, name=email.partition("@")[0].capitalize(), password_hash=hashed, role=role)
            session.add(user)
            await session.flush()
            return user

    return make


@pytest.fixture
async def sign_in(app: Litestar) -> AsyncGenerator[Person, None]:
    """Signs somebody in: `await sign_in("ann@example.org")` is that person's browser."""
    opened: list[AbstractAsyncContextManager[AsyncClient]] = []

    async def enter(email: str) -> AsyncClient:
        context = _client(app)
        opened.append(context)
        client = await context.__aenter__()
        answer = await client.post("/signin", data={"email": email, "password": PASSWORD}, headers={"Origin": ORIGIN})
        assert answer.status_code == 303, answer.text
        client.headers["X-CSRF-Token"] = await csrf_of(app, client)
        return client

    yield enter
    for context in opened:
        await context.__aexit__(None, None, None)


@pytest.fixture
def member(
    database: Database, operator: Actor, tenant: Made, make_person: Callable[..., Awaitable[User]], sign_in: Person
) -> Person:
    """Makes a member of the tenant, signed in: `await member("ann@example.org", "editor")`."""

    async def make(email: str, role: str, of: Made = tenant) -> AsyncClient:
        await make_person(email)
        async with database.transaction(operator.scope) as session:
            found = await RoleService(session, operator).named(of.id, role)
            await MemberService(session, operator).add(of.id, email, found.id)
        return await sign_in(email)

    return make


@dataclass(frozen=True)
class Mail:
    subject: str
    text: str

    @property
    def link(self) -> str:
        """The path of its one-time link."""
        found = re.search(r"http://testserver(/\S*otp_\S+)", self.text)
        assert found, self.text
        return found[1]

    @property
    def code(self) -> str:
        found = re.search(r"^(\d{4} \d{4})$", self.text, re.M)
        assert found, self.text
        return found[1]


Mailbox = Callable[[str], Awaitable[list[Mail]]]


@pytest.fixture
def mailbox(settings: Settings, admin: asyncpg.Connection, drain: Callable[[], Awaitable[int]]) -> Mailbox:
    """What this address got in the test until now, the oldest first: sent by a job into the folder."""

    async def read(address: str) -> list[Mail]:
        await drain()
        rows = await admin.fetch(
            "SELECT id FROM email_log WHERE recipient = $1 AND status = 'sent' ORDER BY id", address
        )
        found = []
        for row in rows:
            message = message_from_bytes(
                (settings.data_dir / "mail" / f"{row['id']}.eml").read_bytes(), policy=policy.default
            )
            body = message.get_body(("plain",))
            assert body is not None
            found.append(Mail(message["Subject"], body.get_content()))
        return found

    return read
