"""`/files` in the dashboards: what tenants uploaded, with small pictures."""

from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.response import Template
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import Plane, scope_of
from app.core.paging import Pager
from app.core.queries import text_of, uuid_of
from app.core.templating import prefix_of, render, told
from app.core.uploads import upload_of
from app.modules.audit.service import tenant_names
from app.modules.media import repository
from app.modules.media.client import KINDS
from app.modules.media.models import File
from app.modules.media.permissions import READ, WRITE
from app.modules.media.repository import FileFilter
from app.modules.media.service import SORTS, FileService, served
from app.modules.tenants.service import tenant_names as tenant_choices

AnyRequest = Request[Any, Any, Any]


class FilePages(Controller):
    path = "/files"

    @get("/", permission=READ, sorts=SORTS)
    async def index(
        self,
        request: AnyRequest,
        files: NamedDependency[FileService],
        session: NamedDependency[AsyncSession],
        pager: NamedDependency[Pager],
        q: FromQuery[str] = "",
        kind: FromQuery[str] = "",
        of_tenant: Annotated[str, QueryParameter(name="tenantId")] = "",
        cursor: FromQuery[str] = "",
    ) -> Template:
        return await _list(request, files, session, pager, q, kind, of_tenant, cursor)

    @get("/{file_id:uuid}", permission=READ)
    async def show(
        self,
        request: AnyRequest,
        file_id: FromPath[UUID],
        files: NamedDependency[FileService],
        session: NamedDependency[AsyncSession],
    ) -> Template:
        file = await files.get(file_id)
        context = {
            "path": f"{prefix_of(request)}/files",
            "file": file,
            "assets": await files.assets(file_id),
            "tenants": await tenant_names(session, [file.tenant_id]),
        }
        return render(request, "media/show.html", context, fragment="media/_drawer.html")

    @get("/{file_id:uuid}/content", permission=READ, uncompressed=True)
    async def content(
        self, request: AnyRequest, file_id: FromPath[UUID], files: NamedDependency[FileService]
    ) -> Response[bytes]:
        return await served(request, files, file_id)

    @get("/{file_id:uuid}/images/{width:int}", permission=READ, uncompressed=True)
    async def image(
        self, request: AnyRequest, file_id: FromPath[UUID], width: FromPath[int], files: NamedDependency[FileService]
    ) -> Response[bytes]:
        return await served(request, files, file_id, width)


class MemberFilePages(FilePages):
    """The same with what changes files: they are some tenant's."""

    @post("/", permission=WRITE, audit="file.create", status_code=200)
    async def upload(
        self,
        request: AnyRequest,
        files: NamedDependency[FileService],
        session: NamedDependency[AsyncSession],
        pager: NamedDependency[Pager],
    ) -> Template:
        file, new = await files.add(await upload_of(request))
        return told(await _list(request, files, session, pager), _kept(file, new))

    @post("/{file_id:uuid}/removal", permission=WRITE, audit="file.delete", status_code=200)
    async def remove(
        self,
        request: AnyRequest,
        file_id: FromPath[UUID],
        files: NamedDependency[FileService],
        session: NamedDependency[AsyncSession],
        pager: NamedDependency[Pager],
    ) -> Template:
        await files.delete(file_id)
        return told(await _list(request, files, session, pager), "The file is deleted.")


class TenantFileActs(Controller):
    """What changes files, for the owner, in any tenant. Whoever looks at a list hears of it by a signal."""

    path = "/tenants/{tenant_id:uuid}/files"
    opt = {"in_tenant": True}  # noqa: RUF012

    @post("/", permission=WRITE, audit="file.create", status_code=200)
    async def upload(self, request: AnyRequest, files: NamedDependency[FileService]) -> Response[bytes]:
        return told(Response(b""), _kept(*await files.add(await upload_of(request))))

    @post("/{file_id:uuid}/removal", permission=WRITE, audit="file.delete", status_code=200)
    async def remove(self, file_id: FromPath[UUID], files: NamedDependency[FileService]) -> Response[bytes]:
        await files.delete(file_id)
        return told(Response(b""), "The file is deleted.")


def _kept(file: File, new: bool) -> str:
    return f"{file.name} is there." if new else f"The same file is there already, as {file.name}."


async def _list(
    request: AnyRequest,
    files: FileService,
    session: AsyncSession,
    pager: Pager,
    q: str = "",
    kind: str = "",
    of_tenant: str = "",
    cursor: str = "",
) -> Template:
    wanted = FileFilter(text_of("q", q), text_of("kind", kind), uuid_of("tenantId", of_tenant))
    page = await files.search(pager, wanted, cursor=cursor or None)
    context = {
        "path": f"{prefix_of(request)}/files",
        "page": page,
        "params": {name: value for name, value in (("q", q), ("kind", kind), ("tenantId", of_tenant)) if value}
        | pager.order,
        "cursor": cursor,
        "kinds": [("image", "Pictures"), *((one, one) for one in KINDS)],
        "accept": ",".join(KINDS),
        "thumbnails": await repository.thumbnails(session, [file.id for file in page.items]),
        "tenants": await tenant_names(session, (file.tenant_id for file in page.items)),
        "platform": scope_of(session).plane is Plane.PLATFORM,
        "choices": await tenant_choices(session),
        "chosen": wanted.tenant_id,
    }
    return render(request, "media/index.html", context, fragment="media/_list.html")
