"""`/imports` in the dashboards: files that became articles, and the form that sends one."""

from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import Template
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Plane
from app.core.errors import Invalid
from app.core.paging import Pager
from app.core.policy import Actor
from app.core.queries import one_of, uuid_of
from app.core.templating import prefix_of, render, state_label, told
from app.core.uploads import upload_of
from app.modules.audit.service import tenant_names
from app.modules.imports.models import ImportRun, Outcome, Status
from app.modules.imports.permissions import READ, WRITE
from app.modules.imports.repository import ImportFilter
from app.modules.imports.service import ITEM_SORTS, SORTS, ImportService
from app.modules.tenants.service import tenant_names as tenant_choices

AnyRequest = Request[Any, Any, Any]


class ImportPages(Controller):
    path = "/imports"

    @get("/", permission=READ, sorts=SORTS)
    async def index(
        self,
        request: AnyRequest,
        imports: NamedDependency[ImportService],
        session: NamedDependency[AsyncSession],
        actor: NamedDependency[Actor],
        pager: NamedDependency[Pager],
        status: FromQuery[str] = "",
        of_tenant: Annotated[str, QueryParameter(name="tenantId")] = "",
        cursor: FromQuery[str] = "",
    ) -> Template:
        return await _list(request, imports, session, actor, pager, status, of_tenant, cursor)

    @get("/{import_id:uuid}", permission=READ, sorts=ITEM_SORTS)
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
            "params": ({"outcome": outcome} if outcome else {}) | pager.order,
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
        run = await _start(request, imports)
        view = await _list(request, imports, session, actor, pager)
        return told(view, f"{run.file_name} is being read.")


class TenantImportActs(Controller):
    """The form for the owner, in any tenant. Whoever looks at a list hears of it by a signal."""

    path = "/tenants/{tenant_id:uuid}/imports"
    opt = {"in_tenant": True}  # noqa: RUF012

    @post("/", permission=WRITE, audit="import.start", status_code=200)
    async def start(self, request: AnyRequest, imports: NamedDependency[ImportService]) -> Response[bytes]:
        return told(Response(b""), f"{(await _start(request, imports)).file_name} is being read.")


async def _start(request: AnyRequest, imports: ImportService) -> ImportRun:
    upload = await upload_of(request)
    if not upload.name:
        raise Invalid.field("file", "choose a file")
    return await imports.start(upload.name, upload.data, dry_run=upload.fields.get("dryRun") == "true")


async def _list(
    request: AnyRequest,
    imports: ImportService,
    session: AsyncSession,
    actor: Actor,
    pager: Pager,
    status: str = "",
    of_tenant: str = "",
    cursor: str = "",
) -> Template:
    wanted = ImportFilter(one_of("status", status, Status), uuid_of("tenantId", of_tenant))
    page = await imports.search(pager, wanted, cursor=cursor or None)
    context = {
        "path": f"{prefix_of(request)}/imports",
        "page": page,
        "params": {name: value for name, value in (("status", status), ("tenantId", of_tenant)) if value} | pager.order,
        "cursor": cursor,
        "statuses": [(one, state_label(one).capitalize()) for one in Status],
        "tenants": await tenant_names(session, (run.tenant_id for run in page.items)),
        "platform": actor.plane is Plane.PLATFORM,
        "choices": await tenant_choices(session),
        "chosen": wanted.tenant_id,
    }
    return render(request, "imports/index.html", context, fragment="imports/_list.html")
