"""Verifies the audit log once a day, and whenever somebody asks."""

import time

from app.modules.seals.jobs import VerifyAudit
from app.modules.seals.service import Sealer, keep_verdict
from app.queues.job import processor
from app.queues.work import Work


@processor(VerifyAudit, timeout_s=3600)
async def verify_audit(work: Work, _: VerifyAudit) -> None:
    async def told(done: int, most: int) -> None:
        await work.progress(100 * done / most, f"block {done} of {most}")

    started = time.monotonic()
    verdict = await work.resource(Sealer).verify(work.scope, told)
    async with work.transaction("verdict") as session:
        if session is not None:
            await keep_verdict(session, verdict, started)
            await work.complete(session, {"blocks": verdict.blocks, "rows": verdict.rows, "broken": verdict.broken})
