"""Facts that one module announces and others, above it, act on in the same transaction."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, ClassVar
from uuid import UUID

from msgspec import Struct, StructMeta
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Scope
from app.core.policy import Actor


class _EventMeta(StructMeta):
    def __new__(
        mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], *, topic: str = "", **opts: Any
    ) -> "_EventMeta":
        return super().__new__(mcs, name, bases, namespace | {"topic": topic}, **opts)


class Event(Struct, metaclass=_EventMeta, frozen=True, rename="camel"):
    """Base of what modules announce, in the past tense: `class ArticlePublished(Event, topic="article.published")`.

    A fact with a topic is public: who subscribes to `Event` itself hears it too, and may show it to the outside. It
    carries ids, and nothing that somebody who knows of the thing may not read.
    """

    topic: ClassVar[str]


Subscriber = Callable[[AsyncSession, Any], Awaitable[None]]
"""Writes rows or enqueues; what else there is to do belongs into a job."""


async def emit(
    session: AsyncSession, event: Event, *, tenant_id: UUID | None = None, actor: Actor | None = None
) -> None:
    """Tell whoever listens. What a subscriber raises ends the transaction of the fact itself.

    Args:
        actor: on whose behalf it happened, where that may be somebody else than who sent the request; a job acts for
            whoever asked for it. Subscribers find it in `session.info["actor"]`.
        tenant_id: whose fact it is, where the platform acts on a tenant's things: subscribers find it in `scope_of`,
            so that the jobs they ask for are that tenant's.
    """
    known: Mapping[type[Event], Sequence[Subscriber]] = session.info["subscribers"]
    scope: Scope = session.info["scope"]
    sender: Actor | None = session.info.get("actor")
    session.info["scope"] = scope if tenant_id is None else Scope(scope.plane, tenant_id)
    session.info["actor"] = actor or sender
    try:
        for subscriber in (*known.get(type(event), ()), *(known.get(Event, ()) if event.topic else ())):
            await subscriber(session, event)
    finally:
        session.info["scope"], session.info["actor"] = scope, sender


def public() -> dict[str, type[Event]]:
    """Every public fact that the loaded modules can announce, by topic."""
    return {event.topic: event for event in Event.__subclasses__() if event.topic}
