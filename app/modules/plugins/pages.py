"""`/plugins` and `/deliveries` in the dashboards: all tenants', and one's own."""

import json
from datetime import timedelta
from math import isfinite
from typing import Any, get_args
from uuid import UUID

import msgspec
from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, URLEncodedBody
from litestar.response import Template
from msgspec import ValidationError
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.access import tell
from app.core.database import Plane
from app.core.errors import Invalid
from app.core.events import public
from app.core.moments import moment
from app.core.paging import Pager
from app.core.policy import Actor
from app.core.queries import one_of, text_of, uuid_of
from app.core.templating import gone_to, prefix_of, render, state_label, told
from app.modules.audit.service import tenant_names
from app.modules.plugins import repository
from app.modules.plugins.jobs import ExecuteHook
from app.modules.plugins.models import Plugin, PluginConfig, Status
from app.modules.plugins.permissions import MANAGE, READ
from app.modules.plugins.repository import DeliveryFilter, PluginFilter
from app.modules.plugins.schemas import (
    DELIVERY_SEEN,
    FORM_SEEN,
    InstallForm,
    Manifest,
    PluginInstall,
    RedeliveryForm,
    RotationForm,
    Setting,
    State,
    manifest_of,
    read,
    shown,
)
from app.modules.plugins.service import DELIVERY_SORTS, SORTS, TEST, DeliveryService, PluginService, body_of
from app.modules.tenants.service import tenant_names as tenants_to_choose

AnyRequest = Request[Any, Any, Any]
PLUGINS, DELIVERIES = "/plugins", "/deliveries"
STATES = [(state, state.capitalize()) for state in get_args(State)]
STATUSES = [(status, state_label(status).capitalize()) for status in Status]
EXAMPLE = Manifest(
    key="team-chat",
    name="Team chat",
    version="1.0.0",
    endpoint="https://hooks.example.com/teknav",
    events=["article.published"],
    schema={"channel": Setting(title="Channel", required=True), "apiKey": Setting(title="API key", secret=True)},
)


class Views:
    """What these pages show: each a whole page, or for HTMX the fragment that an act or a signal changed."""

    def __init__(
        self,
        request: AnyRequest,
        session: AsyncSession,
        actor: Actor,
        pager: Pager,
        plugins: PluginService,
        deliveries: DeliveryService,
    ) -> None:
        self.request = request
        self.plugins = plugins
        self.deliveries = deliveries
        self._session = session
        self._actor = actor
        self._pager = pager

    async def plugin_list(self) -> Template:
        asked = self._asked("q", "state", "tenantId")
        state, tenant_id = one_of("state", asked.get("state"), State), uuid_of("tenantId", asked.get("tenantId"))
        wanted = PluginFilter(text_of("q", asked.get("q")), state, tenant_id)
        page = await self.plugins.search(self._pager, wanted, cursor=self._cursor)
        example = json.dumps(msgspec.to_builtins(EXAMPLE), indent=2)
        context = {
            "page": page,
            "states": STATES,
            "example": example,
            "tenants": await self._choosable(),
            **self._list(PLUGINS, asked),
        }
        return render(self.request, "plugins/index.html", context, fragment="plugins/_list.html")

    async def plugin(
        self, row: tuple[Plugin, PluginConfig], fragment: str = "_body", message: str | None = None
    ) -> Template:
        plugin, config = row
        asked = {"pluginId": str(plugin.id)}
        found = await self.deliveries.search(self._pager, DeliveryFilter(plugin_id=plugin.id))
        context = {
            "plugin": plugin,
            "config": config,
            "schema": manifest_of(plugin).schema,
            "manifest": json.dumps(msgspec.to_builtins(manifest_of(plugin)), indent=2),
            "plain": msgspec.to_builtins(read(row)),
            "page": found,
            "names": {plugin.id: plugin.name},
            "tenants": await tenant_names(self._session, [plugin.tenant_id]),
            **self._list(DELIVERIES, asked),
            "here": asked,
            "at": f"{prefix_of(self.request)}{PLUGINS}/{plugin.id}",
        }
        return told(render(self.request, "plugins/show.html", context, fragment=f"plugins/{fragment}.html"), message)

    async def secret(self, row: tuple[Plugin, PluginConfig], secret: str, fragment: str) -> Template:
        at = f"{prefix_of(self.request)}{PLUGINS}/{row[0].id}"
        context = {"plugin": row[0], "config": row[1], "secret": str(secret), "at": at}
        part = f"plugins/{fragment}.html"
        return render(self.request, part, context, fragment=part, access=FORM_SEEN)

    async def delivery_list(self) -> Template:
        asked = self._asked("status", "type", "pluginId", "tenantId")
        status = one_of("status", asked.get("status"), Status)
        plugin_id, tenant_id = uuid_of("pluginId", asked.get("pluginId")), uuid_of("tenantId", asked.get("tenantId"))
        wanted = DeliveryFilter(status, text_of("type", asked.get("type")), plugin_id, tenant_id)
        page = await self.deliveries.search(self._pager, wanted, cursor=self._cursor)
        context = {
            "page": page,
            "names": await repository.names(self._session, page.items),
            "statuses": STATUSES,
            "types": [(topic, topic) for topic in (*sorted(public()), TEST)],
            "tenants": await self._choosable(),
            **self._list(DELIVERIES, asked),
        }
        return render(self.request, "plugins/deliveries.html", context, fragment="plugins/_deliveries.html")

    async def delivery(self, delivery_id: UUID, fragment: str, message: str | None = None) -> Template:
        row = await self.deliveries.get(delivery_id)
        tries = await self.deliveries.tries(delivery_id)
        tell(self.request, tenant_id=row.tenant_id)
        names = await repository.names(self._session, [row])
        context = {
            "path": prefix_of(self.request) + DELIVERIES,
            "delivery": row,
            "tries": tries,
            "body": body_of(row),
            "queue": ExecuteHook.queue,
            "receiver": names.get(row.plugin_id, row.address) if row.plugin_id else row.address,
            "tenants": await tenant_names(self._session, [row.tenant_id]),
            "plain": msgspec.to_builtins(shown(row, body_of(row), tries)),
        }
        part = f"plugins/{fragment}.html"
        template = render(self.request, "plugins/delivery.html", context, fragment=part, access=DELIVERY_SEEN)
        return told(template, message)

    @property
    def _cursor(self) -> str | None:
        return self.request.query_params.get("cursor") or None

    def _asked(self, *names: str) -> dict[str, str]:
        """The filters of the address; an empty one is none, as browsers send it."""
        given = self.request.query_params
        return {name: given[name].strip() for name in names if given.get(name, "").strip()}

    def _list(self, path: str, asked: dict[str, str]) -> dict[str, Any]:
        params = asked | self._pager.order
        here = params | ({"cursor": self._cursor} if self._cursor else {})
        return {"path": prefix_of(self.request) + path, "params": params, "here": here}

    async def _choosable(self) -> dict[UUID, str]:
        return await tenants_to_choose(self._session) if self._actor.plane is Plane.PLATFORM else {}


def provide_plugin_views(
    request: AnyRequest,
    session: NamedDependency[AsyncSession],
    actor: NamedDependency[Actor],
    pager: NamedDependency[Pager],
    plugins: NamedDependency[PluginService],
    deliveries: NamedDependency[DeliveryService],
) -> Views:
    return Views(request, session, actor, pager, plugins, deliveries)


class InstallPages(Controller):
    """What a tenant's members alone do."""

    path = PLUGINS

    @post("/", permission=MANAGE, audit="plugin.install", status_code=200, access=FORM_SEEN)
    async def install(self, plugin_views: NamedDependency[Views], data: URLEncodedBody[InstallForm]) -> Template:
        row, secret = await plugin_views.plugins.install(PluginInstall(manifest=_manifest(data.manifest)))
        return await plugin_views.secret(row, secret, "_made")


class PluginPages(Controller):
    path = PLUGINS

    @get("/", permission=READ, sorts=SORTS)
    async def index(self, plugin_views: NamedDependency[Views]) -> Template:
        return await plugin_views.plugin_list()

    @get("/{plugin_id:uuid}", permission=READ)
    async def show(self, plugin_views: NamedDependency[Views], plugin_id: FromPath[UUID]) -> Template:
        return await plugin_views.plugin(await plugin_views.plugins.get(plugin_id), "_plugin")

    @post("/{plugin_id:uuid}", permission=MANAGE, audit="plugin.configure", status_code=200)
    async def configure(self, plugin_views: NamedDependency[Views], plugin_id: FromPath[UUID]) -> Template:
        plugin, _ = await plugin_views.plugins.get(plugin_id)
        form = await plugin_views.request.form()
        given = {name: str(value) for name, value in form.items()}
        version = given.get("version", "")
        expected = {int(version)} if version.isdecimal() else None
        values = _values(manifest_of(plugin), given)
        row = await plugin_views.plugins.configure(plugin_id, values, expected=expected)
        return await plugin_views.plugin(row, message="The settings are saved.")

    @post("/{plugin_id:uuid}/manifest", permission=MANAGE, audit="plugin.upgrade", status_code=200)
    async def upgrade(
        self, plugin_views: NamedDependency[Views], plugin_id: FromPath[UUID], data: URLEncodedBody[InstallForm]
    ) -> Template:
        row = await plugin_views.plugins.upgrade(plugin_id, _manifest(data.manifest))
        return await plugin_views.plugin(row, message=f"It is at version {row[0].release}.")

    @post("/{plugin_id:uuid}/activation", permission=MANAGE, audit="plugin.enable", status_code=200)
    async def enable(self, plugin_views: NamedDependency[Views], plugin_id: FromPath[UUID]) -> Template:
        row = await plugin_views.plugins.enable(plugin_id)
        return await plugin_views.plugin(row, message=f"{row[0].name} is enabled.")

    @post("/{plugin_id:uuid}/deactivation", permission=MANAGE, audit="plugin.disable", status_code=200)
    async def disable(self, plugin_views: NamedDependency[Views], plugin_id: FromPath[UUID]) -> Template:
        row = await plugin_views.plugins.disable(plugin_id)
        return await plugin_views.plugin(row, message=f"{row[0].name} is disabled.")

    @post("/{plugin_id:uuid}/removal", permission=MANAGE, audit="plugin.remove", status_code=200)
    async def remove(self, plugin_views: NamedDependency[Views], plugin_id: FromPath[UUID]) -> Response[bytes]:
        await plugin_views.plugins.remove(plugin_id)
        return gone_to(prefix_of(plugin_views.request) + PLUGINS)

    @post(
        "/{plugin_id:uuid}/secrets",
        permission=MANAGE,
        audit="plugin.rotate",
        status_code=200,
        access=FORM_SEEN,
    )
    async def rotate(
        self, plugin_views: NamedDependency[Views], plugin_id: FromPath[UUID], data: URLEncodedBody[RotationForm]
    ) -> Template:
        row, secret = await plugin_views.plugins.rotate(plugin_id, timedelta(hours=data.overlap_hours))
        return await plugin_views.secret(row, secret, "_rotated")

    @post("/{plugin_id:uuid}/tests", permission=MANAGE, audit="plugin.test", status_code=200)
    async def test(self, plugin_views: NamedDependency[Views], plugin_id: FromPath[UUID]) -> Template:
        await plugin_views.plugins.test(plugin_id)
        row = await plugin_views.plugins.get(plugin_id)
        return await plugin_views.plugin(row, message="A test message is on its way.")


class DeliveryPages(Controller):
    path = DELIVERIES

    @get("/", permission=READ, sorts=DELIVERY_SORTS)
    async def index(self, plugin_views: NamedDependency[Views]) -> Template:
        return await plugin_views.delivery_list()

    @get("/{delivery_id:uuid}", permission=READ, access=DELIVERY_SEEN)
    async def show(self, plugin_views: NamedDependency[Views], delivery_id: FromPath[UUID]) -> Template:
        """The drawer, or with `part` what in it keeps itself current."""
        part = plugin_views.request.query_params.get("part") == "true"
        return await plugin_views.delivery(delivery_id, "_delivery" if part else "_drawer")

    @post("/{delivery_id:uuid}/redelivery", permission=MANAGE, audit="plugin.redeliver", status_code=200)
    async def redeliver(self, plugin_views: NamedDependency[Views], delivery_id: FromPath[UUID]) -> Template:
        await plugin_views.deliveries.redeliver(delivery_id)
        return await plugin_views.delivery(delivery_id, "_delivery", "It is on its way once more.")

    @post("/redeliveries", permission=MANAGE, audit="plugin.redeliver_failed", status_code=200)
    async def redeliver_failed(
        self, plugin_views: NamedDependency[Views], data: URLEncodedBody[RedeliveryForm]
    ) -> Response[bytes]:
        """Whoever looks at the list hears of it by a signal."""
        since, until = moment("from", data.since), moment("to", data.until, end=True)
        done, left = await plugin_views.deliveries.redeliver_failed(data.plugin_id, since, until)
        more = f", {left} more are left: press again" if left else ""
        return told(Response(b""), f"{done} on their way once more{more}." if done else "Nothing has failed there.")


def _manifest(text: str) -> Manifest:
    """
    Raises:
        Invalid: it is no JSON, or no manifest.
    """
    try:
        return msgspec.json.decode(text, type=Manifest)
    except ValidationError as error:
        raise Invalid.field("manifest", Invalid.misfit(error, "manifest").detail) from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise Invalid.field("manifest", f"is not JSON: {error}") from None


def _values(manifest: Manifest, form: dict[str, str]) -> dict[str, Any]:
    """What a form says. An empty field takes a value away; an empty secret stays, unless its box is ticked."""
    found: dict[str, Any] = {}
    for name, setting in manifest.schema.items():
        text = form.get(f"values.{name}", "").strip()
        if setting.type == "boolean":
            found[name] = text == "true"
        elif setting.secret and not text:
            found |= {name: None} if form.get(f"clear.{name}") else {}
        elif setting.type == "number" and text:
            found[name] = _number(name, text)
        else:
            found[name] = text or None
    return found


def _number(name: str, text: str) -> float | int:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not isfinite(value):  # JSON has no word for it, so it would be kept as if nothing were set
        raise Invalid.field(f"values.{name}", "must be a number")
    return int(value) if value.is_integer() else value
