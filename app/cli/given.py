"""What commands are given as JSON: the same as the API takes, read as strictly."""

from typing import Any, BinaryIO, TypeVar

import rich_click as click
from msgspec import DecodeError, ValidationError, convert, json

from app.core.errors import FieldError

T = TypeVar("T")
json_file = click.argument("file", type=click.File("rb"))
"""A path, or - for standard input, where secrets are better than on the command line."""


def document(file: BinaryIO, shape: type[T]) -> T:
    """
    Raises:
        BadParameter: it is no JSON, or does not fit; the message begins with the field.
    """
    try:
        return json.decode(file.read(), type=shape)
    except ValidationError as error:
        raise _misfit(error, "FILE") from None
    except (DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise click.BadParameter(f"is not JSON: {error}", param_hint="FILE") from None


def fitting(given: Any, shape: type[T], *, strict: bool = True) -> T:
    """The same of what options say; without `strict` they are read as text, "5" as a number."""
    try:
        return convert(given, shape, strict=strict)
    except ValidationError as error:
        raise _misfit(error, None) from None


def _misfit(error: ValidationError, hint: str | None) -> click.BadParameter:
    found = FieldError.of_misfit(error, "")
    return click.BadParameter(f"{found.field}: {found.message}" if found.field else found.message, param_hint=hint)
