"""What may be chosen, where a type lists it: for errors that name the choices."""

from typing import Any

import msgspec
from msgspec import inspect


def choices(kind: Any) -> list[str]:
    """The values of an enumeration or a `Literal`, also where None is allowed too; empty for other types."""
    return _of(inspect.type_info(kind))


def choices_of_field(struct: Any, name: str) -> list[str]:
    """The same for a field of a struct, by the name that is sent."""
    info = inspect.type_info(struct)
    found = info if isinstance(info, inspect.StructType) else None
    if isinstance(info, inspect.UnionType):
        found = next((kind for kind in info.types if isinstance(kind, inspect.StructType)), None)
    return next((_of(field.type) for field in found.fields if field.encode_name == name), []) if found else []


def _of(info: inspect.Type) -> list[str]:
    match info:
        case inspect.Metadata():
            return _of(info.type)
        case inspect.UnionType():
            return [value for kind in info.types for value in _of(kind)]
        case inspect.LiteralType():
            return [str(value) for value in info.values]
        case inspect.EnumType():
            return [str(member.value) for member in info.cls]
    return []


def explained(error: msgspec.ValidationError, kind: Any) -> str:
    """The error's message, without its place, or what may be chosen."""
    found = choices(kind) if str(error).startswith("Invalid enum value") else []
    return f"must be one of {', '.join(found)}" if found else str(error).partition(" - at ")[0]
