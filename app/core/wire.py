"""The one place that says how Python looks on the wire: camelCase, unknown fields refused, JSON asked for by name."""

from typing import Any
from unicodedata import category

from litestar import Request
from msgspec import Struct

from app.core.errors import Invalid, Unsupported


class Incoming(Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """Base of what callers send."""


class Outgoing(Struct, rename="camel", kw_only=True):
    """Base of what callers get."""


class Sensitive(Outgoing):
    """What nobody gets without a row in the access log: a route that answers with it declares its `access`."""


class JsonRequest(Request[Any, Any, Any]):
    """A request whose body is read as JSON only where it does not say that it is something else."""

    async def json(self) -> Any:
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in ("", "application/json") and not kind.endswith("+json") and await self.body():
            raise Unsupported(f"Content-Type: send application/json, not {kind}")
        return await super().json()


def one_line(field: str, text: str, longest: int) -> str:
    """A name or a title without the space around it.

    Raises:
        Invalid: it is empty, too long or more than a line.
    """
    found = text.strip()
    if not found or len(found) > longest or any(category(sign) == "Cc" for sign in found):
        raise Invalid.field(field, f"must have 1 to {longest} characters in one line")
    return found
