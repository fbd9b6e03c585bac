"""Secrets that we hand out, and signatures over what comes back to us."""

import hashlib
import hmac
import secrets as random
from base64 import urlsafe_b64encode


class Secret(str):
    """Text that logs and the audit log must not show. `str(secret)` is the text itself."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret('***')"


def new_secret(prefix: str = "") -> Secret:
    """A fresh secret of 256 random bits, with a readable prefix such as `tn_`."""
    return Secret(prefix + random.token_urlsafe(32))


def digest(secret: str) -> bytes:
    """What is stored instead of the secret: SHA-256, 32 bytes.

    Only for secrets of full entropy, made by `new_secret`; people's passwords go through argon2.
    """
    return hashlib.sha256(secret.encode()).digest()


class Signer:
    """Short signatures under one key, each bound to a purpose, so that one cannot stand in for another."""

    def __init__(self, key: str) -> None:
        self._key = key.encode()

    def sign(self, purpose: str, message: str) -> str:
        """base64url text of 32 characters."""
        mac = hmac.digest(self._key, f"{purpose}\0{message}".encode(), "sha256")
        return urlsafe_b64encode(mac[:24]).decode()

    def verify(self, purpose: str, message: str, signature: str) -> bool:
        return hmac.compare_digest(self.sign(purpose, message).encode(), signature.encode())
