"""`teknav funnel`, beside what the API tells."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from httpx2 import AsyncClient

from tests.modules.conftest import Teknav

FUNNEL = {"name": "Reader to member", "steps": [{"name": "page_view", "path": "/join"}, {"name": "signup"}]}


async def test_a_funnel_is_made_changed_read_and_deleted_by_commands(
    teknav: Teknav, tenant_client: Callable[..., Awaitable[AsyncClient]], tenant: Any, tmp_path: Path
) -> None:
    client = await tenant_client("funnels:read")
    file = tmp_path / "funnel.json"
    file.write_text(json.dumps(FUNNEL))
    made = json.loads(await teknav("funnel", "create", str(file), "--tenant", tenant.slug, "--json"))
    here = f"/api/v1/funnels/{made['id']}"
    assert made == (await client.get(here)).json()
    assert "called Reader to member already" in await teknav(
        "funnel", "create", str(file), "--tenant", tenant.slug, code=1
    )
    file.write_text(json.dumps({"windowS": 3600}))
    changed = json.loads(await teknav("funnel", "change", made["id"], str(file), "--json"))
    assert changed == (await client.get(here)).json() and changed["windowS"] == 3600
    listed = json.loads(await teknav("funnel", "list", "--tenant", tenant.slug, "--json"))
    assert listed == (await client.get("/api/v1/funnels")).json()
    days = {"from": "2026-01-30", "to": "2026-01-31"}
    told = await teknav("funnel", "show", made["id"], "--from", days["from"], "--to", days["to"], "--json")
    assert json.loads(told) == (await client.get(f"{here}/results", params=days)).json()
    assert "/join" in await teknav("funnel", "show", made["id"])

    file.write_text(json.dumps(FUNNEL | {"steps": FUNNEL["steps"][:1]}))
    assert "steps: " in await teknav("funnel", "change", made["id"], str(file), code=2)
    file.write_text(json.dumps(FUNNEL | {"colour": "red"}))
    assert "colour: is not known here" in await teknav("funnel", "create", str(file), "--tenant", tenant.slug, code=2)
    file.write_text(json.dumps({"name": "Without steps"}))
    assert "steps: is wanted" in await teknav("funnel", "create", str(file), "--tenant", tenant.slug, code=2)
    file.write_text(json.dumps({"name": "A step without a name", "steps": [{"path": "/"}, {"name": "b"}]}))
    assert "steps[0].name: is wanted" in await teknav("funnel", "create", str(file), "--tenant", tenant.slug, code=2)
    assert "is deleted" in await teknav("funnel", "delete", made["id"])
    assert "no such funnel" in await teknav("funnel", "delete", made["id"], code=1)
