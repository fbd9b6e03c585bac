"""Times in addresses."""

from datetime import UTC, date, datetime, time, timedelta

from app.core.errors import Invalid


def moment(field: str, text: str | None, *, end: bool = False) -> datetime | None:
    """A day or a moment in ISO 8601; without a zone it is UTC. With `end`, a day means the start of the next.

    Raises:
        Invalid: naming the field.
    """
    if not text:
        return None
    try:
        if len(text) == len("2026-01-31"):
            day = date.fromisoformat(text) + timedelta(days=1 if end else 0)
            found = datetime.combine(day, time(), UTC)
        else:
            found = datetime.fromisoformat(text)
            found = found if found.tzinfo else found.replace(tzinfo=UTC)
        if found.timestamp() < 0:
            raise ValueError(text)
    except (ValueError, OverflowError):
        raise Invalid.field(field, "must be a day (2026-01-31) or a moment (2026-01-31T12:00:00Z)") from None
    return found


def day_of(field: str, text: str | None) -> date | None:
    """A day alone, 2026-01-31, as a site's calendar has it.

    Raises:
        Invalid: naming the field.
    """
    try:
        found = date.fromisoformat(text) if text else None
    except ValueError:
        found = date.min
    if found is not None and not 2000 <= found.year < 2200:
        raise Invalid.field(field, "must be a day, such as 2026-01-31")
    return found
