"""One worker process leads the loops, by a lease that it keeps renewing."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, func, or_
from sqlalchemy.dialects.postgresql import insert

from app.core.database import SYSTEM, Database
from app.queues.models import LeaseRow

LEASE = "worker-loops"
LEASE_LASTS = timedelta(seconds=6)


class Leader:
    """Whether this process leads. The lease runs by PostgreSQL's clock, so hosts need not agree on the time."""

    def __init__(self, database: Database, holder: UUID) -> None:
        self.database = database
        self.holder = holder

    async def lead(self) -> bool:
        """Take or renew the lease; False while another holds it."""
        until = func.now() + LEASE_LASTS
        values = {"name": LEASE, "holder": self.holder, "expires_at": until}
        mine_or_free = or_(LeaseRow.holder == self.holder, LeaseRow.expires_at < func.now())
        query = (
            insert(LeaseRow)
            .values(values)
            .on_conflict_do_update(index_elements=["name"], set_=values, where=mine_or_free)
            .returning(LeaseRow.holder)
        )
        async with self.database.transaction(SYSTEM) as session:
            return await session.scalar(query) == self.holder

    async def resign(self) -> None:
        async with self.database.transaction(SYSTEM) as session:
            await session.execute(delete(LeaseRow).filter_by(name=LEASE, holder=self.holder))
