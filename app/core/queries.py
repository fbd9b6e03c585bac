"""Filters as addresses have them. An empty one is none, as browsers send it."""

from uuid import UUID

from app.core.errors import Invalid

LONGEST = 200


def text_of(field: str, value: str | None) -> str | None:
    """
    Raises:
        Invalid: naming the field; it is too long, or no text for people.
    """
    if value and (len(value) > LONGEST or not value.isprintable()):
        raise Invalid.field(field, f"must have at most {LONGEST} printable characters")
    return (value or "").strip() or None


def uuid_of(field: str, value: str | None) -> UUID | None:
    """
    Raises:
        Invalid: naming the field.
    """
    try:
        return UUID(value) if value else None
    except ValueError:
        raise Invalid.field(field, "must be a UUID") from None
