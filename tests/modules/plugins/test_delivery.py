"""What a plugin gets, how often, and what the record says of it; judged by the receiver's own log."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Collection
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from httpx2 import AsyncClient
from litestar import Litestar
from standardwebhooks import Webhook, WebhookVerificationError

from app.core.database import Database, Plane, Scope
from app.core.errors import Conflict, Invalid, NotFound
from app.core.ids import new_id
from app.core.policy import SYSTEM_ACTOR
from app.modules.plugins import processor, service
from app.modules.plugins.service import PluginService
from tests.conftest import Made
from tests.modules.plugins.conftest import Install, Receiver

Publish = Callable[..., Awaitable[str]]
Drain = Callable[..., Awaitable[int]]
MOST_FAILURES = 2
PLUGINS, DELIVERIES = "/api/v1/plugins", "/api/v1/plugins/deliveries"


async def newest(client: AsyncClient, **wanted: str) -> dict[str, Any]:
    """The newest delivery with all that the API tells of it."""
    listed = (await client.get(DELIVERIES, params=wanted)).json()["items"]
    answer = await client.get(f"{DELIVERIES}/{listed[0]['id']}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def verified(call: dict[str, Any], secret: str) -> Any:
    """What a receiver reads, as the public library for Standard Webhooks sees it."""
    return Webhook(secret).verify(call["body"], call["sent"])


@pytest.mark.promise("S4-15", "S4-28", "S4-73")
async def test_a_public_fact_reaches_each_plugin_that_wants_it_once_and_signed(
    client: AsyncClient,
    install: Install,
    publish: Publish,
    drain: Drain,
    receiver: Receiver,
    make_tenant: Callable[[str], Awaitable[Made]],
    tenant_client: Callable[..., Awaitable[AsyncClient]],
    tenant: Made,
    admin: asyncpg.Connection,
) -> None:
    schema = {"channel": {"title": "Channel", "required": True}, "apiKey": {"secret": True}}
    plugin = await install("ok", schema=schema, settings={"channel": "news", "apiKey": "key-of-the-chat"})
    await install("busy", events=["article.deleted"])
    stranger = await tenant_client("plugins:manage", of=await make_tenant("Another Press"))
    await install("broken", by=stranger)
    article = await publish()
    assert await drain(retries=True) == 1
    (call,) = receiver.calls()
    told = verified(call, plugin["signingSecret"])
    with pytest.raises(WebhookVerificationError):
        Webhook("whsec_" + "A" * 44).verify(call["body"], call["sent"])
    assert told.pop("timestamp").endswith("Z")
    assert told == {
        "type": "article.published",
        "tenantId": str(tenant.id),
        "data": {"articleId": article},
        "settings": {"channel": "news", "apiKey": "key-of-the-chat"},
    }
    delivery = await newest(client)
    assert (delivery["id"], delivery["status"], delivery["attempts"]) == (call["id"], "delivered", 1)
    assert delivery["body"]["data"] == {"articleId": article}
    (attempt,) = delivery["tries"]
    assert (attempt["httpCode"], attempt["response"], attempt["error"]) == (200, "thank you", None)
    assert attempt["latencyMs"] >= 0
    # The fact's correlation id runs on into the delivery, its job, and the audit row of what caused it.
    assert delivery["correlationId"] == str(await admin.fetchval("SELECT correlation_id FROM job"))
    caused = "SELECT correlation_id FROM audit_log WHERE action = 'article.publish'"
    assert delivery["correlationId"] == str(await admin.fetchval(caused))
    for table in ("plugin", "plugin_config", "plugin_delivery", "plugin_execution_log", "audit_log", "job"):
        kept = str(await admin.fetch(f"SELECT t::text FROM {table} t"))
        assert "key-of-the-chat" not in kept, table
        assert plugin["signingSecret"] not in kept, table


async def test_a_receiver_that_is_busy_gets_the_same_message_again(
    client: AsyncClient, install: Install, publish: Publish, drain: Drain, receiver: Receiver, admin: asyncpg.Connection
) -> None:
    plugin = await install("busy")
    await publish()
    await drain()
    first = await newest(client)
    assert (first["status"], first["httpCode"], first["attempts"]) == ("queued", 503, 1)
    assert first["nextAt"] is not None
    await drain(retries=True)
    calls = receiver.calls()
    assert len(calls) == 3
    assert len({call["id"] for call in calls}) == len({call["body"] for call in calls}) == 1
    assert all(verified(call, plugin["signingSecret"]) for call in calls)
    delivery = await newest(client)
    assert [attempt["httpCode"] for attempt in delivery["tries"]] == [503, 503, 200]
    assert (delivery["status"], delivery["error"], delivery["nextAt"]) == ("delivered", None, None)
    assert await admin.fetchval("SELECT failure_streak FROM plugin_config") == 0


async def test_what_a_receiver_may_answer_and_where_a_call_may_go(
    client: AsyncClient, install: Install, publish: Publish, drain: Drain
) -> None:
    secrets = {"schema": {"apiKey": {"secret": True}}, "settings": {"apiKey": 'a "quoted" key'}}
    made = {name: await install(name, **secrets) for name in ("redirect", "huge", "echo", "gone")}
    away = await install("away", endpoint="https://10.0.0.1/hook")
    await publish()
    await drain(retries=True)
    of = {name: await newest(client, pluginId=plugin["id"]) for name, plugin in (made | {"away": away}).items()}
    # A redirect is not followed; it is an answer like others that are no yes.
    assert (of["redirect"]["status"], of["redirect"]["httpCode"], of["redirect"]["attempts"]) == ("failed", 302, 10)
    # An endless answer is cut, and was a yes.
    assert (of["huge"]["status"], len(of["huge"]["tries"][0]["response"])) == ("delivered", 2048)
    said = of["echo"]["tries"][0]["response"]
    assert "article.published" in said
    assert "quoted" not in said
    # 410 ends it at once, and the plugin with it.
    assert (of["gone"]["status"], of["gone"]["attempts"]) == ("failed", 1)
    gone = (await client.get(f"{PLUGINS}/{made['gone']['id']}")).json()
    assert (gone["enabled"], gone["disabledReason"]) == (False, "the receiver answered 410: it is gone")
    # A private address is never called, and never tried again.
    assert (of["away"]["status"], of["away"]["attempts"], of["away"]["httpCode"]) == ("failed", 1, None)
    assert of["away"]["error"] == "10.0.0.1 is not called: it leads to a private address"


async def test_a_plugin_that_fails_too_often_is_disabled_and_can_be_delivered_to_again(
    app: Litestar,
    client: AsyncClient,
    install: Install,
    publish: Publish,
    drain: Drain,
    receiver: Receiver,
    admin: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(processor, "MOST_FAILURES", MOST_FAILURES)
    plugin = await install("broken")
    address = f"{PLUGINS}/{plugin['id']}"
    for n in range(MOST_FAILURES):
        await publish(f"News {n}")
    tested = await client.post(f"{address}/tests")
    assert (tested.status_code, tested.json()["test"]) == (202, True)
    await drain(retries=True)
    assert len(receiver.calls()) == 10 * (MOST_FAILURES + 1)
    now = (await client.get(address)).json()
    assert (now["enabled"], now["failureStreak"]) == (False, MOST_FAILURES)
    assert now["disabledReason"] == "2 deliveries in a row failed, the last one because the receiver answered 500"
    audited = "SELECT actor_label, after FROM audit_log WHERE action = 'plugin.disable'"
    assert (await admin.fetchrow(audited))["actor_label"] == "system"
    await publish("Nobody hears of this")
    failed = (await client.get(DELIVERIES, params={"status": "failed", "limit": 100})).json()["items"]
    assert len(failed) == MOST_FAILURES + 1
    one = next(item for item in failed if not item["test"])
    refused = await client.post(f"{DELIVERIES}/{one['id']}/redelivery")
    assert (refused.status_code, refused.json()["code"]) == (409, "plugin_disabled")
    mended = plugin["manifest"] | {"endpoint": f"{receiver.url}/ok"}
    assert (await client.put(f"{address}/manifest", json=mended)).status_code == 200
    enabled = (await client.post(f"{address}/activation")).json()
    assert (enabled["enabled"], enabled["failureStreak"], enabled["disabledReason"]) == (True, 0, None)
    dropped: list[Collection[str]] = []
    app.state.cache.on_drop.append(dropped.append)
    again = await client.post(f"{DELIVERIES}/{one['id']}/redelivery")
    assert (again.status_code, again.json()["status"]) == (202, "queued")
    assert any("plugins" in tags for tags in dropped)
    twice = await client.post(f"{DELIVERIES}/{one['id']}/redelivery")
    assert (twice.status_code, twice.json()["code"]) == (409, "not_ended")
    await drain(retries=True)
    ended = (await client.get(f"{DELIVERIES}/{one['id']}")).json()
    assert (ended["status"], ended["attempts"]) == ("delivered", 11)
    # What was delivered can be sent once more as well: a new job, the same message.
    assert (await client.post(f"{DELIVERIES}/{one['id']}/redelivery")).status_code == 202
    await drain()
    assert [call["id"] for call in receiver.calls("ok")] == [one["id"]] * 2
    assert await admin.fetchval("SELECT count(*) FROM job WHERE state = 'dead'") == MOST_FAILURES
    # Those that have failed in a time are sent once more together, a number at a time.
    monkeypatch.setattr(service, "MOST_AT_ONCE", 1)
    body, bulk = {"pluginId": plugin["id"]}, f"{DELIVERIES}/redeliveries"
    never = await client.post(bulk, json=body | {"to": "2020-01-01"})
    assert (never.status_code, never.json()) == (202, {"redelivered": 0, "left": 0})
    wrong = await client.post(bulk, json=body | {"from": "yesterday"})
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "from")
    assert (await client.post(bulk, json={"pluginId": one["id"]})).status_code == 404
    rest = sorted(item["id"] for item in failed if item["id"] != one["id"])
    async with admin.transaction():  # somebody delivers these once more by themselves, and has not ended
        await admin.execute("SELECT FROM plugin_delivery WHERE status = 'failed' FOR UPDATE")
        async with asyncio.timeout(10):
            assert (await client.post(bulk, json=body)).json() == {"redelivered": 0, "left": 2}
    for left, id_ in zip((1, 0), rest, strict=True):
        assert (await client.post(bulk, json=body | {"from": "2020-01-01"})).json() == {"redelivered": 1, "left": left}
        await drain()
        assert receiver.calls("ok")[-1]["id"] == id_, "the oldest first"
    assert (
        await admin.fetchval(
            "SELECT count(*) FROM audit_log WHERE action = 'plugin.redeliver_failed' AND outcome = 'success'"
        )
        == 4
    )


async def test_while_secrets_overlap_both_signatures_are_sent(
    client: AsyncClient, install: Install, publish: Publish, drain: Drain, receiver: Receiver, admin: asyncpg.Connection
) -> None:
    plugin = await install("ok")
    old, address = plugin["signingSecret"], f"{PLUGINS}/{plugin['id']}/secrets"
    rotated = await client.post(address, json={"overlapHours": 24})
    assert rotated.status_code == 201, rotated.text
    new = rotated.json()["signingSecret"]
    await publish("One")
    await drain()
    await admin.execute("UPDATE plugin_config SET switch_at = now() - interval '1 second'")
    await publish("Two")
    await drain()
    last = (await client.post(address, json={"overlapHours": 0})).json()["signingSecret"]
    await publish("Three")
    await drain()
    believed = []
    for call in receiver.calls():
        found = set()
        for name, secret in (("old", old), ("new", new), ("last", last)):
            try:
                verified(call, secret)
                found.add(name)
            except WebhookVerificationError:
                pass
        believed.append(found)
    assert believed == [{"old", "new"}, {"new"}, {"last"}]


async def test_others_deliver_through_it_to_a_plugin_or_an_address_once_for_each_key(
    database: Database, install: Install, drain: Drain, receiver: Receiver, client: AsyncClient, tenant: Made
) -> None:
    plugin = await install("ok", events=[])
    scope = Scope(Plane.TENANT, tenant.id)

    async def deliver(to: Any, key: str = "step-1", **more: Any) -> Any:
        async with database.transaction(scope) as session:
            plugins = PluginService(session, SYSTEM_ACTOR)
            return await plugins.deliver(to, **{"type": "flow.step", "data": {"n": 1}, "key": key} | more)

    to = UUID(plugin["id"])
    first = await deliver(to)
    assert (await deliver(to, data={"n": 2})).id == first.id
    elsewhere = await deliver(f"{receiver.url}/ok")
    assert (await deliver(f"{receiver.url}/busy")).id == elsewhere.id
    await drain(retries=True)
    assert (await deliver(to)).status == "delivered"
    calls = {call["id"]: call for call in receiver.calls()}
    assert set(calls) == {str(first.id), str(elsewhere.id)}
    assert verified(calls[str(first.id)], plugin["signingSecret"])["data"] == {"n": 1}
    assert calls[str(elsewhere.id)]["signature"] is None
    assert "settings" not in json.loads(calls[str(elsewhere.id)]["body"])
    for address in ("http://example.org/", "https://user:hunter2@example.org/", "ftp://x/", "nonsense"):
        with pytest.raises(Invalid, match=r"^to: "):
            await deliver(address, "step-2")
    with pytest.raises(Invalid, match=r"^data: "):
        await deliver(to, "step-2", data={"long": "x" * 300_000})
    with pytest.raises(NotFound):
        await deliver(new_id(), "step-2")
    await client.delete(f"{PLUGINS}/{plugin['id']}/activation")
    with pytest.raises(Conflict, match="disabled"):
        await deliver(to, "step-3")
