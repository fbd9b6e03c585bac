"""Secrets that we hand out, and signatures over what comes back to us."""

import hashlib
import hmac
import os
import secrets as random
from base64 import urlsafe_b64encode
from typing import Any
from uuid import UUID


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

    def code(self, purpose: str, of: UUID) -> str:
        """The one-time code of a row: 8 digits, derived from its id, so that it need not be stored to be mailed."""
        mac = hmac.digest(self._key, f"code {purpose}\0{of}".encode(), "sha256")
        return f"{int.from_bytes(mac[:16]) % 10**8:08}"

    def ticket(self, purpose: str, of: UUID) -> str:
        """The text of a one-time link to a row: its id and a signature, 64 characters."""
        return of.hex + self.sign(f"ticket {purpose}", of.hex)

    def read_ticket(self, purpose: str, ticket: str) -> UUID | None:
        """The row's id; None where it was not we who wrote this ticket for this purpose."""
        id_, signature = ticket[:32], ticket[32:]
        return UUID(id_) if self.verify(f"ticket {purpose}", id_, signature) else None


class Cipher:
    """Encrypts columns with AES-256-GCM. What was encrypted for one purpose and row can be read for that one only."""

    def __init__(self, key: str) -> None:
        self._key = key.encode()

    def encrypt(self, purpose: str, of: UUID, text: str) -> bytes:
        nonce = os.urandom(12)
        sealed: bytes = self._aes(purpose).encrypt(nonce, text.encode(), of.bytes)
        return nonce + sealed

    def decrypt(self, purpose: str, of: UUID, sealed: bytes) -> str:
        """
        Raises:
            cryptography.exceptions.InvalidTag: it was encrypted with another key, or for something else.
        """
        plain: bytes = self._aes(purpose).decrypt(sealed[:12], sealed[12:], of.bytes)
        return plain.decode()

    def _aes(self, purpose: str) -> Any:
        # Few processes ever encrypt, and the library is large.
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return AESGCM(hmac.digest(self._key, f"column {purpose}".encode(), "sha256"))
