"""Plugins, their manifests and their deliveries on the wire."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import Meta, Raw, convert, field

from app.core.access import Access
from app.core.wire import Incoming, Outgoing, Sensitive
from app.modules.plugins.models import Plugin, PluginConfig, PluginDelivery, PluginExecutionLog, Status
from app.redis.cached import Cached

DELIVERY_SEEN = Access(
    "owner.read.plugin_delivery", "plugin_delivery", of="delivery_id", fields=("body", "attempts.response")
)
FORM_SEEN = Access("owner.reveal.plugin", "plugin", of="plugin", fields=("signing_secret",))
MADE_SEEN = Access("owner.reveal.plugin", "plugin", of="id", fields=("signing_secret",))
PLUGIN_ANSWERS = Cached(
    "owner", "plugins", "answers", Raw, 15, ("plugins",), "Plugins and their deliveries, over the API."
)

MAX_VALUE = 2_000
SettingName = Annotated[str, Meta(pattern=r"^[a-zA-Z][a-zA-Z0-9]{0,39}$")]
Value = str | int | float | bool
Values = Annotated[
    dict[SettingName, Value | None],
    Meta(max_length=30, description="By name; null takes a value away, and what is not named stays"),
]
Hours = Annotated[int, Meta(ge=0, le=720, description="So many hours what is sent is signed with both secrets")]
State = Literal["enabled", "disabled"]


class Setting(Incoming):
    """One thing that a tenant sets for a plugin. A secret one is text, and is never shown again."""

    type: Literal["string", "number", "boolean"] = "string"
    title: Annotated[str, Meta(max_length=80)] = ""
    description: Annotated[str, Meta(max_length=300)] = ""
    required: bool = False
    secret: bool = False
    choices: Annotated[list[Annotated[str, Meta(min_length=1, max_length=80)]], Meta(max_length=30)] = field(
        default_factory=list
    )


class Manifest(Incoming):
    """What a plugin is. `events` are topics of public facts; `endpoint` is called with a POST for each.

    `schema` says what a tenant can set for it.
    """

    key: Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$", examples=["team-chat"])]
    name: Annotated[str, Meta(min_length=1, max_length=80, examples=["Team chat"])]
    version: Annotated[str, Meta(pattern=r"^\d{1,5}\.\d{1,5}\.\d{1,5}([-+][0-9A-Za-z.+-]{1,40})?$", examples=["1.0.0"])]
    endpoint: Annotated[str, Meta(min_length=1, max_length=500, examples=["https://hooks.example.com/teknav"])]
    description: Annotated[str, Meta(max_length=500)] = ""
    events: Annotated[
        list[Annotated[str, Meta(max_length=60)]], Meta(max_length=50, examples=[["article.published"]])
    ] = field(default_factory=list)
    schema: Annotated[dict[SettingName, Setting], Meta(max_length=30)] = field(default_factory=dict)


class PluginInstall(Incoming):
    """A plugin to install. It is enabled at once where every required setting is given."""

    manifest: Manifest
    values: Values = field(default_factory=dict)


class PluginSetup(Incoming):
    """What to set. Values of secret settings are kept encrypted."""

    values: Values


class SecretRotation(Incoming):
    """A new signing secret. With 0 the one before is used no more from now on."""

    overlap_hours: Hours = 24


class InstallForm(Incoming):
    """The dashboard's form: a manifest as JSON."""

    manifest: str = ""
    csrf_token: str = field(name="_csrf_token", default="")


class RotationForm(Incoming):
    overlap_hours: Hours = 24
    csrf_token: str = field(name="_csrf_token", default="")


class Redelivery(Incoming):
    """Which failed deliveries of a plugin are delivered once more: those asked for in this time, half open."""

    plugin_id: UUID
    since: Annotated[str, Meta(max_length=40, description="A day or a moment")] = field(name="from", default="")
    until: Annotated[str, Meta(max_length=40, description="A day, included, or a moment")] = field(
        name="to", default=""
    )


class RedeliveryForm(Redelivery):
    """The same from a page."""

    csrf_token: str = field(name="_csrf_token", default="")


class Redelivered(Outgoing):
    """How many are on their way once more, and how many more there are: ask again for those."""

    redelivered: int
    left: int


class PluginRead(Outgoing):
    """A plugin as it is set up. `secretsSet` names the secret settings with a value; `version` is also its ETag."""

    id: UUID
    tenant_id: UUID
    manifest: Manifest
    values: dict[str, Value]
    secrets_set: Sequence[str]
    enabled: bool
    disabled_reason: str | None
    disabled_at: datetime | None
    failure_streak: int
    overlap_until: datetime | None
    installed_by: str
    created_at: datetime
    version: int


class PluginMade(PluginRead, Sensitive):
    """A plugin that was just installed, or got a new secret. `signingSecret` is not shown again."""

    signing_secret: str


class PluginPage(Outgoing):
    """A page of plugins, newest first."""

    items: Sequence[PluginRead]
    next_cursor: str | None
    prev_cursor: str | None


class DeliveryRead(Outgoing):
    """One message for one receiver: a plugin, or an `address`. Its `id` is the `webhook-id`, the same at every try.

    `status` is queued, delivered, failed or skipped. While a failed try is followed by another it is queued, and
    `nextAt` says when that begins.
    """

    id: UUID
    tenant_id: UUID
    plugin_id: UUID | None
    address: str | None
    type: str
    key: str
    test: bool
    status: Status
    http_code: int | None
    error: str | None
    attempts: int
    next_at: datetime | None
    job_id: UUID
    correlation_id: UUID | None
    requested_by: str
    created_at: datetime
    finished_at: datetime | None


class DeliveryPage(Outgoing):
    """A page of deliveries, newest first, without what they said."""

    items: Sequence[DeliveryRead]
    next_cursor: str | None
    prev_cursor: str | None


class AttemptRead(Outgoing):
    """One try. `response` is the beginning of the answer's body, with secrets hidden."""

    attempt: int
    url: str
    http_code: int | None
    latency_ms: int | None
    response: str | None
    error: str | None
    created_at: datetime
    finished_at: datetime | None


class DeliveryShown(DeliveryRead, Sensitive):
    """One delivery with what it says, without the settings that a plugin gets beside it, and every try."""

    body: dict[str, Any]
    tries: Sequence[AttemptRead]


class Topics(Outgoing):
    """The topics that a manifest can name in `events`."""

    topics: Sequence[str]


def manifest_of(plugin: Plugin) -> Manifest:
    return Manifest(
        key=plugin.key,
        name=plugin.name,
        version=plugin.release,
        endpoint=plugin.endpoint,
        description=plugin.description,
        events=plugin.events,
        schema=convert(plugin.schema, dict[str, Setting]),
    )


def read(row: tuple[Plugin, PluginConfig]) -> PluginRead:
    return PluginRead(**_values(*row))


def made(row: tuple[Plugin, PluginConfig], secret: str) -> PluginMade:
    return PluginMade(**_values(*row), signing_secret=str(secret))


def read_delivery(row: PluginDelivery) -> DeliveryRead:
    return convert(row, DeliveryRead, from_attributes=True)


def shown(row: PluginDelivery, body: dict[str, Any], tries: Iterable[PluginExecutionLog]) -> DeliveryShown:
    values = {name: getattr(row, name) for name in DeliveryRead.__struct_fields__}
    return DeliveryShown(**values, body=body, tries=[convert(one, AttemptRead, from_attributes=True) for one in tries])


def _values(plugin: Plugin, config: PluginConfig) -> dict[str, Any]:
    of_plugin = ("id", "tenant_id", "installed_by", "created_at")
    of_config = ("enabled", "disabled_reason", "disabled_at", "failure_streak", "overlap_until", "version")
    found = {name: getattr(plugin, name) for name in of_plugin} | {name: getattr(config, name) for name in of_config}
    return found | {
        "manifest": manifest_of(plugin),
        "values": config.settings,
        "secrets_set": config.secret_names,
    }
