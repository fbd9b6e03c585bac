"""How the platform fares. It knows no other module: they contribute their signs."""

from collections.abc import Sequence
from time import perf_counter

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.policy import Actor
from app.core.signs import Sign, SignSource, Weight


class Signs:
    """`sources` are those that modules declare; the actor gets what they may see."""

    def __init__(self, session: AsyncSession, actor: Actor, sources: Sequence[SignSource]) -> None:
        self._session = session
        self._own = [source for source in sources if actor.may(source.permission)]

    @property
    def topics(self) -> str:
        """What is signalled when something has changed."""
        return " ".join(sorted({source.topic for source in self._own}))

    async def all(self) -> list[Sign]:
        """The heaviest first; where they weigh the same, from the modules that stand on others down to the lowest."""
        found = [sign for source in reversed(self._own) for sign in await source.read(self._session)]
        return sorted(found, key=lambda sign: sign.weight)


async def signs(session: AsyncSession) -> list[Sign]:
    """Who reads this has been answered by the web process; and by PostgreSQL, as quickly as this."""
    began = perf_counter()
    await session.scalar(select(1))
    took_ms = (perf_counter() - began) * 1000
    return [Sign("PostgreSQL", "up", f"PostgreSQL answered in {took_ms:.0f} ms", Weight.OK)]
