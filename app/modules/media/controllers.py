"""`/api/v1/files`, for tenants' apps; `/api/owner/files`, for the owner."""

from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Request, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.openapi import ResponseSpec
from litestar.params import FromPath, FromQuery, QueryParameter

from app.core.paging import Pager
from app.core.queries import text_of, uuid_of
from app.core.uploads import FileOperation, answering, upload_of
from app.modules.media.client import KINDS, WEBP
from app.modules.media.permissions import READ, WRITE
from app.modules.media.repository import FileFilter
from app.modules.media.schemas import FileDetail, FileOwnedPage, FilePage, FileRead, detail, owned, read
from app.modules.media.service import SORTS, FileService, served

Text = str | None
MediaType = Annotated[Text, QueryParameter(name="mediaType", description="`image/png`, or `image` for all of them")]
FileName = Annotated[str, QueryParameter(name="fileName", description="Of a file that is the body itself")]


class FileController(Controller):
    path = "/files"

    @post(
        "/",
        permission=WRITE,
        audit="file.create",
        operation_class=FileOperation,
        responses={
            200: ResponseSpec(FileRead, description="The tenant has these bytes already", generate_examples=False)
        },
    )
    async def upload(
        self, request: Request[Any, Any, Any], files: NamedDependency[FileService], file_name: FileName = ""
    ) -> Response[FileRead]:
        """Upload a JPEG, PNG, GIF, WebP or PDF. 200 where the tenant has the same bytes already, with that file."""
        file, new = await files.add(await upload_of(request))
        headers = {"Location": f"{request.url.path.rstrip('/')}/{file.id}"}
        return Response(read(file), status_code=201 if new else 200, headers=headers)

    @get("/", permission=READ, sorts=SORTS)
    async def index(
        self,
        files: NamedDependency[FileService],
        pager: NamedDependency[Pager],
        q: FromQuery[Text] = None,
        media_type: MediaType = None,
        limit: FromQuery[int] = 25,
        cursor: FromQuery[Text] = None,
    ) -> FilePage:
        """List files, newest first. `q` is looked for in their names."""
        wanted = FileFilter(text_of("q", q), text_of("mediaType", media_type))
        page = (await files.search(pager, wanted, limit=limit, cursor=cursor)).map(read)
        return FilePage(items=page.items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)

    @get("/{file_id:uuid}", permission=READ)
    async def show(self, file_id: FromPath[UUID], files: NamedDependency[FileService]) -> FileDetail:
        """Read what is known of a file, and which smaller pictures there are of it."""
        return detail(await files.get(file_id), await files.assets(file_id))

    @get("/{file_id:uuid}/content", permission=READ, uncompressed=True, operation_class=answering(*KINDS))
    async def content(
        self, request: Request[Any, Any, Any], file_id: FromPath[UUID], files: NamedDependency[FileService]
    ) -> Response[bytes]:
        """Fetch the file itself. Pictures may be shown where they are, other kinds are a download."""
        return await served(request, files, file_id)

    @get("/{file_id:uuid}/images/{width:int}", permission=READ, uncompressed=True, operation_class=answering(WEBP))
    async def image(
        self,
        request: Request[Any, Any, Any],
        file_id: FromPath[UUID],
        width: FromPath[int],
        files: NamedDependency[FileService],
    ) -> Response[bytes]:
        """Fetch a smaller picture, as WebP."""
        return await served(request, files, file_id, width)

    @delete("/{file_id:uuid}", permission=WRITE, audit="file.delete")
    async def discard(self, file_id: FromPath[UUID], files: NamedDependency[FileService]) -> None:
        """Delete a file, with its smaller pictures."""
        await files.delete(file_id)


class TenantFileController(FileController):
    """The files of any tenant, for the owner, who acts there with the rights of that tenant."""

    path = "/tenants/{tenant_id:uuid}/files"
    opt = {"in_tenant": True}  # noqa: RUF012


class OwnerFileController(Controller):
    path = "/files"

    @get("/", permission=READ, sorts=SORTS)
    async def index(
        self,
        files: NamedDependency[FileService],
        pager: NamedDependency[Pager],
        q: FromQuery[Text] = None,
        media_type: MediaType = None,
        tenant: Annotated[Text, QueryParameter(name="tenantId")] = None,
        limit: FromQuery[int] = 25,
        cursor: FromQuery[Text] = None,
    ) -> FileOwnedPage:
        """List all tenants' files, newest first."""
        wanted = FileFilter(text_of("q", q), text_of("mediaType", media_type), uuid_of("tenantId", tenant))
        page = (await files.search(pager, wanted, limit=limit, cursor=cursor)).map(owned)
        return FileOwnedPage(items=page.items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)
