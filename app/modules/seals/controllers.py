"""`/api/owner/logs/seals`."""

from litestar import Controller, Response, get, post
from litestar.di import NamedDependency

from app.modules.seals.jobs import VerifyAudit
from app.modules.seals.permissions import READ, VERIFY
from app.modules.seals.schemas import SealState, Verification
from app.modules.seals.service import Seals


class SealController(Controller):
    path = "/logs/seals"

    @get("/", permission=READ)
    async def show(self, seals: NamedDependency[Seals]) -> SealState:
        """Read how far the audit log is sealed, and what its last verification found."""
        return await seals.state()

    @post("/verifications", permission=VERIFY, audit="owner.audit.verify", status_code=202)
    async def verify(self, seals: NamedDependency[Seals]) -> Response[Verification]:
        """Have the whole audit log compared with its seals, by a job. While one waits or runs, it is that."""
        job_id = await seals.ask()
        where = f"/api/owner/queues/{VerifyAudit.queue}/jobs/{job_id}"
        return Response(Verification(job_id=job_id), status_code=202, headers={"Location": where})
