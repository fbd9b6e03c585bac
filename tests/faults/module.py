"""The harness's own module: one route that accepts deeds, as any module of TekNav would have it."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from litestar import Controller, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.policy import Actor, Permission
from app.core.wire import Incoming, Outgoing
from app.module import Module
from app.modules.audit.service import record
from app.queues.enqueue import enqueue
from tests.faults.deeds import DEEDS, QUEUES, processors

ASK = Permission("faults:ask", "Ask for deeds", tenant=True)
ACTION = "faults.ask"


class Asked(Incoming):
    """A deed, and the queue that is to do it, not before `delayS` seconds have passed."""

    queue: str
    mark: str
    what: str
    seconds: float = 0
    delay_s: float = 0
    filler: str = ""


class Accepted(Outgoing):
    id: UUID


class DeedController(Controller):
    path = "/faults"

    @post("/", permission=ASK, audit=ACTION, status_code=202)
    async def ask(
        self, data: JSONBody[Asked], session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]
    ) -> Accepted:
        deed = DEEDS[data.queue](mark=data.mark, what=data.what, seconds=data.seconds, filler=data.filler)
        run_at = datetime.now(UTC) + timedelta(seconds=data.delay_s) if data.delay_s else None
        job_id = await enqueue(session, deed, run_at=run_at)
        await record(session, actor, ACTION, resource=("deed", job_id, data.mark), after={"what": data.what})
        return Accepted(id=job_id)


faults = Module(name="faults", api=[DeedController], processors=processors(), queues=QUEUES, permissions=[ASK])
