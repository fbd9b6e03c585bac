"""Blocks: what is signed, and how one looks in a file."""

import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Struct

from app.core.digests import canonical
from app.core.wire import Outgoing

VERSION = 1
FIRST = bytes(32)
"""What the first block has for the hash of the one before."""
DIGEST = 32
PURPOSE = b"teknav audit seal 1"


class Block(Struct, frozen=True, rename="camel"):
    """A closed block as it stands in a file; hexadecimal where it is bytes. `rows` are pairs of id and digest."""

    number: int
    version: int
    closed_at: str
    prev: str
    rows: list[tuple[str, str]]
    hash: str
    public_key: str
    signature: str

    def computed_hash(self) -> bytes:
        """Over everything but the signature."""
        head = {"number": self.number, "version": self.version, "closedAt": self.closed_at, "prev": self.prev}
        rows = hashlib.sha256(b"".join(bytes.fromhex(digest) for _, digest in self.rows)).hexdigest()
        ids = hashlib.sha256(b"".join(UUID(id_).bytes for id_, _ in self.rows)).hexdigest()
        return hashlib.sha256(PURPOSE + canonical(head | {"ids": ids, "digests": rows})).digest()

    def trouble(self, signer: str) -> str | None:
        """What is wrong with the block by itself; `signer` is the public key it should have been signed with."""
        if self.version != VERSION:
            return f"block {self.number} has the version {self.version}, which this program does not know"
        try:
            if self.computed_hash().hex() != self.hash:
                return f"block {self.number} does not have the hash that was signed"
            if self.public_key != signer:
                return f"block {self.number} is signed by another key, {self.public_key}"
            public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(self.public_key))
            public.verify(bytes.fromhex(self.signature), bytes.fromhex(self.hash))
        except InvalidSignature:
            return f"block {self.number} has a wrong signature"
        except ValueError as error:  # from a file, where anything may stand
            return f"block {self.number} cannot be read: {error}"
        return None


class SealState(Outgoing):
    """How far the audit log is sealed, and what its last verification found.

    `waiting` rows are in no block yet: a block closes over rows that are older than every running transaction.
    `publicKey` is what an export can be verified with. `broken` names the first row or block that is not as it was
    sealed; null where all is well.
    """

    blocks: int
    sealed_rows: int
    sealed_at: datetime | None
    head: str | None
    waiting: int
    public_key: str
    verified_at: datetime | None
    verified_blocks: int | None
    verified_rows: int | None
    broken: str | None


class Verification(Outgoing):
    """The job that verifies."""

    job_id: UUID


class Verdict(Struct, frozen=True, kw_only=True):
    """What a verification found. `gone` rows were dropped with their months; `broken` is the first thing amiss."""

    blocks: int = 0
    rows: int = 0
    gone: int = 0
    erased: int = 0
    unsealed: Sequence[str] = ()
    head: str | None = None
    public_key: str | None = None
    broken: str | None = None


def signing_key(encryption_key: str) -> Ed25519PrivateKey:
    """The key that signs blocks, derived from ENCRYPTION_KEY: the same in every process, and stored nowhere."""
    return Ed25519PrivateKey.from_private_bytes(hmac.digest(encryption_key.encode(), PURPOSE, "sha256"))


def public_bytes(key: Ed25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()
