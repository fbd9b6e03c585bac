"""One line of time of everything that a request caused. It knows no other module: they contribute their sources."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import NotFound
from app.core.policy import Actor
from app.core.trace import Step, TraceSource


class Traces:
    """`sources` are those that modules declare."""

    def __init__(self, session: AsyncSession, actor: Actor, sources: Sequence[TraceSource]) -> None:
        self._session = session
        self._own = [source for source in sources if actor.may(source.permission)]

    @property
    def topics(self) -> list[str]:
        """What is signalled when there is more to tell."""
        return sorted({source.topic for source in self._own})

    async def steps(self, trace_id: UUID) -> list[Step]:
        """In the order in which they began.

        Raises:
            NotFound: nothing is known under this id, or nothing that the caller may read.
        """
        found = [step for source in self._own for step in await source.find(self._session, trace_id)]
        if not found:
            raise NotFound("There is no trace with this id")
        return sorted(found, key=lambda step: step.began_at)
