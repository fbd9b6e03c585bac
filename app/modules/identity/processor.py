"""Housekeeping: what has expired goes."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast

from sqlalchemy import CursorResult, delete

from app.core.idempotency import KEPT, IdempotencyKey
from app.modules.email.service import forget
from app.modules.factors.service import forget_old_codes
from app.modules.identity.jobs import PurgeExpired
from app.modules.identity.models import OwnerLink, SignInCounter
from app.modules.sessions.service import forget_expired
from app.queues.job import processor
from app.queues.work import Work

MAILS_KEPT = timedelta(days=90)
LINKS_KEPT = timedelta(days=1)
"""An expired link stays for a day, so that its page can say what happened to it."""


@processor(PurgeExpired)
async def purge_expired(work: Work, _: PurgeExpired) -> None:
    now = datetime.now(UTC)
    gone = {
        "owner_links": delete(OwnerLink).where(OwnerLink.expires_at < now - LINKS_KEPT),
        "sign_in_counters": delete(SignInCounter).where(SignInCounter.until < now),
        "idempotency_keys": delete(IdempotencyKey).where(IdempotencyKey.created_at < now - KEPT),
    }
    async with work.transaction("purge") as session:
        if session is None:
            return
        counts = {
            "sessions": await forget_expired(session, now),
            "one_time_codes": await forget_old_codes(session, now),
            "mails": await forget(session, before=now - MAILS_KEPT),
        }
        counts |= {name: cast(CursorResult[Any], await session.execute(query)).rowcount for name, query in gone.items()}
        await work.complete(session, counts)
