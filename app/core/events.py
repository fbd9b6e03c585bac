"""Facts that one module announces and others, above it, act on in the same transaction."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncSession


class Event(Struct, frozen=True):
    """Base of what modules announce, in the past tense: `TenantCreated`."""


Subscriber = Callable[[AsyncSession, Any], Awaitable[None]]
"""Writes rows or enqueues; what else there is to do belongs into a job."""


async def emit(session: AsyncSession, event: Event) -> None:
    """Tell whoever listens. What a subscriber raises ends the transaction of the fact itself."""
    known: Mapping[type[Event], Sequence[Subscriber]] = session.info["subscribers"]
    for subscriber in known.get(type(event), ()):
        await subscriber(session, event)
