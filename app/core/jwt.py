"""JSON Web Tokens under our own secrets: the first signs, all verify, so that one can be replaced without a gap."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
from msgspec import Struct, ValidationError, convert

ISSUER = "teknav"
ALGORITHM = "HS256"


class Claims(Struct, frozen=True):
    """What a JWT of ours says: whose it is, which of that one's epochs it belongs to, and perhaps for what only."""

    sub: str
    epoch: int
    scope: str | None = None


class BadJwt(Exception):
    """Not one of ours, or expired. The message says which, for the caller."""


class Jwts:
    """
    Args:
        secrets: of 32 characters or more, the newest first.
        audience: what the JWTs are for; one for something else is refused.
    """

    def __init__(self, secrets: Sequence[str], audience: str, lasts: timedelta) -> None:
        self._secrets = tuple(secrets)
        self._audience = audience
        self.lasts = lasts

    def sign(self, claims: Claims) -> str:
        now = datetime.now(UTC)
        said: dict[str, Any] = {"iss": ISSUER, "aud": self._audience, "iat": now, "exp": now + self.lasts}
        said |= {"sub": claims.sub, "epoch": claims.epoch}
        if claims.scope is not None:
            said["scope"] = claims.scope
        return jwt.encode(said, self._secrets[0], ALGORITHM)

    def verify(self, text: str) -> Claims:
        """
        Raises:
            BadJwt.
        """
        for secret in self._secrets:
            try:
                said = jwt.decode(
                    text,
                    secret,
                    algorithms=[ALGORITHM],
                    audience=self._audience,
                    issuer=ISSUER,
                    options={"require": ["exp", "iat", "sub", "iss", "aud"]},
                )
                return convert(said, Claims)
            except jwt.InvalidSignatureError:
                continue
            except jwt.ExpiredSignatureError:
                raise BadJwt("has expired") from None
            except (jwt.InvalidTokenError, ValidationError):
                break
        raise BadJwt("is unknown")
