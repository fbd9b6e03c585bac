"""How the parts fare, in a few words: modules name sources of signs, and the overview puts what is not well first."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Plane
from app.core.policy import Permission


class Weight(IntEnum):
    """How much a sign asks for a person: something is lost or stands still; somebody should look; all is well."""

    BAD = 0
    WARN = 1
    OK = 2


@dataclass(frozen=True, slots=True)
class Sign:
    """What can be said of a part: `value` in a word or a number, `text` in a sentence that stands by itself.

    `path` is where more is shown, under the dashboard's prefix; empty where that is nowhere.
    """

    part: str
    value: str
    text: str
    weight: Weight
    path: str = ""


@dataclass(frozen=True, slots=True)
class SignSource:
    """`read(session)` answers with a module's signs; whoever lacks the permission is told none.

    `topic` is signalled when they may have changed.
    """

    read: Callable[[AsyncSession], Awaitable[Sequence[Sign]]]
    permission: Permission
    topic: str
    plane: Plane | None = Plane.PLATFORM
    """Whose overview says it: the owner's or tenants'. None for both: of one tenant, its transaction reads its own."""


def counted(number: int, one: str, many: str | None = None) -> str:
    """`1 mail`, `2 mails`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
