"""Installing plugins, setting them up, and what is refused; for a tenant's programs and for the owner."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest
from httpx2 import AsyncClient

from app.core.database import Database, Plane, Scope
from app.core.policy import SYSTEM_ACTOR
from app.modules.plugins.schemas import Manifest
from app.modules.plugins.service import PluginService
from tests.conftest import Made
from tests.modules.plugins.conftest import Install

PLUGINS, OWNED = "/api/v1/plugins", "/api/owner/plugins"
SCHEMA = {
    "channel": {"title": "Channel", "required": True},
    "loud": {"type": "boolean"},
    "most": {"type": "number"},
    "tone": {"choices": ["kind", "plain"]},
    "apiKey": {"secret": True},
}
MANIFEST: dict[str, Any] = {"key": "chat", "name": "Chat", "version": "1.0.0", "endpoint": "https://example.com/hook"}


async def test_a_plugin_is_set_up_and_its_secrets_are_never_shown(
    client: AsyncClient, install: Install, admin: asyncpg.Connection
) -> None:
    made = await install("ok", schema=SCHEMA, settings={"apiKey": "hidden-1"})
    address = f"{PLUGINS}/{made['id']}"
    assert (made["enabled"], made["disabledReason"]) == (False, "its settings are not complete")
    assert made["signingSecret"].startswith("whsec_")
    early = await client.post(f"{address}/activation")
    assert (early.status_code, early.json()["errors"]) == (422, [{"field": "values.channel", "message": "is wanted"}])
    given = {"channel": "news", "loud": True, "most": 2.5, "tone": "kind"}
    answer = await client.patch(address, json={"values": given}, headers={"If-Match": '"1"'})
    assert answer.status_code == 200, answer.text
    shown = answer.json()
    assert (shown["values"], shown["secretsSet"]) == (given, ["apiKey"])
    assert "hidden-1" not in answer.text
    assert "signingSecret" not in shown
    assert (await client.patch(address, json={"values": {}}, headers={"If-Match": '"1"'})).status_code == 412
    same = await client.patch(address, json={"values": {"apiKey": "hidden-1", "most": 2.5}})
    assert same.json()["version"] == shown["version"], "nothing new makes no new version"
    assert (await client.post(f"{address}/activation")).json()["enabled"] is True
    taken = await client.patch(address, json={"values": {"apiKey": None, "channel": "sport"}})
    assert (taken.json()["secretsSet"], taken.json()["values"]["channel"]) == ([], "sport")
    bad: dict[str, Any] = {"loud": "yes", "most": True, "tone": "rude", "channel": "", "nonsense": 1, "apiKey": 7}
    for name, value in bad.items():
        refused = await client.patch(address, json={"values": {name: value}})
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, f"values.{name}"), refused.text
    assert (await client.patch(address, json={"values": {"channel": None}})).status_code == 422, "it is enabled"
    assert (await client.get(address)).json()["values"]["channel"] == "sport"
    rows = await admin.fetch("SELECT action, after FROM audit_log WHERE action LIKE 'plugin.%' AND outcome = 'success'")
    assert {row["action"] for row in rows} == {"plugin.install", "plugin.configure", "plugin.enable"}
    assert "hidden-1" not in str(rows)
    # Another version knows other settings: what it does not know is forgotten, what does not fit is not kept.
    newer = made["manifest"] | {"version": "2.0.0", "schema": {"channel": {}, "loud": {"type": "number"}}}
    upgraded = (await client.put(f"{address}/manifest", json=newer)).json()
    assert (upgraded["manifest"]["version"], upgraded["values"]) == ("2.0.0", {"channel": "sport"})
    assert upgraded["enabled"] is True
    assert (await client.delete(address)).status_code == 204
    assert (await client.get(address)).status_code == 404
    assert await admin.fetchval("SELECT count(*) FROM plugin_config") == 0
    await install("ok")


WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


async def test_whoever_waited_for_a_change_of_the_plugin_goes_on_from_what_it_became(
    install: Install, tenant: Made, database: Database, admin: asyncpg.Connection
) -> None:
    made = await install("ok")
    first, second = (
        msgspec.convert(made["manifest"] | {"version": version}, Manifest) for version in ("2.0.0", "1.0.0")
    )
    scope = Scope(Plane.TENANT, tenant.id)

    async def back() -> str:
        async with database.transaction(scope) as session:
            plugins = PluginService(session, SYSTEM_ACTOR)
            await plugins.get(UUID(made["id"]))
            return (await plugins.upgrade(UUID(made["id"]), second))[0].release

    async with database.transaction(scope) as session:
        await PluginService(session, SYSTEM_ACTOR).upgrade(UUID(made["id"]), first)
        waiting = asyncio.create_task(back())
        async with asyncio.timeout(10):
            while not await admin.fetchval(WAITING):
                await asyncio.sleep(0.01)
    assert await waiting == "1.0.0"
    assert await admin.fetchval("SELECT release FROM plugin") == "1.0.0"
    changes = await admin.fetch("SELECT before, after FROM audit_log WHERE action = 'plugin.upgrade' ORDER BY id")
    releases = [(json.loads(row["before"])["release"], json.loads(row["after"])["release"]) for row in changes]
    assert releases == [("1.0.0", "2.0.0"), ("2.0.0", "1.0.0")]


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown topic": ({"events": ["article.eaten"]}, "manifest.events"),
    "no https": ({"endpoint": "http://example.com/hook"}, "manifest.endpoint"),
    "a password in the address": ({"endpoint": "https://a:b@example.com/hook"}, "manifest.endpoint"),
    "a version that is none": ({"version": "new"}, "manifest.version"),
    "a key with capitals": ({"key": "Chat"}, "manifest.key"),
    "a name of two lines": ({"name": "Chat\nroom"}, "manifest.name"),
    "a number that is secret": ({"schema": {"n": {"type": "number", "secret": True}}}, "manifest.schema.n"),
    "an unknown field": ({"color": "red"}, "manifest"),
}


async def test_a_manifest_that_cannot_be_is_refused_by_name_and_nothing_is_written(
    client: AsyncClient, install: Install, admin: asyncpg.Connection
) -> None:
    for what, (wrong, field) in WRONG.items():
        answer = await client.post(PLUGINS, json={"manifest": MANIFEST | wrong})
        assert answer.status_code in (400, 422), what
        assert field in answer.text, (what, answer.text)
    assert await admin.fetchval("SELECT count(*) FROM plugin") == 0
    await install("ok")
    again = await client.post(PLUGINS, json={"manifest": MANIFEST | {"key": "ok"}})
    assert (again.status_code, again.json()["code"]) == (409, "key_taken")
    assert "article.published" in (await client.get(f"{PLUGINS}/topics")).json()["topics"]


@pytest.mark.promise("S4-73")
async def test_another_tenant_finds_nothing_and_the_owner_everything(
    client: AsyncClient,
    install: Install,
    owner: AsyncClient,
    make_tenant: Callable[[str], Awaitable[Made]],
    tenant_client: Callable[..., Awaitable[AsyncClient]],
    tenant: Made,
    drain: Callable[..., Awaitable[int]],
) -> None:
    made = await install("ok")
    stranger = await tenant_client("plugins:read", "plugins:manage", of=await make_tenant("Another Press"))
    theirs = await install("ok", by=stranger)
    for path in (f"{PLUGINS}/{made['id']}", f"{PLUGINS}/{made['id']}/tests", f"{PLUGINS}/{made['id']}/secrets"):
        method = "GET" if path.endswith(made["id"]) else "POST"
        answer = await stranger.request(method, path, json={} if path.endswith("secrets") else None)
        assert answer.status_code == 404, path
    assert [one["id"] for one in (await client.get(PLUGINS)).json()["items"]] == [made["id"]]
    listed = (await owner.get(OWNED)).json()["items"]
    assert [one["id"] for one in listed] == [theirs["id"], made["id"]]
    only = (await owner.get(OWNED, params={"tenantId": str(tenant.id), "state": "enabled", "q": "SAYS"})).json()
    assert [one["id"] for one in only["items"]] == [made["id"]]
    # The owner acts on the tenant's plugin: the job and the delivery are the tenant's.
    tested = await owner.post(f"{OWNED}/{made['id']}/tests")
    assert tested.status_code == 202, tested.text
    assert tested.json()["tenantId"] == str(tenant.id)
    assert await drain() == 1
    shown = (await owner.get(tested.headers["location"])).json()
    assert (shown["status"], shown["tries"][0]["httpCode"]) == ("delivered", 200)
    mine = (await client.get(f"{PLUGINS}/deliveries")).json()["items"]
    assert [one["id"] for one in mine] == [shown["id"]]
    assert (await stranger.get(f"{PLUGINS}/deliveries/{shown['id']}")).status_code == 404
    disabled = await owner.delete(f"{OWNED}/{made['id']}/activation")
    assert disabled.json()["disabledReason"] == "by owner@example.org"
