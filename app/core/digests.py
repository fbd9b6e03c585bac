"""The digest of a record that can lose its personal values later: one salted digest for each of them, one over all.

A value that is erased leaves its digest and takes its salt along, so that nobody can try values against it. The other
values keep theirs, and the record's digest stays what it was.
"""

import hashlib
import hmac
import json
from collections.abc import Collection, Mapping
from typing import Any

from msgspec import Struct

ERASED = "[erased]"
Plain = Mapping[str, Any]


class Marks(Struct, frozen=True, rename="camel", omit_defaults=True):
    """What a record's digest is made with: its salt; or, where something was erased, what is left of that.

    All as hexadecimal text: `digests` of erased values, `salts` of the others.
    """

    salt: str | None = None
    digests: dict[str, str] = {}
    salts: dict[str, str] = {}

    def without(self, values: Mapping[str, Any], names: Collection[str]) -> "Marks":
        """The marks when the values of these names are gone."""
        gone = {name: self.digest(name, value) for name, value in values.items() if name in names}
        digests = self.digests | gone
        return Marks(None, digests, {name: self._salt(name).hex() for name in values if name not in digests})

    def digest(self, name: str, value: Any) -> str:
        """
        Raises:
            ValueError: it is said to be erased and has a value, or nothing says how to salt it.
        """
        if name in self.digests:
            if value not in (None, ERASED):
                raise ValueError(f"{name} has a value though it was erased")
            return self.digests[name]
        return hashlib.sha256(self._salt(name) + canonical(value)).hexdigest()

    def _salt(self, name: str) -> bytes:
        if self.salt is not None:
            return hmac.digest(bytes.fromhex(self.salt), name.encode(), "sha256")
        if name not in self.salts:
            raise ValueError(f"{name} has no salt")
        return bytes.fromhex(self.salts[name])


def record_digest(public: Plain, personal: Plain, marks: Marks) -> bytes:
    """32 bytes over all values.

    Raises:
        ValueError: the marks do not fit the values.
    """
    digests = {name: marks.digest(name, value) for name, value in personal.items()}
    return hashlib.sha256(canonical({"public": public, "personal": digests})).digest()


def canonical(value: Any) -> bytes:
    """JSON in one form, whatever the order in which it came."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
