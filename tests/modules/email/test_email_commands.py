"""`teknav email`, beside what the API tells of templates and of what is not sent."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from httpx2 import AsyncClient

from tests.modules.conftest import Teknav

Client = Callable[..., Awaitable[AsyncClient]]
SAID = {"subject": "Hello {{ name }}", "body": "We begin.", "variables": [{"name": "name", "sample": "Ada"}]}


async def test_mail_templates_are_written_by_commands(
    teknav: Teknav, tenant_client: Client, tenant: Any, tmp_path: Path
) -> None:
    client, file = await tenant_client("email_templates:read"), tmp_path / "template.json"
    file.write_text(json.dumps(SAID | {"name": "welcome"}))
    made = json.loads(await teknav("email", "create-template", str(file), "--tenant", tenant.slug, "--json"))
    id_, here = made["id"], f"/api/v1/email-templates/{made['id']}"
    assert made == (await client.get(here)).json()
    file.write_text(json.dumps(SAID | {"body": "We began."}))
    assert "version 2" in await teknav("email", "change-template", id_, str(file))
    assert json.loads(await teknav("email", "template", id_, "--json")) == (await client.get(here)).json()
    assert "Hello Ada" in await teknav("email", "template", id_, "--preview")
    listed = json.loads(await teknav("email", "templates", "--search", "wel", "--json"))
    assert listed["items"] == (await client.get("/api/v1/email-templates")).json()["items"]
    file.write_text(json.dumps(SAID | {"subject": "Hello {{ nobody }}"}))
    assert "subject" in await teknav("email", "change-template", id_, str(file), code=1)
    file.write_text(json.dumps(SAID | {"variables": [{"name": "N"}]}))
    assert "variables[0].name: " in await teknav("email", "change-template", id_, str(file), code=2)
    assert "welcome is deleted" in await teknav("email", "delete-template", id_)
    assert "no mail template" in await teknav("email", "template", id_, code=1)


async def test_what_is_not_sent_is_said_by_commands(teknav: Teknav, tenant_client: Client, tenant: Any) -> None:
    client, at = await tenant_client("email_preferences:read"), ("--tenant", tenant.slug)
    kept = json.loads(await teknav("email", "suppress", "Ann@example.org", *at, "--reason", "bounced", "--json"))
    listed = json.loads(await teknav("email", "suppressions", "--to", "ann", "--reason", "bounced", "--json"))
    assert listed == (await client.get("/api/v1/email-suppressions")).json() and listed["items"] == [kept]
    assert "recipient: is not" in await teknav("email", "suppress", "nobody", *at, code=1)
    assert "recipient: " in await teknav("email", "suppress", "x", *at, code=2)
    assert "ann@example.org again" in await teknav("email", "allow", kept["id"])
    assert "no such suppression" in await teknav("email", "allow", kept["id"], code=1)

    assert "does not get mails of news" in await teknav("email", "prefer", "ann@example.org", "news", "off", *at)
    found = json.loads(await teknav("email", "preferences", "--to", "ann@", "--json"))
    assert found == (await client.get("/api/v1/email-preferences")).json()
    assert [one["subscribed"] for one in found["items"]] == [False]
    assert "category: " in await teknav("email", "prefer", "ann@example.org", "transactional", "off", *at, code=1)
