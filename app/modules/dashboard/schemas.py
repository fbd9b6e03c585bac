"""How the platform fares, on the wire."""

from collections.abc import Sequence

from app.core.signs import Sign, Weight, counted
from app.core.wire import Outgoing

WORDS = {Weight.BAD: "bad", Weight.WARN: "warn", Weight.OK: "ok"}


class SignRead(Outgoing):
    """How one part fares: `weight` is bad, warn or ok; `path` is its page, under the dashboard's address, or empty."""

    part: str
    value: str
    text: str
    weight: str
    path: str


class OverviewRead(Outgoing):
    """How the platform fares, in a sentence and by its parts; what asks most for a person comes first."""

    well: bool
    summary: str
    items: Sequence[SignRead]


def read(signs: Sequence[Sign]) -> OverviewRead:
    items = [
        SignRead(part=one.part, value=one.value, text=one.text, weight=WORDS[one.weight], path=one.path)
        for one in signs
    ]
    return OverviewRead(well=not troubles(signs), summary=summary(signs), items=items)


def troubles(signs: Sequence[Sign]) -> list[Sign]:
    return [one for one in signs if one.weight != Weight.OK]


def summary(signs: Sequence[Sign]) -> str:
    """All of it in one sentence."""
    found = troubles(signs)
    if not found:
        return f"All is well: {counted(len(signs), 'part')} looked at"
    return f"{counted(len(found), 'thing asks', 'things ask')} for you: {'; '.join(one.text for one in found)}"
