"""A mail server that speaks SMTP, and refuses what a test wants it to."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP
from litestar import Litestar
from msgspec.structs import replace

from app import registry
from app.core.ids import new_id
from app.core.settings import Settings
from app.modules.email.client import Post
from app.queues.inline import drain
from app.queues.runner import Runner

Deliver = Callable[..., Awaitable[int]]


@dataclass
class MailServer:
    """What arrived; `answers` are said to the next mails instead of taking them; nobody has the `refused` addresses."""

    url: str = ""
    mails: list[EmailMessage] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: list[str]) -> str:
        if address in self.refused:
            return "550 nobody has this address"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        if self.answers:
            return self.answers.pop(0)
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
        return "250 OK"


@pytest.fixture
async def mail_server() -> AsyncIterator[MailServer]:
    found = MailServer()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(found, loop=loop), "127.0.0.1", 0)
    found.url = f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield found
    server.close()


@pytest.fixture
def deliver(app: Litestar, settings: Settings, mail_server: MailServer) -> Deliver:
    """Runs the jobs with a worker that sends to the mail server; returns the attempts made, back-offs
    included unless `retries=False`."""
    process = app.state.process
    post = Post(replace(settings, smtp_url=mail_server.url), registry.mails())
    runner = Runner(process.database, process.kinds, process.engine.specs, new_id(), {Post: post})

    async def run(*, retries: bool = True) -> int:
        until = datetime.now(UTC) + timedelta(days=1) if retries else None
        return await drain(process.database, runner, until=until)

    return run
