"""`/api/v1/plugins`, for tenants' apps; `/api/owner/plugins`, for the owner, who sees all tenants'."""

from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Request, Response, delete, get, patch, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from app.core.etag import IfMatch, etag, versions
from app.core.events import public
from app.core.moments import moment
from app.core.paging import Page, Pager
from app.core.queries import text_of, uuid_of
from app.modules.plugins.models import Plugin, PluginConfig, PluginDelivery, Status
from app.modules.plugins.permissions import MANAGE, READ
from app.modules.plugins.repository import DeliveryFilter, PluginFilter
from app.modules.plugins.schemas import (
    DELIVERY_SEEN,
    MADE_SEEN,
    PLUGIN_ANSWERS,
    DeliveryPage,
    DeliveryRead,
    DeliveryShown,
    Manifest,
    PluginInstall,
    PluginMade,
    PluginPage,
    PluginRead,
    PluginSetup,
    Redelivered,
    Redelivery,
    SecretRotation,
    State,
    Topics,
    made,
    read,
    read_delivery,
    shown,
)
from app.modules.plugins.service import DELIVERY_SORTS, SORTS, DeliveryService, PluginService, body_of

AnyRequest = Request[Any, Any, Any]
Tenant = Annotated[str | None, QueryParameter(name="tenantId")]
PluginId = Annotated[str | None, QueryParameter(name="pluginId")]


class InstallController(Controller):
    """What a tenant alone does: its programs say what is installed."""

    path = "/plugins"

    @post("/", permission=MANAGE, audit="plugin.install", secret_answer=True, access=MADE_SEEN)
    async def install(
        self, data: JSONBody[PluginInstall], plugins: NamedDependency[PluginService]
    ) -> Response[PluginMade]:
        """Install a plugin by its manifest. The secret that its calls are signed with is in this answer only."""
        row, secret = await plugins.install(data)
        headers = etag(row[1].version) | {"Location": f"/api/v1/plugins/{row[0].id}"}
        return Response(made(row, secret), status_code=201, headers=headers)

    @get("/topics", permission=READ, sync_to_thread=False)
    def topics(self) -> Topics:
        """List the topics that a manifest can name in `events`."""
        return Topics(topics=sorted(public()))


class PluginController(Controller):
    path = "/plugins"

    @get("/", permission=READ, sorts=SORTS)
    async def index(
        self,
        plugins: NamedDependency[PluginService],
        pager: NamedDependency[Pager],
        q: FromQuery[str | None] = None,
        status: Annotated[State | None, QueryParameter(name="state")] = None,
        tenant: Tenant = None,
        limit: FromQuery[int] = 25,
        cursor: FromQuery[str | None] = None,
    ) -> PluginPage:
        """List plugins, newest first. `q` is looked for in name and key."""
        return _plugins(await plugins.search(pager, _wanted(q, status, tenant), limit=limit, cursor=cursor))

    @get("/{plugin_id:uuid}", permission=READ)
    async def show(self, plugin_id: FromPath[UUID], plugins: NamedDependency[PluginService]) -> Response[PluginRead]:
        """Read one plugin and how it is set up, without its secrets."""
        return _answer(await plugins.get(plugin_id))

    @put("/{plugin_id:uuid}/manifest", permission=MANAGE, audit="plugin.upgrade")
    async def upgrade(
        self,
        plugin_id: FromPath[UUID],
        data: JSONBody[Manifest],
        plugins: NamedDependency[PluginService],
        if_match: IfMatch = None,
    ) -> Response[PluginRead]:
        """Give a plugin another manifest with the same key. Settings that it does not know any more are forgotten."""
        return _answer(await plugins.upgrade(plugin_id, data, expected=versions(if_match)))

    @patch("/{plugin_id:uuid}", permission=MANAGE, audit="plugin.configure")
    async def configure(
        self,
        plugin_id: FromPath[UUID],
        data: JSONBody[PluginSetup],
        plugins: NamedDependency[PluginService],
        if_match: IfMatch = None,
    ) -> Response[PluginRead]:
        """Set a plugin up. What is not named stays; null takes a value away."""
        return _answer(await plugins.configure(plugin_id, data.values, expected=versions(if_match)))

    @delete("/{plugin_id:uuid}", permission=MANAGE, audit="plugin.remove")
    async def remove(self, plugin_id: FromPath[UUID], plugins: NamedDependency[PluginService]) -> None:
        """Remove a plugin with its settings and secrets. Its deliveries stay to be seen."""
        await plugins.remove(plugin_id)

    @post("/{plugin_id:uuid}/activation", permission=MANAGE, audit="plugin.enable", status_code=200)
    async def enable(self, plugin_id: FromPath[UUID], plugins: NamedDependency[PluginService]) -> Response[PluginRead]:
        """Enable a plugin: it hears of what happens from now on."""
        return _answer(await plugins.enable(plugin_id))

    @delete("/{plugin_id:uuid}/activation", permission=MANAGE, audit="plugin.disable", status_code=200)
    async def disable(self, plugin_id: FromPath[UUID], plugins: NamedDependency[PluginService]) -> Response[PluginRead]:
        """Disable a plugin. Deliveries that wait are skipped when their turn comes."""
        return _answer(await plugins.disable(plugin_id))

    @post(
        "/{plugin_id:uuid}/secrets",
        permission=MANAGE,
        audit="plugin.rotate",
        secret_answer=True,
        access=MADE_SEEN,
    )
    async def rotate(
        self, plugin_id: FromPath[UUID], data: JSONBody[SecretRotation], plugins: NamedDependency[PluginService]
    ) -> Response[PluginMade]:
        """Make a new signing secret. For the hours that are named, calls carry both signatures."""
        row, secret = await plugins.rotate(plugin_id, timedelta(hours=data.overlap_hours))
        return Response(made(row, secret), status_code=201, headers=etag(row[1].version))

    @post("/{plugin_id:uuid}/tests", permission=MANAGE, audit="plugin.test", status_code=202)
    async def test(
        self, request: AnyRequest, plugin_id: FromPath[UUID], plugins: NamedDependency[PluginService]
    ) -> Response[DeliveryRead]:
        """Send a plugin a test message. `Location` is the delivery's address."""
        return _accepted(request, await plugins.test(plugin_id))


class OwnerPluginController(PluginController):
    @get("/", permission=READ, sorts=SORTS, cached=PLUGIN_ANSWERS)
    async def index(
        self,
        plugins: NamedDependency[PluginService],
        pager: NamedDependency[Pager],
        q: FromQuery[str | None] = None,
        status: Annotated[State | None, QueryParameter(name="state")] = None,
        tenant: Tenant = None,
        limit: FromQuery[int] = 25,
        cursor: FromQuery[str | None] = None,
    ) -> PluginPage:
        """List all tenants' plugins, newest first. `q` is looked for in name and key."""
        return _plugins(await plugins.search(pager, _wanted(q, status, tenant), limit=limit, cursor=cursor))


class DeliveryController(Controller):
    path = "/plugins/deliveries"

    @get("/", permission=READ, sorts=DELIVERY_SORTS)
    async def index(
        self,
        deliveries: NamedDependency[DeliveryService],
        pager: NamedDependency[Pager],
        status: FromQuery[Status | None] = None,
        kind: Annotated[str | None, QueryParameter(name="type")] = None,
        plugin: PluginId = None,
        tenant: Tenant = None,
        limit: FromQuery[int] = 25,
        cursor: FromQuery[str | None] = None,
    ) -> DeliveryPage:
        """List deliveries, newest first, without what they said."""
        wanted = _fitting(status, kind, plugin, tenant)
        return _deliveries(await deliveries.search(pager, wanted, limit=limit, cursor=cursor))

    @get("/{delivery_id:uuid}", permission=READ, access=DELIVERY_SEEN)
    async def show(self, delivery_id: FromPath[UUID], deliveries: NamedDependency[DeliveryService]) -> DeliveryShown:
        """Read one delivery: what it says, and every try with the beginning of its answer."""
        row = await deliveries.get(delivery_id)
        return shown(row, body_of(row), await deliveries.tries(delivery_id))

    @post("/{delivery_id:uuid}/redelivery", permission=MANAGE, audit="plugin.redeliver", status_code=202)
    async def redeliver(
        self, request: AnyRequest, delivery_id: FromPath[UUID], deliveries: NamedDependency[DeliveryService]
    ) -> Response[DeliveryRead]:
        """Deliver once more what has ended, under the same `webhook-id`."""
        return _accepted(request, await deliveries.redeliver(delivery_id))

    @post("/redeliveries", permission=MANAGE, audit="plugin.redeliver_failed", status_code=202)
    async def redeliver_failed(
        self, data: JSONBody[Redelivery], deliveries: NamedDependency[DeliveryService]
    ) -> Redelivered:
        """Deliver once more what has failed of a plugin, of all times or of one: the oldest 200 at once."""
        since, until = moment("from", data.since), moment("to", data.until, end=True)
        redelivered, left = await deliveries.redeliver_failed(data.plugin_id, since, until)
        return Redelivered(redelivered=redelivered, left=left)


class OwnerDeliveryController(DeliveryController):
    @get("/", permission=READ, sorts=DELIVERY_SORTS, cached=PLUGIN_ANSWERS)
    async def index(
        self,
        deliveries: NamedDependency[DeliveryService],
        pager: NamedDependency[Pager],
        status: FromQuery[Status | None] = None,
        kind: Annotated[str | None, QueryParameter(name="type")] = None,
        plugin: PluginId = None,
        tenant: Tenant = None,
        limit: FromQuery[int] = 25,
        cursor: FromQuery[str | None] = None,
    ) -> DeliveryPage:
        """List all tenants' deliveries, newest first, without what they said."""
        wanted = _fitting(status, kind, plugin, tenant)
        return _deliveries(await deliveries.search(pager, wanted, limit=limit, cursor=cursor))


def _wanted(q: str | None, status: State | None, tenant: str | None) -> PluginFilter:
    return PluginFilter(text_of("q", q), status, uuid_of("tenantId", tenant))


def _plugins(found: Page[tuple[Plugin, PluginConfig]]) -> PluginPage:
    page = found.map(read)
    return PluginPage(items=page.items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)


def _fitting(status: Status | None, kind: str | None, plugin: str | None, tenant: str | None) -> DeliveryFilter:
    return DeliveryFilter(status, text_of("type", kind), uuid_of("pluginId", plugin), uuid_of("tenantId", tenant))


def _deliveries(found: Page[PluginDelivery]) -> DeliveryPage:
    page = found.map(read_delivery)
    return DeliveryPage(items=page.items, next_cursor=page.next_cursor, prev_cursor=page.prev_cursor)


def _answer(row: tuple[Plugin, PluginConfig]) -> Response[PluginRead]:
    return Response(read(row), status_code=200, headers=etag(row[1].version))


def _accepted(request: AnyRequest, row: PluginDelivery) -> Response[DeliveryRead]:
    area = "/api/owner" if request.url.path.startswith("/api/owner") else "/api/v1"
    headers = {"Location": f"{area}/plugins/deliveries/{row.id}"}
    return Response(read_delivery(row), status_code=202, headers=headers)
