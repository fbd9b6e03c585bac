"""The forms of the front door and of one's account, on the wire."""

from typing import Annotated

from msgspec import Meta, field

from app.core.wire import Incoming

Email = Annotated[str, Meta(max_length=320)]
Password = Annotated[str, Meta(max_length=1024)]


class SignInForm(Incoming):
    email: Email = ""
    password: Password = ""
    next: str = ""


class SetupForm(Incoming):
    email: Email = ""
    password: Password = ""
    repeat: Password = ""


class PasswordChange(Incoming):
    """Another password for the signed-in person; `current` is the one before."""

    current: Password
    password: Password


class PasswordForm(Incoming):
    """The dashboard's form for that."""

    current: Password = ""
    password: Password = ""
    repeat: Password = ""
    csrf_token: str = field(name="_csrf_token", default="")
