"""The trash: for ten minutes what was removed can come back, in the state from before."""

from sqlalchemy import func, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.errors import Conflict
from app.queues import record
from app.queues.control import follow_new_runs, take_key_again
from app.queues.models import UNFINISHED, JobRow


async def restore(session: AsyncSession, row: JobRow) -> JobRow:
    """Undo a removal; what was unfinished gets a new run, with the attempts it had made and its time to run.

    Raises:
        Conflict: it is not in the trash (`not_in_trash`), or another unfinished job has its key (`key_taken`).
    """
    was_unfinished = row.removed_from in UNFINISHED
    back = await record.restore(session, [row.id])
    if not back:
        raise Conflict("This job is not in the trash, or no longer", code="not_in_trash")
    if was_unfinished:
        await take_key_again(session, back[0])
        await follow_new_runs(session, back)
    return back[0]


async def empty(session: AsyncSession) -> int:
    """What has lain in the trash for ten minutes stays removed; its row goes with its month. Returns how many."""
    query = (
        update(JobRow)
        .where(JobRow.removed_at <= func.now() - record.TRASH_LASTS)
        .values(removed_at=None)
        .returning(JobRow.id)
        .execution_options(synchronize_session=False)
    )
    return len((await session.scalars(query)).all())
