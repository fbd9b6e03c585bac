"""How mails leave: by SMTP, or, where no server is named, into a folder."""

import os
from collections.abc import Mapping
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit
from uuid import UUID

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from app.core.ids import created
from app.core.secrets import Signer
from app.core.settings import Settings
from app.core.templating import ROOT
from app.modules.email.models import EmailLog
from app.modules.email.schemas import Ticket
from app.modules.email_templates.service import TRANSACTIONAL, Written

TIMEOUT_S = 20.0
NO_SUCH_RECIPIENT = (550, 551, 553)
UNSUBSCRIBE = "unsubscribe"
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class NotDelivered(Exception):
    """The mail was not taken. With `retryable` it may be the next time; `no_such_recipient`: never at this address."""

    def __init__(self, message: str, *, retryable: bool, no_such_recipient: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.no_such_recipient = no_such_recipient


class Transport(Protocol):
    async def deliver(self, id_: UUID, message: EmailMessage) -> None:
        """
        Raises:
            NotDelivered.
        """


class Smtp:
    """A mail server at `smtp://user:password@host:port`, or `smtps://` for TLS from the first byte."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        tls = parts.scheme == "smtps"
        user, password = unquote(parts.username or "") or None, unquote(parts.password or "") or None
        # A password goes over TLS or not at all; without one, TLS is used where it is offered.
        upgrade = True if user and not tls and parts.hostname not in LOOPBACK else None
        self._options: dict[str, Any] = {
            "hostname": parts.hostname,
            "port": parts.port or (465 if tls else 587),
            "username": user,
            "password": password,
            "use_tls": tls,
            "start_tls": False if tls else upgrade,
            "timeout": TIMEOUT_S,
        }

    async def deliver(self, id_: UUID, message: EmailMessage) -> None:
        # Only workers send, so only they carry the library.
        import aiosmtplib

        try:
            await aiosmtplib.send(message, **self._options)
        except (aiosmtplib.SMTPSenderRefused, aiosmtplib.SMTPDataError) as error:
            raise NotDelivered(f"{error.code} {error.message}", retryable=error.code < 500) from error
        except aiosmtplib.SMTPRecipientsRefused as error:
            first = error.recipients[0]
            raise NotDelivered(
                f"{first.code} {first.message}",
                retryable=first.code < 500,
                no_such_recipient=first.code in NO_SUCH_RECIPIENT,
            ) from error
        except (aiosmtplib.SMTPException, OSError) as error:
            raise NotDelivered(f"the mail server cannot be used: {error}", retryable=True) from error


class FileMailbox:
    """Each mail as a file of its own, for whoever tries TekNav out on one machine."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def deliver(self, id_: UUID, message: EmailMessage) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            fresh = self._folder / f".{id_}.new"
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(bytes(message))
            fresh.rename(self._folder / f"{id_}.eml")
        except OSError as error:
            raise NotDelivered(f"the mailbox cannot be written: {error.strerror}", retryable=True) from error


def folder(settings: Settings) -> Path | None:
    """Where mails are put; None where they go to a mail server."""
    return None if settings.smtp_url else settings.data_dir / "mail"


def transport(settings: Settings) -> Transport:
    kept = folder(settings)
    return FileMailbox(kept) if kept else Smtp(settings.smtp_url)


class Post:
    """Writes mails and hands them over."""

    def __init__(self, settings: Settings, mails: Mapping[str, tuple[int, str]], way: Transport | None = None) -> None:
        """`mails` are those of the modules: the version and the file of each, by name."""
        self._settings = settings
        self._mails = mails
        self._signer = Signer(settings.secret_key)
        self._way = way or transport(settings)

    async def send(self, row: EmailLog, written: Written | None = None) -> str:
        """Send the mail of a row; returns its Message-ID, which is the same each time it is tried.

        Args:
            written: what a tenant's own template says.

        Raises:
            NotDelivered.
        """
        message = self._own(row, written) if written else self._platforms(row)
        await self._way.deliver(row.id, message)
        return str(message["Message-ID"])

    def _own(self, row: EmailLog, written: Written) -> EmailMessage:
        """A mail of a tenant's template; one that people can do without says how to get no more of them."""
        message = self._headed(row, written.subject)
        link = None
        if row.category != TRANSACTIONAL:
            link = f"{self._settings.base_url}/{UNSUBSCRIBE}/{self._signer.ticket(UNSUBSCRIBE, row.id)}"
            message["List-Unsubscribe"] = f"<{link}>"
            message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        message.set_content(f"{written.text}\n-- \nUnsubscribe: {link}\n" if link else written.text)
        page = self._templates.get_template("email/_own.html")
        html = page.render(subject=written.subject, html=written.html, link=link)
        message.add_alternative(html, subtype="html")
        return message

    def _platforms(self, row: EmailLog) -> EmailMessage:
        values = {**row.props, "to": row.recipient, "base_url": self._settings.base_url, **self._secrets(row.ticket)}
        written = self._templates.get_template(self._mails[row.template][1]).render(values)
        subject, _, text = written.strip().partition("\n")
        message = self._headed(row, subject)
        message.set_content(text.strip() + "\n")
        paragraphs = [part.strip() for part in text.strip().split("\n\n")]
        page = self._templates.get_template("email/_letter.html")
        message.add_alternative(page.render(values, subject=subject, paragraphs=paragraphs), subtype="html")
        return message

    def _headed(self, row: EmailLog, subject: str) -> EmailMessage:
        message = EmailMessage()
        message["Subject"] = subject
        message["From"] = self._settings.email_from
        message["To"] = row.recipient
        message["Date"] = format_datetime(created(row.id))
        domain = parseaddr(self._settings.email_from)[1].rpartition("@")[2]
        message["Message-ID"] = f"<{row.id}@{domain}>"
        message["Auto-Submitted"] = "auto-generated"
        return message

    def _secrets(self, ticket: Mapping[str, Any] | None) -> dict[str, str | None]:
        if ticket is None:
            return {"code": None, "link": None}
        found = msgspec.convert(ticket, Ticket)
        code = self._signer.code(found.purpose, found.of)
        link = f"{self._settings.base_url}{found.path}/{self._signer.ticket(found.purpose, found.of)}"
        return {"code": f"{code[:4]} {code[4:]}", "link": link}

    @cached_property
    def _templates(self) -> Environment:
        return Environment(
            loader=FileSystemLoader(ROOT / "templates"),
            autoescape=select_autoescape(["html"]),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
