"""The rules of plugins: what a tenant installs and sets up, who hears of what, and what is delivered once more."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.database import scope_of
from app.core.egress import Egress, Refused
from app.core.errors import Conflict, FieldError, Invalid, NotFound
from app.core.etag import Expected, require
from app.core.events import Event, public
from app.core.ids import PLATFORM_TENANT, new_id
from app.core.live import signal
from app.core.paging import Page, Pager, Sorts
from app.core.policy import Actor
from app.core.request import correlation_id
from app.core.secrets import Cipher, Secret
from app.core.wire import one_line
from app.modules.audit.service import record
from app.modules.plugins import repository
from app.modules.plugins.client import new_signing_secret
from app.modules.plugins.jobs import ExecuteHook
from app.modules.plugins.models import Plugin, PluginConfig, PluginDelivery, PluginExecutionLog, Status
from app.modules.plugins.repository import DeliveryFilter as DeliveryFilter
from app.modules.plugins.repository import PluginFilter as PluginFilter
from app.modules.plugins.schemas import MAX_VALUE, PLUGIN_ANSWERS, Manifest, PluginInstall, Setting, manifest_of
from app.queues.control import replay
from app.queues.enqueue import Wanted, insert_rows, row_for
from app.queues.models import JobRow, State
from app.redis.cache import drop

TOPIC, DELIVERIES = "plugins", "plugins.deliveries"
TEST = "plugin.test"
MOST_PLUGINS = 50
MOST_AT_ONCE = 200
SORTS = Sorts("-createdAt", {"createdAt": Plugin.id, "name": Plugin.name})
DELIVERY_SORTS = Sorts("-createdAt", {"createdAt": PluginDelivery.id})
MAX_BODY, MAX_TYPE, MAX_KEY = 256 * 1024, 80, 200
Installed = tuple[Plugin, PluginConfig]


class PluginService:
    """The plugins that the session's transaction may see. Every change is audited in its transaction."""

    def __init__(self, session: AsyncSession, actor: Actor) -> None:
        self._session = session
        self._actor = actor

    async def install(self, new: PluginInstall) -> tuple[Installed, Secret]:
        """Install a plugin for the transaction's tenant; returns it with the secret that its calls are signed with.

        Raises:
            Invalid: naming the field. Conflict (`key_taken`): it is installed already; (`too_many_plugins`).
        """
        tenant_id, id_, secret = scope_of(self._session).tenant_id, new_id(), new_signing_secret()
        self._check(new.manifest)
        installed = select(Plugin.key).where(Plugin.tenant_id == tenant_id, Plugin.removed_at.is_(None))
        keys = set(await self._session.scalars(installed))
        if new.manifest.key in keys:
            text = "a plugin with this key is installed"
            raise Conflict(f"key: {text}", code="key_taken", errors=[FieldError("manifest.key", text)])
        if len(keys) >= MOST_PLUGINS:
            raise Conflict(f"A tenant may have {MOST_PLUGINS} plugins", code="too_many_plugins")
        plugin = Plugin(id=id_, tenant_id=tenant_id, installed_by=self._actor.label, **_described(new.manifest))
        self._session.add(plugin)
        await self._session.flush()
        config = PluginConfig(tenant_id=tenant_id, plugin_id=id_, settings={}, secret_names=[])
        config.signing_secret = self._seal("signing", id_, secret)
        self._set(new.manifest, config, new.values)
        config.enabled = not _missing(new.manifest, config)
        config.disabled_reason = None if config.enabled else "its settings are not complete"
        self._session.add(config)
        await self._session.flush()
        await self._session.refresh(config)
        await trace(self._session, self._actor, "plugin.install", plugin, None, audited(plugin, config))
        return (plugin, config), secret

    async def get(self, plugin_id: UUID) -> Installed:
        """
        Raises:
            NotFound: there is none, it was removed, or it is another tenant's.
        """
        return await self._one(plugin_id)

    async def search(
        self, pager: Pager, wanted: PluginFilter, *, limit: int = 25, cursor: str | None = None
    ) -> Page[Installed]:
        """Newest first."""
        of = f"plugins {scope_of(self._session).tenant_id} {wanted}"
        query = repository.plugins(wanted)
        page = await pager.page(self._session, query, key=Plugin.id, of=of, limit=limit, cursor=cursor, sorts=SORTS)
        return Page(await repository.configs(self._session, page.items), page.next_cursor, page.prev_cursor)

    async def upgrade(self, plugin_id: UUID, manifest: Manifest, *, expected: Expected = None) -> Installed:
        """Take another manifest for it. Settings that it does not know any more are forgotten.

        Raises:
            NotFound, Stale; Invalid: naming the field.
        """
        self._check(manifest)
        plugin, config = await self._one(plugin_id, lock=True, expected=expected)
        if manifest.key != plugin.key:
            raise Invalid.field("key", f"this plugin's is {plugin.key}")
        before = audited(plugin, config)
        for name, value in _described(manifest).items():
            setattr(plugin, name, value)
        secrets = secret_settings(self._session, config)
        kept = {name: value for name, value in (config.settings | secrets).items() if _fits(manifest, name, value)}
        config.settings, config.secrets, config.secret_names = {}, None, []
        self._set(manifest, config, kept)
        if missing := _missing(manifest, config):
            self._switch(config, f"a setting is wanted: {', '.join(missing)}")
        return await self._changed("plugin.upgrade", plugin, config, before)

    async def configure(self, plugin_id: UUID, values: Mapping[str, Any], *, expected: Expected = None) -> Installed:
        """Set what `values` names; None takes a value away.

        Raises:
            NotFound, Stale; Invalid: naming the setting.
        """
        plugin, config = await self._one(plugin_id, lock=True, expected=expected)
        before = audited(plugin, config)
        manifest = manifest_of(plugin)
        self._set(manifest, config, values)
        if config.enabled:
            _require_complete(manifest, config)
        return await self._changed("plugin.configure", plugin, config, before)

    async def enable(self, plugin_id: UUID) -> Installed:
        """Let it hear of what happens from now on. Enabling what is enabled changes nothing.

        Raises:
            NotFound; Invalid: naming a setting that is wanted.
        """
        plugin, config = await self._one(plugin_id, lock=True)
        _require_complete(manifest_of(plugin), config)
        before = audited(plugin, config)
        if not config.enabled:
            self._switch(config, None)
        return await self._changed("plugin.enable", plugin, config, before)

    async def disable(self, plugin_id: UUID) -> Installed:
        """Deliver nothing more to it; what waits is skipped. Disabling what is disabled changes nothing."""
        plugin, config = await self._one(plugin_id, lock=True)
        before = audited(plugin, config)
        if config.enabled:
            self._switch(config, f"by {self._actor.label}")
        return await self._changed("plugin.disable", plugin, config, before)

    async def remove(self, plugin_id: UUID) -> Plugin:
        """Forget its settings and secrets; what was delivered stays to be seen."""
        plugin, config = await self._one(plugin_id, lock=True)
        plugin.removed_at = datetime.now(UTC)
        await self._session.delete(config)
        await self._session.flush()
        await trace(self._session, self._actor, "plugin.remove", plugin, audited(plugin, config), None)
        return plugin

    async def rotate(self, plugin_id: UUID, overlap: timedelta) -> tuple[Installed, Secret]:
        """A new signing secret. Until the overlap is over, calls are signed with the one before too."""
        plugin, config = await self._one(plugin_id, lock=True)
        secret = new_signing_secret()
        sealed = self._seal("signing", plugin.id, secret)
        before = audited(plugin, config)
        if overlap:
            config.signing_secret = config.next_secret or config.signing_secret
            config.next_secret, config.switch_at = sealed, datetime.now(UTC) + overlap
        else:
            config.signing_secret, config.next_secret, config.switch_at = sealed, None, None
        return await self._changed("plugin.rotate", plugin, config, before), secret

    async def test(self, plugin_id: UUID) -> PluginDelivery:
        """Deliver a message that tells of nothing, also to a plugin that is disabled."""
        plugin, _ = await self._one(plugin_id)
        data = {"message": f"This is what {plugin.name} gets from TekNav."}
        delivery = await self._deliver(plugin.tenant_id, plugin.id, TEST, data, f"test:{new_id()}", test=True)
        await trace(self._session, self._actor, "plugin.test", plugin, None, {"delivery": str(delivery.id)})
        return delivery

    async def deliver(self, to: UUID | str, *, type: str, data: Mapping[str, Any], key: str) -> PluginDelivery:
        """Send a message to a plugin, named by its id, or to an https address, where it is not signed.

        It leaves after the commit; `DeliveryEnded` tells how that ended. The same `key` for the same plugin, or for any
        address, gives the first delivery again.

        Raises:
            NotFound: there is no such plugin. Conflict (`plugin_disabled`). Invalid: naming what is wrong.
        """
        type, key = one_line("type", type, MAX_TYPE), one_line("key", key, MAX_KEY)
        if len(msgspec.json.encode(data)) > MAX_BODY:
            raise Invalid.field("data", f"must have at most {MAX_BODY // 1024} KB as JSON")
        if isinstance(to, str):
            _check_address(self._session, "to", to)
            return await self._deliver(scope_of(self._session).tenant_id, to, type, data, key)
        plugin, config = await self._one(to)
        _require_enabled(plugin, config)
        return await self._deliver(plugin.tenant_id, plugin.id, type, data, key)

    async def _deliver(
        self, tenant_id: UUID, to: UUID | str, type: str, data: Mapping[str, Any], key: str, *, test: bool = False
    ) -> PluginDelivery:
        await _write(self._session, tenant_id, [to], type, data, key, by=self._actor.label, test=test)
        return await repository.keyed(self._session, tenant_id, None if isinstance(to, str) else to, key)

    async def _one(self, plugin_id: UUID, *, lock: bool = False, expected: Expected = None) -> Installed:
        found = await repository.installed(self._session, plugin_id, lock=lock)
        if found is None:
            raise NotFound("There is no plugin with this id")
        require(found[1].version, expected, "plugin")
        return found

    def _check(self, manifest: Manifest) -> None:
        one_line("manifest.name", manifest.name, 80)
        _check_address(self._session, "manifest.endpoint", manifest.endpoint)
        known = public()
        if unknown := [topic for topic in manifest.events if topic not in known]:
            raise Invalid.field("manifest.events", f"nothing announces {', '.join(unknown)}")
        for name, setting in manifest.schema.items():
            if setting.type != "string" and (setting.secret or setting.choices):
                raise Invalid.field(f"manifest.schema.{name}", "only text can be secret or have choices")

    def _set(self, manifest: Manifest, config: PluginConfig, values: Mapping[str, Any]) -> None:
        """Take values over into the config, the secret ones encrypted."""
        plain, known = dict(config.settings), secret_settings(self._session, config)
        secrets = dict(known)
        for name, value in values.items():
            setting = manifest.schema.get(name)
            if setting is None:
                raise Invalid.field(f"values.{name}", "this plugin has no such setting")
            kept = secrets if setting.secret else plain
            kept.pop(name, None)
            if value is not None:
                kept[name] = _checked(name, setting, value)
        config.settings = plain
        if secrets != known:
            text = msgspec.json.encode(secrets).decode()
            config.secret_names = sorted(secrets)
            config.secrets = self._seal("settings", config.plugin_id, text) if secrets else None

    def _seal(self, what: str, plugin_id: UUID, text: str) -> bytes:
        cipher: Cipher = self._session.info["cipher"]
        return cipher.encrypt(f"plugin {what}", plugin_id, text)

    def _switch(self, config: PluginConfig, reason: str | None) -> None:
        config.enabled, config.disabled_reason = reason is None, reason
        config.disabled_at = None if reason is None else datetime.now(UTC)
        config.failure_streak = 0

    async def _changed(self, action: str, plugin: Plugin, config: PluginConfig, before: dict[str, Any]) -> Installed:
        if not (self._session.is_modified(plugin) or self._session.is_modified(config)):
            return plugin, config
        config.updated_at = func.now()  # the version of both is the config's
        await self._session.flush()
        await self._session.refresh(config)
        await trace(self._session, self._actor, action, plugin, before, audited(plugin, config))
        return plugin, config


class DeliveryService:
    """What was delivered, or is to be."""

    def __init__(self, session: AsyncSession, actor: Actor) -> None:
        self._session = session
        self._actor = actor

    async def search(
        self, pager: Pager, wanted: DeliveryFilter, *, limit: int = 25, cursor: str | None = None
    ) -> Page[PluginDelivery]:
        """Newest first."""
        of = f"deliveries {scope_of(self._session).tenant_id} {wanted}"
        query = repository.deliveries(wanted)
        key, sorts = PluginDelivery.id, DELIVERY_SORTS
        page = await pager.page(self._session, query, key=key, of=of, limit=limit, cursor=cursor, sorts=sorts)
        await repository.add_tries(self._session, page.items)
        return page

    async def get(self, delivery_id: UUID) -> PluginDelivery:
        """
        Raises:
            NotFound: there is none with this id, or it is another tenant's.
        """
        row = await self._one(delivery_id)
        await repository.add_tries(self._session, [row])
        return row

    async def tries(self, delivery_id: UUID) -> Sequence[PluginExecutionLog]:
        """The first one first."""
        return await repository.tries(self._session, delivery_id)

    async def redeliver(self, delivery_id: UUID) -> PluginDelivery:
        """Deliver once more what has ended, under the same id, so that the receiver can tell that it is the same.

        Raises:
            NotFound. Conflict: it has not ended (`not_ended`); its plugin is disabled (`plugin_disabled`) or gone.
        """
        row = await self._one(delivery_id, lock=True)
        if row.status == Status.QUEUED:
            raise Conflict("This delivery is still under way", code="not_ended")
        if row.plugin_id is not None:
            plugin, config = await repository.receiver(self._session, row.plugin_id)
            if config is None:
                raise Conflict("Its plugin was removed", code="plugin_removed")
            if not row.test:
                _require_enabled(plugin, config)
        before = {"status": row.status}
        job = await self._session.scalar(select(JobRow).where(JobRow.id == row.job_id))
        again(row)
        if job is not None and job.state == State.DEAD:
            await replay(self._session, job)
        else:
            wanted = Wanted(job=ExecuteHook(delivery_id=row.id))
            new = row_for(self._session, wanted, tenant_id=row.tenant_id, correlation_id=row.correlation_id)
            row.job_id = new.id
            await insert_rows(self._session, [new])
        await self._session.flush()
        resource = ("plugin_delivery", row.id, row.type)
        after = {"status": row.status}
        await record(
            self._session,
            self._actor,
            "plugin.redeliver",
            resource=resource,
            before=before,
            after=after,
            tenant_id=row.tenant_id,
        )
        tell(self._session, row)
        drop(self._session, *PLUGIN_ANSWERS.tags)
        return await self.get(delivery_id)

    async def redeliver_failed(
        self, plugin_id: UUID, since: datetime | None = None, until: datetime | None = None
    ) -> tuple[int, int]:
        """Deliver once more what has failed of a plugin, the oldest first, at most 200 at once; each is audited.

        Args:
            since, until: when they were asked for, half open.

        Returns:
            how many are on their way, and how many more there are.

        Raises:
            NotFound: there is no such plugin. Conflict (`plugin_disabled`).
        """
        plugin, config = await PluginService(self._session, self._actor).get(plugin_id)
        _require_enabled(plugin, config)
        query = repository.deliveries(DeliveryFilter(Status.FAILED, plugin_id=plugin_id, since=since, until=until))
        # What somebody delivers once more by itself at this moment is left to them.
        ids = query.with_only_columns(PluginDelivery.id).order_by(PluginDelivery.id).limit(MOST_AT_ONCE)
        found = (await self._session.scalars(ids.with_for_update(skip_locked=True))).all()
        for delivery_id in found:
            await self.redeliver(delivery_id)
        left = await self._session.scalar(select(func.count()).select_from(query.subquery())) or 0
        resource, after = ("plugin", plugin.id, plugin.name), {"redelivered": len(found), "left": left}
        await record(
            self._session,
            self._actor,
            "plugin.redeliver_failed",
            resource=resource,
            after=after,
            tenant_id=plugin.tenant_id,
        )
        return len(found), left

    async def _one(self, delivery_id: UUID, *, lock: bool = False) -> PluginDelivery:
        query = select(PluginDelivery).where(PluginDelivery.id == delivery_id)
        row = await self._session.scalar(query.with_for_update() if lock else query)
        if row is None:
            raise NotFound("There is no delivery with this id")
        return row


async def tell_plugins(session: AsyncSession, event: Event) -> None:
    """Subscriber to every public fact: a delivery for each enabled plugin of the tenant that wants to hear of it.

    It runs in the transaction of the fact, so that one becomes one delivery to each, or none does. What the platform
    does by itself is nobody's.
    """
    tenant_id = scope_of(session).tenant_id
    if tenant_id == PLATFORM_TENANT:
        return
    wanting = await repository.wanting(session, tenant_id, event.topic)
    if wanting:
        data: dict[str, Any] = msgspec.to_builtins(event)
        await _write(session, tenant_id, wanting, event.topic, data, f"event:{new_id()}", by="system")


def secret_settings(session: AsyncSession, config: PluginConfig) -> dict[str, str]:
    """The values of secret settings, decrypted."""
    if config.secrets is None:
        return {}
    cipher: Cipher = session.info["cipher"]
    text = cipher.decrypt("plugin settings", config.plugin_id, config.secrets)
    return msgspec.json.decode(text, type=dict[str, str])


def body_of(row: PluginDelivery) -> dict[str, Any]:
    """What a delivery says, as people may see it: without the settings that a plugin gets beside it."""
    message = {"type": row.type, "timestamp": row.created_at, "tenantId": row.tenant_id, "data": row.data}
    plain: dict[str, Any] = msgspec.to_builtins(message)
    return plain


async def _write(
    session: AsyncSession,
    tenant_id: UUID,
    to: Iterable[UUID | str],
    type: str,
    data: Mapping[str, Any],
    key: str,
    *,
    by: str,
    test: bool = False,
) -> None:
    """A delivery with its job for each receiver that has none under this key.

    There is always room: a fact must not fail because of who wants to hear of it.
    """
    rows, jobs = [], []
    for receiver in to:
        id_ = new_id()
        job = row_for(session, Wanted(job=ExecuteHook(delivery_id=id_)), tenant_id=tenant_id)
        jobs.append((id_, job))
        rows.append(
            {
                "id": id_,
                "tenant_id": tenant_id,
                "plugin_id": None if isinstance(receiver, str) else receiver,
                "address": receiver if isinstance(receiver, str) else None,
                "type": type,
                "data": dict(data),
                "key": key,
                "test": test,
                "job_id": job.id,
                "requested_by": by,
                "correlation_id": correlation_id(),
            }
        )
    new = await repository.write(session, rows)
    await insert_rows(session, [job for id_, job in jobs if id_ in new])
    for id_ in new:
        signal(session, DELIVERIES, id_, tenant_id)


async def trace(
    session: AsyncSession,
    actor: Actor,
    action: str,
    plugin: Plugin,
    before: dict[str, Any] | None,
    after: dict[str, Any] | None,
) -> None:
    resource = ("plugin", plugin.id, plugin.name)
    await record(session, actor, action, resource=resource, before=before, after=after, tenant_id=plugin.tenant_id)
    signal(session, TOPIC, plugin.id, plugin.tenant_id)
    drop(session, *PLUGIN_ANSWERS.tags)


def tell(session: AsyncSession, row: PluginDelivery) -> None:
    signal(session, DELIVERIES, row.id, row.tenant_id)


def again(row: PluginDelivery) -> None:
    row.status, row.finished_at, row.error = Status.QUEUED, None, None


def _require_enabled(plugin: Plugin, config: PluginConfig) -> None:
    if not config.enabled:
        raise Conflict(f"{plugin.name} is disabled: {config.disabled_reason}", code="plugin_disabled")


def _check_address(session: AsyncSession, field: str, url: str) -> None:
    """https only, but for what the operator opened of their own networks; where a name leads is looked at later."""
    egress: Egress = session.info["egress"]
    try:
        opened = egress.opens(url)
    except Refused:
        raise Invalid.field(field, "must be an https:// address without a password in it") from None
    if not url.startswith("https://") and not opened:
        raise Invalid.field(field, "must begin with https://")


def _described(manifest: Manifest) -> dict[str, Any]:
    """The columns that a manifest fills."""
    return {
        "key": manifest.key,
        "name": manifest.name,
        "release": manifest.version,
        "endpoint": manifest.endpoint,
        "events": sorted(set(manifest.events)),
        "description": manifest.description,
        "schema": {name: msgspec.to_builtins(setting) for name, setting in manifest.schema.items()},
    }


def _checked(name: str, setting: Setting, value: Any) -> Any:
    field = f"values.{name}"
    if setting.type == "boolean" and not isinstance(value, bool):
        raise Invalid.field(field, "must be true or false")
    if setting.type == "number" and (isinstance(value, bool) or not isinstance(value, (int, float))):
        raise Invalid.field(field, "must be a number")
    if setting.type == "string":
        if not isinstance(value, str) or not value or len(value) > MAX_VALUE or "\0" in value:
            raise Invalid.field(field, f"must be text of 1 to {MAX_VALUE} characters")
        if setting.choices and value not in setting.choices:
            raise Invalid.field(field, f"must be one of {', '.join(setting.choices)}")
    return value


def _fits(manifest: Manifest, name: str, value: Any) -> bool:
    try:
        return name in manifest.schema and _checked(name, manifest.schema[name], value) == value
    except Invalid:
        return False


def _missing(manifest: Manifest, config: PluginConfig) -> list[str]:
    given = {*config.settings, *config.secret_names}
    return [name for name, setting in manifest.schema.items() if setting.required and name not in given]


def _require_complete(manifest: Manifest, config: PluginConfig) -> None:
    if missing := _missing(manifest, config):
        errors = [FieldError(f"values.{name}", "is wanted") for name in missing]
        raise Invalid("; ".join(f"{error.field}: {error.message}" for error in errors), errors=errors)


def audited(plugin: Plugin, config: PluginConfig) -> dict[str, Any]:
    return {
        "name": plugin.name,
        "release": plugin.release,
        "endpoint": plugin.endpoint,
        "events": plugin.events,
        "settings": dict(config.settings),
        "set": list(config.secret_names),
        "enabled": config.enabled,
        "why": config.disabled_reason,
    }
