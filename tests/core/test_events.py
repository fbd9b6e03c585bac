"""Facts that modules announce, and who hears them."""

from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Database, Plane, Scope, scope_of
from app.core.events import Event, emit, public
from app.core.ids import new_id


class Baked(Event, frozen=True, topic="test.baked"):
    loaf_id: UUID


class Kneaded(Event, frozen=True):
    loaf_id: UUID


async def test_a_public_fact_is_heard_by_its_listeners_and_by_those_of_every_public_fact(database: Database) -> None:
    heard: list[tuple[str, Event]] = []

    async def own(session: AsyncSession, event: Baked) -> None:
        heard.append(("own", event))
        assert scope_of(session) == Scope(Plane.SYSTEM, baker)

    async def every(session: AsyncSession, event: Event) -> None:
        heard.append(("every", event))

    baked, kneaded, baker = Baked(new_id()), Kneaded(new_id()), new_id()
    async with database.transaction(Scope(Plane.SYSTEM)) as session:
        await session.execute(text("SELECT 1"))
        session.info["subscribers"] = {Baked: [own], Event: [every]}
        await emit(session, baked, tenant_id=baker)
        await emit(session, kneaded)
        assert scope_of(session) == Scope(Plane.SYSTEM)
    assert heard == [("own", baked), ("every", baked)]
    assert public()["test.baked"] is Baked
    assert msgspec.to_builtins(baked) == {"loafId": str(baked.loaf_id)}
