"""The `teknav` command on the servers of the tests; mails that people got; people who belong to tenants."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email import message_from_bytes, policy
from pathlib import Path

import asyncpg
import pytest
from click.testing import CliRunner
from litestar import Litestar

from app.cli import main
from app.core.settings import Settings

Teknav = Callable[..., Awaitable[str]]


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
