"""`teknav plugins`, beside what the API tells."""

import json
from typing import Any

import asyncpg
from httpx2 import AsyncClient

from app.core.ids import new_id
from tests.modules.conftest import Teknav

MANIFEST = {
    "key": "team-chat",
    "name": "Team chat",
    "version": "1.0.0",
    "endpoint": "https://hooks.example.com/teknav",
    "events": ["article.published"],
    "schema": {"channel": {"required": True}, "apiKey": {"secret": True}},
}


async def test_a_plugin_is_installed_set_up_and_switched_by_commands(
    teknav: Teknav, client: AsyncClient, admin: asyncpg.Connection, tenant: Any
) -> None:
    async def plugins(*words: str, given: Any = None) -> Any:
        return json.loads(await teknav("plugins", *words, "--json", input=json.dumps(given)))

    made = await plugins("install", "-", "--tenant", tenant.slug, given={"manifest": MANIFEST})
    id_, here = made["id"], f"/api/v1/plugins/{made['id']}"
    assert made["signingSecret"].startswith("whsec_") and not made["enabled"]
    assert "values.channel" in await teknav("plugins", "enable", id_, code=1)
    values = {"values": {"channel": "news", "apiKey": "hidden-1"}}
    assert await plugins("configure", id_, "-", given=values) == (await client.get(here)).json()
    assert (await plugins("enable", id_))["enabled"]
    shown = await teknav("plugins", "show", id_)
    assert "news" in shown and "hidden-1" not in shown
    assert "disabled" in await teknav("plugins", "disable", id_)
    next_ = MANIFEST | {"version": "1.1.0"}
    assert (await plugins("upgrade", id_, "-", given=next_))["manifest"]["version"] == "1.1.0"
    rotated = await plugins("rotate", id_, "--overlap-hours", "1")
    assert rotated["signingSecret"] != made["signingSecret"] and rotated["overlapUntil"]
    assert (await plugins("test", id_))["test"]
    seen = "SELECT count(*) FROM data_access_log WHERE action = 'owner.reveal.plugin' AND actor_label LIKE 'cli:%'"
    assert await admin.fetchval(seen) == 2, "whoever saw a secret stands in the log"

    wrong = json.dumps({"manifest": MANIFEST | {"version": "one"}})
    assert "manifest.version: " in await teknav("plugins", "install", "-", "--tenant", tenant.slug, input=wrong, code=2)
    assert "values.colour: " in await teknav("plugins", "configure", id_, "-", input='{"values":{"colour":1}}', code=1)
    assert "is not JSON" in await teknav("plugins", "configure", id_, "-", input="{", code=2)
    assert "no plugin" in await teknav("plugins", "show", str(new_id()), code=1)
    assert await plugins("remove", id_) == {"id": id_, "removed": True}
    assert (await client.get(here)).status_code == 404
