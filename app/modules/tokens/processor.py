"""Housekeeping: credentials that have ended go in time, and let go of the workspace that they were tied to."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast

from sqlalchemy import CursorResult, delete, or_

from app.modules.tokens.jobs import PurgeCredentials
from app.modules.tokens.models import ApiClient, ApiToken
from app.queues.job import processor
from app.queues.work import Work

KEPT = timedelta(days=90)
"""So long people can see that there was one; the audit log tells of it afterwards."""


@processor(PurgeCredentials)
async def purge_credentials(work: Work, _: PurgeCredentials) -> None:
    before = datetime.now(UTC) - KEPT
    async with work.transaction("purge") as session:
        if session is None:
            return
        counts = {}
        for name, row in (("tokens", ApiToken), ("clients", ApiClient)):
            gone = await session.execute(delete(row).where(or_(row.revoked_at < before, row.expires_at < before)))
            counts[name] = cast(CursorResult[Any], gone).rowcount
        await work.complete(session, counts)
