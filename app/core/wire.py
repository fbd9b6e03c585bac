"""The one place that says how Python looks on the wire: camelCase, unknown fields refused, JSON asked for by name."""

import re
from typing import Any
from unicodedata import category

from litestar import Request
from litestar.enums import RequestEncodingType
from litestar.exceptions import ValidationException
from litestar.params import BodyKwarg
from litestar.typing import FieldDefinition
from msgspec import Struct, ValidationError, convert, field

from app.core.errors import Invalid, Unsupported

MOST_FIELDS = 2_000
SHORT_BODY = 64 * 1024
"""Bytes of what people and programs send before anybody knows who they are."""
_PLACE = re.compile(r"`\$\.(.+)`$")


class Incoming(Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """Base of what callers send."""


class Outgoing(Struct, rename="camel", kw_only=True):
    """Base of what callers get."""


class Sensitive(Outgoing):
    """What nobody gets without a row in the access log: a route that answers with it declares its `access`."""


class Ticked(Incoming):
    """The rows that are ticked in a list of the dashboard; of one alone a browser sends no list."""

    ids: list[str] | str = field(default_factory=list)
    csrf_token: str = field(name="_csrf_token", default="")


class JsonRequest(Request[Any, Any, Any]):
    """A request whose body is read as JSON only where it does not say that it is something else, and taken as it is.

    Forms send text for everything, so that the framework takes "3" for 3; in JSON, as the API's description says it,
    3 is not "3" and 0 is not false.
    """

    async def body(self) -> bytes:
        """
        Raises:
            Invalid (`body`): it is a form of more fields than any page has: reading them would hold all others up.
        """
        body = await super().body()
        field = self.route_handler.parsed_data_field
        asked = field.kwarg_definition.media_type if field and isinstance(field.kwarg_definition, BodyKwarg) else None
        is_form = RequestEncodingType.URL_ENCODED in (asked, self.content_type[0])
        if is_form and body.count(b"&") > MOST_FIELDS:
            raise Invalid.field("body", f"is a form of more than {MOST_FIELDS:,} fields")
        return body

    async def json(self) -> Any:
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in ("", "application/json") and not kind.endswith("+json") and await self.body():
            raise Unsupported(f"Content-Type: send application/json, not {kind}")
        return _exact(await super().json(), self.route_handler.parsed_data_field)


def _exact(body: Any, field: FieldDefinition | None) -> Any:
    if field is None:
        return body
    try:
        return convert(body, field.annotation, strict=True, str_keys=True)
    except ValidationError as error:
        # In the form of the framework's own, which knows the place as a key.
        where = _PLACE.search(str(error))
        wrong = {"message": str(error).partition(" - ")[0], "key": where[1] if where else "data", "source": "body"}
        raise ValidationException(extra=[wrong]) from error


MAX_REASON = 500


def reason_of(text: str | None) -> str | None:
    """Why somebody acts, for people and the audit log; None where nothing is said.

    Raises:
        Invalid (`reason`): it is too long, or holds U+0000.
    """
    reason = (text or "").replace("\r\n", "\n").strip()  # as browsers send the end of a line, which they count as one
    if len(reason) > MAX_REASON or "\0" in reason:
        raise Invalid.field("reason", f"must have at most {MAX_REASON} characters, none of them U+0000")
    return reason or None


def one_line(field: str, text: str, longest: int) -> str:
    """A name or a title without the space around it.

    Raises:
        Invalid: it is empty, too long or more than a line.
    """
    found = text.strip()
    if not found or len(found) > longest or any(category(sign) == "Cc" for sign in found):
        raise Invalid.field(field, f"must have 1 to {longest} characters in one line")
    return found
