"""One's own account on the wire."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from msgspec import Meta, field

from app.core.passwords import Password
from app.core.wire import Incoming, Outgoing
from app.modules.people.service import ConsentRead
from app.modules.sessions.service import DeviceRead, SessionRead

Code = Annotated[str, Meta(max_length=40, examples=["123456"])]


class AccountRead(Outgoing):
    """The signed-in person. `recoveryCodesLeft` counts those that were not used."""

    id: str
    email: str
    name: str
    phone: str | None
    role: str
    timezone: str
    about: str
    second_factor: bool
    recovery_codes_left: int


class PasswordChange(Incoming):
    """Another password for the signed-in person; `current` is the one before."""

    current: Password
    password: Password


class Confirmation(Incoming):
    """A proof that it is still the same person: the password, or a code where there is a second factor."""

    proof: Password


class FactorBegun(Outgoing):
    """What an authenticator app needs; it is shown once. The second factor counts after its first code was sent."""

    secret: str
    uri: str


class FactorCode(Incoming):
    """The code that the app shows now."""

    code: Code


class RecoveryCodes(Outgoing):
    """Each of them stands in for the app once. They are shown once."""

    recovery_codes: Sequence[str]


class PurposeRead(Outgoing):
    """What can be agreed to, and what the person answered last; null where it never did."""

    purpose: str
    text: str
    version: int
    granted: bool | None
    answered_version: int | None
    answered_at: datetime | None


class AccountExport(Outgoing):
    """All that is stored about the signed-in person's account, without secrets."""

    account: AccountRead
    consents: Sequence[ConsentRead]
    devices: Sequence[DeviceRead]
    sessions: Sequence[SessionRead]


class Form(Incoming):
    """Any of the dashboard's forms here."""

    csrf_token: str = field(name="_csrf_token", default="")


class ProfileForm(Form):
    name: str = ""
    phone: str = ""
    timezone: str = "UTC"
    about: str = ""


class PasswordForm(Form):
    current: Password = ""
    password: Password = ""
    repeat: Password = ""


class ConfirmationForm(Form):
    proof: Password = ""


class CodeForm(Form):
    code: Code = ""


class ConsentForm(Form):
    granted: str = ""
    """Browsers send nothing for a box that is not ticked."""
