"""`/dashboard/owner/logs/seals`: how far the audit log is sealed."""

from typing import Any

from litestar import Controller, Request, get, post
from litestar.di import NamedDependency
from litestar.response import Template

from app.core.templating import render, told
from app.modules.seals.permissions import READ, VERIFY
from app.modules.seals.service import Seals

AnyRequest = Request[Any, Any, Any]


class SealPages(Controller):
    path = "/logs/seals"

    @get("/", permission=READ)
    async def show(self, request: AnyRequest, seals: NamedDependency[Seals]) -> Template:
        return await _show(request, seals)

    @post("/verifications", permission=VERIFY, audit="owner.audit.verify", status_code=200)
    async def verify(self, request: AnyRequest, seals: NamedDependency[Seals]) -> Template:
        await seals.ask()
        return told(await _show(request, seals), "The log is being compared with its seals")


async def _show(request: AnyRequest, seals: Seals) -> Template:
    return render(request, "seals/index.html", {"seal": await seals.state()}, fragment="seals/_panel.html")
