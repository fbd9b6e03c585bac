"""How the platform fares, and how a tenant does. It knows no other module: they contribute their signs."""

from collections.abc import Sequence
from time import perf_counter

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app import __version__
from app.core.database import Plane, scope_of
from app.core.policy import Actor
from app.core.signs import Sign, SignSource, Weight
from app.core.snapshot import Snapshots
from app.modules.dashboard.permissions import STANDING

WEB = Sign("Web", "up", f"The web process answers, of version {__version__}", Weight.OK)
"""Who reads this in the dashboard or from the API has been answered by it."""


class Signs:
    """`sources` are those that modules declare; the actor gets what they may see.

    They are of the platform, or of the whole tenant: a right in one of its workspaces alone does not reach them.

    Args:
        web: what is known of the web process.
    """

    def __init__(self, session: AsyncSession, actor: Actor, sources: Sequence[SignSource], web: Sign = WEB) -> None:
        self._session = session
        self._web = [web] if actor.may(STANDING) else []
        plane = Plane.TENANT if actor.plane is Plane.TENANT else Plane.PLATFORM
        self._own = [
            source
            for source in sources
            if source.plane in (None, plane) and source.permission.name in actor.permissions
        ]

    @property
    def topics(self) -> str:
        """What is signalled when something has changed."""
        return " ".join(sorted({source.topic for source in self._own}))

    async def all(self, snapshots: Snapshots | None = None) -> list[Sign]:
        """The heaviest first; where they weigh the same, from the modules that stand on others down to the lowest.

        Args:
            snapshots: where the readings are that serve many; None reads anew.
        """
        found = [sign for source in reversed(self._own) for sign in await self._read(source, snapshots)]
        return sorted([*found, *self._web], key=lambda sign: sign.weight)

    async def _read(self, source: SignSource, snapshots: Snapshots | None) -> Sequence[Sign]:
        if snapshots is None:
            return await source.read(self._session)
        name = f"signs of {source.read.__module__}"
        return await snapshots.read(name, scope_of(self._session), source.topic, lambda: source.read(self._session))


async def signs(session: AsyncSession) -> list[Sign]:
    """How quickly PostgreSQL answers whoever reads this."""
    began = perf_counter()
    await session.scalar(select(1))
    took_ms = (perf_counter() - began) * 1000
    return [Sign("PostgreSQL", "up", f"PostgreSQL answered in {took_ms:.0f} ms", Weight.OK)]
