"""OAuth's client credentials grant on the wire."""

from typing import Literal

from msgspec import Struct


class Grant(Struct):
    """The form of RFC 6749, section 4.4. Fields that it does not know are passed over, as the RFC wants."""

    grant_type: str = ""
    client_id: str = ""
    client_secret: str = ""
    scope: str = ""


class AccessToken(Struct):
    """The answer of RFC 6749, section 5.1, in its own spelling. `expires_in` is in seconds."""

    access_token: str
    expires_in: int
    scope: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - the word that the RFC wants
