"""`/imports` in the dashboards: files that became articles, and the form that sends one."""

from typing import Any
from uuid import UUID

from litestar import Controller, Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Template
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Plane
from app.core.errors import Invalid
from app.core.paging import Pager
from app.core.policy import Actor
from app.core.queries import one_of
from app.core.templating import prefix_of, render, state_label, told
from app.core.uploads import upload_of
from app.modules.audit.service import tenant_names
from app.modules.imports.models import Outcome, Status
from app.modules.imports.permissions import READ, WRITE
from app.modules.imports.repository import ImportFilter
from app.modules.imports.service import ImportService

AnyRequest = Request[Any, Any, Any]


class ImportPages(Controller):
    path = "/imports"

    @get("/", permission=READ)
    async def index(
        self,
        request: AnyRequest,
        imports: NamedDependency[ImportService],
        session: NamedDependency[AsyncSession],
        actor: NamedDependency[Actor],
        pager: NamedDependency[Pager],
        status: FromQuery[str] = "",
        cursor: FromQuery[str] = "",
    ) -> Template:
        return await _list(request, imports, session, actor, pager, status, cursor)

    @get("/{import_id:uuid}", permission=READ)
    async def show(
        self,
        request: AnyRequest,
        import_id: FromPath[UUID],
        imports: NamedDependency[ImportService],
        session: NamedDependency[AsyncSession],
        pager: NamedDependency[Pager],
        outcome: FromQuery[str] = "",
        cursor: FromQuery[str] = "",
    ) -> Template:
        run = await imports.get(import_id)
        wanted = one_of("outcome", outcome, Outcome)
        context = {
            "path": f"{prefix_of(request)}/imports",
            "run": run,
            "page": await imports.items(pager, import_id, wanted, cursor=cursor or None),
            "params": {"outcome": outcome} if outcome else {},
            "cursor": cursor,
            "outcomes": [(one, state_label(one).capitalize()) for one in Outcome],
            "tenants": await tenant_names(session, [run.tenant_id]),
        }
        return render(request, "imports/show.html", context, fragment="imports/_run.html")


class MemberImportPages(ImportPages):
    """The same with the form: articles are some tenant's."""

    @post("/", permission=WRITE, audit="import.start", status_code=200)
    async def start(
        self,
        request: AnyRequest,
        imports: NamedDependency[ImportService],
        session: NamedDependency[AsyncSession],
        actor: NamedDependency[Actor],
        pager: NamedDependency[Pager],
    ) -> Template:
        upload = await upload_of(request)
        if not upload.name:
            raise Invalid.field("file", "choose a file")
        run = await imports.start(upload.name, upload.data, dry_run=upload.fields.get("dryRun") == "true")
        view = await _list(request, imports, session, actor, pager)
        return told(view, f"{run.file_name} is being read.")


async def _list(
    request: AnyRequest,
    imports: ImportService,
    session: AsyncSession,
    actor: Actor,
    pager: Pager,
    status: str = "",
    cursor: str = "",
) -> Template:
    page = await imports.search(pager, ImportFilter(one_of("status", status, Status)), cursor=cursor or None)
    context = {
        "path": f"{prefix_of(request)}/imports",
        "page": page,
        "params": {"status": status} if status else {},
        "cursor": cursor,
        "statuses": [(one, state_label(one).capitalize()) for one in Status],
        "tenants": await tenant_names(session, (run.tenant_id for run in page.items)),
        "platform": actor.plane is Plane.PLATFORM,
    }
    return render(request, "imports/index.html", context, fragment="imports/_list.html")
