"""Jobs whose time has come wait like others, also where no worker looks: their queue is paused, or Redis is away."""

from sqlalchemy import func, select, update

from app.core.database import SYSTEM, Database
from app.core.live import signal
from app.queues.models import JobRow
from app.queues.record import TOPIC

AT_ONCE = 1000


async def note_due(database: Database) -> int:
    """Take `delayed` back from all jobs whose `run_at` has come; returns how many.

    One that somebody is changing is left for the next round. `updated_at` stays: nothing has moved in Redis.
    """
    noted = 0
    due = select(JobRow.id).where(JobRow.delayed, JobRow.run_at <= func.now()).order_by(JobRow.run_at).limit(AT_ONCE)
    query = (
        update(JobRow)
        .where(JobRow.id.in_(due.with_for_update(skip_locked=True)))
        .values(delayed=False, updated_at=JobRow.updated_at)
        .returning(JobRow.queue, JobRow.tenant_id)
        .execution_options(synchronize_session=False)
    )
    while True:
        async with database.transaction(SYSTEM) as session:
            found = (await session.execute(query)).all()
            for queue, tenant in set(found):
                signal(session, TOPIC, queue, tenant)
        noted += len(found)
        if len(found) < AT_ONCE:
            return noted
