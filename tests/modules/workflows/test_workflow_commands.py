"""`teknav workflows`, as far as it writes them."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from httpx2 import AsyncClient

from tests.modules.conftest import Teknav

PUBLISH = {"type": "publish", "key": "publish"}


async def test_a_workflow_is_written_published_and_switched_off_by_commands(
    teknav: Teknav, tenant_client: Callable[..., Awaitable[AsyncClient]], tenant: Any, tmp_path: Path
) -> None:
    client, file = await tenant_client("workflows:read"), tmp_path / "workflow.json"
    file.write_text(json.dumps({"key": "flow", "name": "Flow", "graph": {"steps": [PUBLISH]}}))
    words = ("workflows", "create", str(file), "--tenant", tenant.slug)
    made = json.loads(await teknav(*words, "--json"))
    here = f"/api/v1/workflows/{made['id']}"
    assert made == (await client.get(here)).json() and made["tenantId"] == str(tenant.id)
    assert "key: " in await teknav(*words, code=1)
    assert "runs version 1" in await teknav("workflows", "publish", made["id"])
    file.write_text(json.dumps({"graph": {"steps": [PUBLISH], "on": "article.created"}}))
    changed = json.loads(await teknav("workflows", "change", made["id"], str(file), "--json"))
    assert changed == (await client.get(here)).json()
    assert changed["draft"]["on"] == "article.created" and changed["topic"] is None, "what runs stays"
    assert "runs version 2, and starts on article.created" in await teknav("workflows", "publish", made["id"])
    assert "switched off" in await teknav("workflows", "switch-off", made["id"])

    file.write_text(json.dumps({"graph": {"steps": [{"type": "wait", "key": "a", "seconds": 0}]}}))
    assert "graph.steps[0].seconds: " in await teknav("workflows", "change", made["id"], str(file), code=2)
    file.write_text(json.dumps({"graph": {"steps": [PUBLISH, PUBLISH]}}))
    assert "graph.steps[1].key: " in await teknav("workflows", "change", made["id"], str(file), code=1)
