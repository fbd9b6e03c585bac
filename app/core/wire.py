"""The one place that says how Python looks on the wire: camelCase, unknown fields refused."""

from msgspec import Struct


class Incoming(Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """Base of what callers send."""


class Outgoing(Struct, rename="camel", kw_only=True):
    """Base of what callers get."""
