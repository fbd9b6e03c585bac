"""The forms of the front door, on the wire."""

from typing import Annotated

from msgspec import Meta

from app.core.passwords import Password
from app.core.wire import Incoming

Email = Annotated[str, Meta(max_length=320)]
Short = Annotated[str, Meta(max_length=200)]


class SignInForm(Incoming):
    email: Email = ""
    password: Password = ""
    next: str = ""


class AskForm(Incoming):
    """Asks for a mail."""

    email: Email = ""
    next: str = ""


class CodeForm(Incoming):
    """A code, and the ticket that says for what."""

    ticket: Short = ""
    code: Short = ""
    next: str = ""


class SetupForm(Incoming):
    email: Email = ""
    password: Password = ""
    repeat: Password = ""


class NewPasswordForm(Incoming):
    password: Password = ""
    repeat: Password = ""


class SignUpForm(Incoming):
    name: Short = ""
    password: Password = ""
    repeat: Password = ""
