"""`/api/v1/imports`, for tenants' apps; `/api/owner/imports`, for the owner."""

from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.paging import Pager
from app.core.policy import Actor
from app.core.queries import one_of, uuid_of
from app.core.uploads import FileOperation, upload_of
from app.modules.imports.models import Outcome, Status
from app.modules.imports.permissions import READ, WRITE
from app.modules.imports.repository import ImportFilter
from app.modules.imports.schemas import ImportOwnedPage, ImportPage, ImportRead, ItemPage, item, owned, read
from app.modules.imports.service import ITEM_SORTS, SORTS, ImportService

Text = str | None
DryRun = Annotated[bool, QueryParameter(name="dryRun", description="Tell what would become of each article only")]
FileName = Annotated[str, QueryParameter(name="fileName", description="Of a file that is the body itself")]


def provide_imports(session: NamedDependency[AsyncSession], actor: NamedDependency[Actor]) -> ImportService:
    return ImportService(session, actor)


async def _items(
    imports: ImportService, pager: Pager, import_id: UUID, outcome: Text, limit: int, cursor: Text
) -> ItemPage:
    wanted = one_of("outcome", outcome, Outcome)
    page = (await imports.items(pager, import_id, wanted, limit=limit, cursor=cursor)).map(item)
    return ItemPage(items=page.items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)


class ImportController(Controller):
    path = "/imports"

    @post("/", permission=WRITE, audit="import.start", status_code=202, operation_class=FileOperation)
    async def start(
        self,
        request: Request[Any, Any, Any],
        imports: NamedDependency[ImportService],
        file_name: FileName = "",
        dry_run: DryRun = False,
    ) -> Response[ImportRead]:
        """Import a folder of Markdown files as a ZIP archive, or the XML that WordPress exports.

        `Location` tells how far it is. Each article becomes a draft, once: what was imported before is skipped.
        YAML above the Markdown may give `title`, `slug`, `language`, `date`, `tags` and `categories`; without a title,
        the first heading or the file's name is taken.
        """
        upload = await upload_of(request)
        made = read(await imports.start(upload.name or file_name, upload.data, dry_run=dry_run))
        return Response(made, status_code=202, headers={"Location": f"{request.url.path.rstrip('/')}/{made.id}"})

    @get("/", permission=READ, sorts=SORTS)
    async def index(
        self,
        imports: NamedDependency[ImportService],
        pager: NamedDependency[Pager],
        status: FromQuery[Text] = None,
        limit: FromQuery[int] = 25,
        cursor: FromQuery[Text] = None,
    ) -> ImportPage:
        """List imports, newest first."""
        wanted = ImportFilter(one_of("status", status, Status))
        page = (await imports.search(pager, wanted, limit=limit, cursor=cursor)).map(read)
        return ImportPage(items=page.items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)

    @get("/{import_id:uuid}", permission=READ)
    async def show(self, import_id: FromPath[UUID], imports: NamedDependency[ImportService]) -> ImportRead:
        """Read how far an import is."""
        return read(await imports.get(import_id))

    @get("/{import_id:uuid}/items", permission=READ, sorts=ITEM_SORTS)
    async def items(
        self,
        import_id: FromPath[UUID],
        imports: NamedDependency[ImportService],
        pager: NamedDependency[Pager],
        outcome: FromQuery[Text] = None,
        limit: FromQuery[int] = 25,
        cursor: FromQuery[Text] = None,
    ) -> ItemPage:
        """Read what became of each article of the file, the last first."""
        return await _items(imports, pager, import_id, outcome, limit, cursor)


class TenantImportController(ImportController):
    """The imports of any tenant, for the owner, who acts there with the rights of that tenant."""

    path = "/tenants/{tenant_id:uuid}/imports"
    opt = {"in_tenant": True}  # noqa: RUF012


class OwnerImportController(Controller):
    path = "/imports"

    @get("/", permission=READ, sorts=SORTS)
    async def index(
        self,
        imports: NamedDependency[ImportService],
        pager: NamedDependency[Pager],
        status: FromQuery[Text] = None,
        tenant: Annotated[Text, QueryParameter(name="tenantId")] = None,
        limit: FromQuery[int] = 25,
        cursor: FromQuery[Text] = None,
    ) -> ImportOwnedPage:
        """List all tenants' imports, newest first."""
        wanted = ImportFilter(one_of("status", status, Status), uuid_of("tenantId", tenant))
        page = (await imports.search(pager, wanted, limit=limit, cursor=cursor)).map(owned)
        return ImportOwnedPage(items=page.items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)

    @get("/{import_id:uuid}/items", permission=READ, sorts=ITEM_SORTS)
    async def items(
        self,
        import_id: FromPath[UUID],
        imports: NamedDependency[ImportService],
        pager: NamedDependency[Pager],
        outcome: FromQuery[Text] = None,
        limit: FromQuery[int] = 25,
        cursor: FromQuery[Text] = None,
    ) -> ItemPage:
        """Read what became of each article of a tenant's import, the last first."""
        return await _items(imports, pager, import_id, outcome, limit, cursor)
