"""A workflow's step that delivers, to a plugin and to an address."""

import json
from collections.abc import Awaitable, Callable

from httpx2 import AsyncClient

from tests.modules.instances import flows
from tests.modules.plugins.conftest import Install, Receiver


async def test_a_workflow_delivers_once_and_waits_until_it_has_arrived(
    tenant_client: Callable[..., Awaitable[AsyncClient]],
    install: Install,
    receiver: Receiver,
    drain: Callable[..., Awaitable[int]],
) -> None:
    client = await tenant_client(*flows.SCOPES)
    plugin = await install("ok", events=[])
    tell = {"type": "webhook", "key": "tell", "to": plugin["id"], "event": "flow.step", "data": {"of": "input.id"}}
    definition = await flows.workflow(client, tell, {**tell, "key": "pass_on", "to": f"{receiver.url}/ok"})
    instance = await flows.run(client, definition, id="7")
    nobody = await flows.workflow(client, {**tell, "to": "nonsense"}, key="nobody")
    refused = await flows.run(client, nobody)
    await drain()
    found = await flows.instance(client, instance)
    assert found["status"] == "succeeded"
    assert {one["status"] for one in found["steps"].values()} == {"delivered"}
    calls = receiver.calls()
    assert {call["id"] for call in calls} == {one["deliveryId"] for one in found["steps"].values()} and len(calls) == 2
    assert [json.loads(call["body"])["data"] for call in calls] == [{"of": "7"}] * 2
    assert (await flows.instance(client, refused))["error"]["code"] == "invalid"
