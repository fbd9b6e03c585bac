"""The dashboards' pages of plugins and deliveries: for a tenant's members, and for the owner."""

import json
import re
from collections.abc import Awaitable, Callable

import asyncpg
from httpx2 import AsyncClient

from tests.conftest import Made, Person
from tests.modules.conftest import Teknav
from tests.modules.plugins.conftest import Install, Receiver

HTMX = {"HX-Request": "true"}


async def test_a_member_installs_a_plugin_sets_it_up_and_follows_what_it_gets(
    member: Person,
    tenant: Made,
    receiver: Receiver,
    drain: Callable[..., Awaitable[int]],
    owner: AsyncClient,
    admin: asyncpg.Connection,
) -> None:
    ann, base = await member("ann@example.org", "admin"), f"/dashboard/t/{tenant.slug}/plugins"
    deliveries = base.replace("plugins", "deliveries")
    assert "No plugins yet" in (await ann.get(base)).text
    schema = {
        "channel": {"title": "Channel", "required": True, "choices": ["news", "sport"]},
        "apiKey": {"title": "API key", "secret": True},
        "most": {"title": "Most a day", "type": "number"},
        "loud": {"title": "Loud", "type": "boolean"},
    }
    manifest = {"key": "chat", "name": "Team chat", "version": "1.0.0", "endpoint": f"{receiver.url}/echo"}
    bad = await ann.post(base, data={"manifest": "{nonsense"}, headers=HTMX)
    assert (bad.status_code, 'data-field="manifest"' in bad.text) == (422, True)
    wrong = await ann.post(base, data={"manifest": json.dumps(manifest | {"name": 7})}, headers=HTMX)
    assert (wrong.status_code, "name: Expected" in wrong.text, "$" in wrong.text) == (422, True, False)
    made = await ann.post(base, data={"manifest": json.dumps(manifest | {"schema": schema})}, headers=HTMX)
    assert made.status_code == 200, made.text
    secret = re.search(r"whsec_[\w+/=]+", made.text)
    address = re.search(rf"{base}/[0-9a-f-]{{36}}", made.text)
    assert secret and address
    page = (await ann.get(address[0])).text
    assert secret[0] not in page
    assert 'name="values.channel"' in page and "settings are not complete" in page
    form = {"values.channel": "sport", "values.apiKey": "hidden-2", "values.most": "2.5", "values.loud": "true"}
    for number in ("many", "nan", "1e999"):
        wrong = await ann.post(address[0], data=form | {"values.most": number}, headers=HTMX)
        assert (wrong.status_code, 'data-field="values.most"' in wrong.text) == (422, True), number
    saved = await ann.post(address[0], data=form | {"version": "1"}, headers=HTMX)
    assert saved.status_code == 200, saved.text
    assert "hidden-2" not in saved.text and "A value is kept" in saved.text
    assert (await ann.post(address[0], data=form | {"version": "1"}, headers=HTMX)).status_code == 412
    # An empty secret stays; a box that is not ticked says no.
    kept = {"values.channel": "news", "values.apiKey": "", "values.most": ""}
    assert (await ann.post(address[0], data=kept, headers=HTMX)).status_code == 200
    settings, names = await admin.fetchrow("SELECT settings, secret_names FROM plugin_config")
    assert (json.loads(settings), json.loads(names)) == ({"channel": "news", "loud": False}, ["apiKey"])
    assert "Enabled" in (await ann.post(f"{address[0]}/activation", headers=HTMX)).text
    tested = await ann.post(f"{address[0]}/tests", headers=HTMX)
    assert "A test message is on its way" in tested.headers["hx-trigger"]
    await drain()
    listed = (await ann.get(deliveries)).text
    assert "plugin.test" in listed and "the receiver answered 500" in listed and "Retrying" in listed
    await drain(retries=True)
    delivery = re.search(rf"{deliveries}/[0-9a-f-]{{36}}", listed)
    assert delivery
    drawer = (await ann.get(delivery[0], headers=HTMX)).text
    assert "Redeliver" in drawer and "the receiver answered 500" in drawer and "***" in drawer
    assert "hidden-2" not in drawer and "<html" not in drawer
    again = await ann.post(f"{delivery[0]}/redelivery", headers=HTMX)
    assert again.status_code == 200 and 'data-state="queued"' in again.text
    rotated = await ann.post(f"{address[0]}/secrets", data={"overlapHours": "24"}, headers=HTMX)
    assert rotated.status_code == 200, rotated.text
    assert "carries both signatures" in rotated.text
    await admin.execute("UPDATE session SET confirmed_at = now() - interval '1 hour'")
    stale = await ann.post(f"{address[0]}/secrets", data={"overlapHours": "24"}, headers=HTMX)
    assert stale.status_code == 403, "it wants a fresh confirmation"
    newer = json.dumps(manifest | {"version": "2.0.0"})
    assert "2.0.0" in (await ann.post(f"{address[0]}/manifest", data={"manifest": newer}, headers=HTMX)).text
    # A viewer sees none of it; the owner sees whose it is, and may switch it.
    bob = await member("bob@example.org", "viewer")
    assert (await bob.get(base)).status_code == 403
    owned = address[0].replace(f"/dashboard/t/{tenant.slug}", "/dashboard/owner")
    assert tenant.name in (await owner.get("/dashboard/owner/plugins", params={"q": "team", "state": "enabled"})).text
    disabled = await owner.post(f"{owned}/deactivation", headers=HTMX)
    assert "by owner@example.org" in disabled.text
    assert (await owner.get("/dashboard/owner/deliveries", params={"status": "queued"})).status_code == 200
    assert (await owner.get(delivery[0].replace(f"/dashboard/t/{tenant.slug}", "/dashboard/owner"))).status_code == 200
    gone = await ann.post(f"{address[0]}/removal", headers=HTMX)
    assert gone.headers["hx-redirect"] == base
    assert (await ann.get(address[0])).status_code == 404
    seen = await admin.fetch("SELECT action FROM data_access_log WHERE resource_type LIKE 'plugin%'")
    assert {row["action"] for row in seen} == {"owner.reveal.plugin", "owner.read.plugin_delivery"}


async def test_the_command_lists_plugins_and_deliveries_and_delivers_again(
    install: Install, drain: Callable[..., Awaitable[int]], client: AsyncClient, teknav: Teknav, tenant: Made
) -> None:
    plugin = await install("ok")
    await client.post(f"/api/v1/plugins/{plugin['id']}/tests")
    await drain()
    assert "Says ok" in await teknav("plugins", "list", "--tenant", tenant.slug, "--state", "enabled")
    listed = json.loads(await teknav("plugins", "deliveries", "--plugin", plugin["id"], "--json"))
    (delivery,) = listed["items"]
    assert (delivery["status"], delivery["attempts"]) == ("delivered", 1)
    assert "on its way" in await teknav("plugins", "redeliver", delivery["id"])
    assert "under way" in await teknav("plugins", "redeliver", delivery["id"], code=1)
    assert await drain() == 1
    assert "There is no delivery" in await teknav("plugins", "redeliver", plugin["id"], code=1)
