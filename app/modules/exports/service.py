"""The rules of exports: who may make one, what is in its file, how long it lies there."""

from collections.abc import AsyncGenerator, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from litestar import Request
from litestar.response import Stream
from sqlalchemy import String, cast, delete, func, insert, literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.access import tell
from app.core.database import Database, Scope, scope_of
from app.core.errors import Conflict, Forbidden, Invalid, NotFound
from app.core.ids import PLATFORM_TENANT, new_id
from app.core.live import signal
from app.core.locks import hold
from app.core.paging import Page, Pager, Sorts
from app.core.policy import Actor
from app.core.queries import text_of
from app.core.threads import in_thread
from app.module import Exportable
from app.modules.audit.service import record, tenant_names
from app.modules.exports.jobs import ExportList
from app.modules.exports.models import Export, ExportChunk
from app.modules.exports.schemas import Format, State, file_name, lines, media_type, wire_filter
from app.queues.enqueue import enqueue

TOPIC = "exports"
SORTS = Sorts("-createdAt", {"createdAt": Export.id, "rowCount": Export.row_count, "byteCount": Export.byte_count})
KEPT = timedelta(hours=24)
AT_ONCE = 2_000
MOST_UNFINISHED = 10


class Place(NamedTuple):
    """Where a file ends so far."""

    id: UUID
    """Of the last row that has one."""
    rest: dict[str, Any] | None = None
    """Behind those: `of` which rows without an id, and the key of the last one as text, `after`."""


class Exports:
    """The exports that the session's transaction may see."""

    def __init__(self, session: AsyncSession, actor: Actor) -> None:
        self._session = session
        self._actor = actor
        self.lists: Mapping[str, Exportable] = session.info["exportables"]

    async def create(self, name: str, form: str, given: Mapping[str, str]) -> Export:
        """
        Raises:
            Invalid: naming `list`, `format` or the filter. Forbidden (`permission_missing`): the list is not theirs to
            read. Conflict (`too_many_exports`).
        """
        source = self._source(name)
        if form not in set(Format):
            raise Invalid.field("format", f"must be one of {', '.join(Format)}")
        kept = wire_filter(given)
        source.rows(kept)
        id_, tenant_id = new_id(), scope_of(self._session).tenant_id
        await hold(self._session, f"exports {tenant_id}")
        unfinished = select(func.count()).select_from(Export).where(Export.state.in_(("queued", "running")))
        if (await self._session.scalar(unfinished) or 0) >= MOST_UNFINISHED:
            raise Conflict(f"{MOST_UNFINISHED} exports are being made: wait for one", code="too_many_exports")
        export = Export(
            id=id_,
            tenant_id=tenant_id,
            list=name,
            format=form,
            filter=kept,
            state="queued",
            row_count=0,
            byte_count=0,
            chunks=0,
            cursor=id_,  # what is younger than the export is not in it
            job_id=await enqueue(self._session, ExportList(export_id=id_)),
            actor_kind=self._actor.kind,
            actor_id=self._actor.id,
            actor_label=self._actor.label,
            expires_at=datetime.now(UTC) + KEPT,
        )
        self._session.add(export)
        await self._session.flush()
        after = {"list": name, "format": form, "filter": kept}
        # The platform's export of what one tenant has is told of in that tenant's log.
        whose = UUID(kept["tenantId"]) if tenant_id == PLATFORM_TENANT and "tenantId" in kept else tenant_id
        what = _what(export)
        await record(self._session, self._actor, "owner.export.create", resource=what, after=after, tenant_id=whose)
        signal(self._session, TOPIC, id_, tenant_id)
        return export

    async def search(
        self,
        pager: Pager,
        *,
        text: str | None = None,
        name: str | None = None,
        state: State | None = None,
        limit: int = 25,
        cursor: str | None = None,
    ) -> Page[Export]:
        """Newest first, or as the reader wants; `text` is a part of who made it, `name` that of a list.

        Raises:
            Invalid (`q`, `list`).
        """
        text = text_of("q", text)
        query = select(Export).where(Export.expires_at > func.now())
        query = query.where(Export.actor_label.icontains(text, autoescape=True)) if text else query
        query = query.where(Export.list == self._known(name)) if name else query
        return await pager.page(
            self._session,
            query.where(Export.state == state) if state else query,
            key=Export.id,
            of=f"exports {scope_of(self._session).tenant_id} {text} {name} {state}",
            limit=limit,
            cursor=cursor,
            sorts=SORTS,
        )

    async def tenants(self, rows: Iterable[Export]) -> dict[UUID, str]:
        """The names of the tenants whose exports these are. For the platform."""
        return await tenant_names(self._session, (row.tenant_id for row in rows))

    async def get(self, export_id: UUID) -> Export:
        """
        Raises:
            NotFound: there is none, its time is over, or it is another tenant's.
        """
        export = await self._session.scalar(
            select(Export).where(Export.id == export_id, Export.expires_at > func.now())
        )
        if export is None:
            raise NotFound("There is no such export any more")
        return export

    async def file(self, export_id: UUID) -> Export:
        """An export whose file may be fetched.

        Raises:
            NotFound; Forbidden (`permission_missing`). Conflict (`export_unfinished`): there is no file yet.
        """
        export = await self.get(export_id)
        self._source(export.list)
        if export.state != "completed":
            raise Conflict(f"This export is {export.state}", code="export_unfinished")
        return export

    async def remove(self, export_id: UUID) -> Export:
        """With its file. A job that writes it ends.

        Raises:
            NotFound.
        """
        export = await self.get(export_id)
        await self._session.execute(delete(Export).where(Export.id == export_id))
        what, whose = _what(export), export.tenant_id
        await record(self._session, self._actor, "owner.export.remove", resource=what, tenant_id=whose)
        signal(self._session, TOPIC, export_id, export.tenant_id)
        return export

    def _known(self, name: str) -> str:
        if name not in self.lists:
            raise Invalid.field("list", f"must be one of {', '.join(sorted(self.lists))}")
        return name

    def _source(self, name: str) -> Exportable:
        source = self.lists[self._known(name)]
        if not self._actor.may(source.permission):
            raise Forbidden(f"This needs the permission {source.permission.name}", code="permission_missing")
        return source


async def stream(request: Request[Any, Any, Any], exports: Exports, actor: Actor, export_id: UUID) -> Stream:
    """The file as an answer; its row in the access log is committed before the first byte."""
    export = await exports.file(export_id)
    tell(request, rows=export.row_count, tenant_id=export.tenant_id)
    headers = {
        "Content-Disposition": f'attachment; filename="{file_name(export)}"',
        "Content-Length": str(export.byte_count),
        "Cache-Control": "no-store",
    }
    body = pieces(request.app.state.database, actor.scope, export)
    return Stream(body, media_type=media_type(export.format), headers=headers)


async def pieces(database: Database, scope: Scope, export: Export) -> AsyncGenerator[bytes, None]:
    """The file, each piece read in a transaction of its own: a slow reader holds none."""
    for n in range(export.chunks):
        async with database.transaction(scope) as session:
            data = await session.scalar(select(ExportChunk.data).filter_by(export_id=export.id, n=n))
        if data is None:
            raise OSError("the export was removed while it was fetched")
        yield data


class Writing:
    """A file that is written piece by piece, each from a transaction of its own, to whoever asks for the next piece."""

    def __init__(self, database: Database, scope: Scope, name: str, form: str, given: Mapping[str, str]) -> None:
        self._database = database
        self._scope = scope
        self._name = name
        self._form = form
        self._given = given
        self._begin = new_id()

    async def count(self, session: AsyncSession) -> int:
        """How many rows there will be, however many: nobody has to keep this file.

        Raises:
            Invalid: naming the filter.
        """
        return await count(session, session.info["exportables"][self._name], self._given, self._begin, most=None)

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        place, more, first = Place(self._begin), True, True
        while more:
            async with self._database.transaction(self._scope) as session:
                source: Exportable = session.info["exportables"][self._name]
                made = [
                    one async for one in _pieces(session, source, self._form, self._given, self._begin, place, first)
                ]
            for _, last, piece in made:
                place, first = last, False
                yield piece
            more = bool(made) and made[0][0] == AT_ONCE


async def count(
    session: AsyncSession, source: Exportable, given: Mapping[str, str], begin: UUID, *, most: int | None
) -> int:
    """How many rows the file will have; counted no further than to `most`."""
    parts = [source.rows(given).where(source.key < begin)]
    parts += [one.rows for one in source.rest(given)] if source.rest else []
    found = 0
    for rows in parts:
        counted = rows.limit(None if most is None else most - found).subquery()
        found += await session.scalar(select(func.count()).select_from(counted)) or 0
    return found


async def write_next(session: AsyncSession, source: Exportable, export: Export) -> bool:
    """Put the next rows into the file; False when these were the last."""
    place = Place(export.cursor, export.place)
    written = _pieces(session, source, export.format, export.filter, export.id, place, not export.chunks)
    most = 0
    async for rows, last, data in written:
        chunk = {"export_id": export.id, "n": export.chunks, "tenant_id": export.tenant_id, "data": data}
        await session.execute(insert(ExportChunk).values(chunk))
        export.chunks += 1
        export.byte_count += len(data)
        export.row_count += rows
        export.cursor, export.place = last
        most = max(most, rows)
    return most == AT_ONCE


async def _pieces(
    session: AsyncSession,
    source: Exportable,
    form: str,
    given: Mapping[str, str],
    begin: UUID,
    place: Place,
    first: bool,
) -> AsyncGenerator[tuple[int, Place, bytes], None]:
    """The next rows, and behind the last ones what belongs to all: how many rows, where they end, the piece."""
    rows, last = await next_rows(session, source, given, place)
    # Two thousand rows take a tenth of a second: meanwhile other requests and jobs go on.
    data = await in_thread(lambda: lines(form, [source.read(row) for row in rows], source.columns, first=first))
    if data:
        yield len(rows), last, data
    if len(rows) < AT_ONCE and source.trailer is not None and form == Format.NDJSON:
        async for one in source.trailer(session, source.rows(given).where(source.key < begin)):
            yield 0, last, lines(form, [one], (), first=False)


async def next_rows(
    session: AsyncSession, source: Exportable, given: Mapping[str, str], place: Place
) -> tuple[list[Any], Place]:
    """The rows of the next piece, and where it ends: first those with ids, then the others, each by its own key."""
    rows: list[Any] = []
    if place.rest is None:
        page = source.rows(given).where(source.key < place.id).order_by(source.key.desc()).limit(AT_ONCE)
        rows = list((await session.scalars(page)).all())
        place = Place(getattr(rows[-1], source.key.key)) if rows else place
    keyed = source.rest(given) if source.rest is not None else ()
    at = next((n for n, one in enumerate(keyed) if place.rest and one.name == place.rest["of"]), 0)
    for one in keyed[at:]:
        if len(rows) == AT_ONCE:
            break
        named = [cast(column, String).label(f"key_{n}") for n, column in enumerate(one.key)]
        more = one.rows.add_columns(*named).order_by(*one.key).limit(AT_ONCE - len(rows))
        if place.rest and place.rest["of"] == one.name:
            after = [cast(literal(text), key.type) for text, key in zip(place.rest["after"], one.key, strict=True)]
            more = more.where(tuple_(*one.key) > tuple_(*after))
        found = (await session.execute(more)).all()
        rows += found
        if found:
            place = Place(place.id, {"of": one.name, "after": list(found[-1][-len(one.key) :])})
    return rows, place


def _what(export: Export) -> tuple[str, UUID, str]:
    return ("export", export.id, f"{export.list} as {export.format}")
