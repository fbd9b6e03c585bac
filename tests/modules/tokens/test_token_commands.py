"""`teknav token`: the same rules and answers as the API."""

import json
import re

from httpx2 import AsyncClient

from tests.conftest import ALL_SCOPES, Made
from tests.modules.conftest import Teknav


async def test_a_token_is_listed_and_revoked_by_its_id(teknav: Teknav, owner: AsyncClient, tenant: Made) -> None:
    holder = ("--tenant", tenant.slug)
    made = json.loads(await teknav("token", "create", *holder, "--scope", "articles:read", "--json"))
    listed = json.loads(await teknav("token", "list", *holder, "--json"))
    assert listed == (await owner.get(f"/api/owner/tenants/{tenant.id}/tokens")).json()
    assert [item["id"] for item in listed["items"]] == [made["id"]]
    shown = await teknav("token", "list", *holder)
    assert "active" in shown and made["token"] not in shown
    assert "no such token" in await teknav("token", "revoke", made["id"], "--platform", code=1)
    await teknav("token", "revoke", made["id"], *holder)
    assert "revoked" in await teknav("token", "list", *holder)


async def test_scopes_stand_in_the_help_and_in_the_error(teknav: Teknav, tenant: Made) -> None:
    told = " ".join((await teknav("token", "create", "--help")).split())
    assert "articles:publish" in told and "queues:manage" in told
    refused = await teknav("token", "create", "--tenant", tenant.slug, "--scope", "queues:read", code=1)
    assert "queues:read" in refused and "articles:publish" in refused


async def test_a_platform_token_is_offered_only_what_the_owners_api_asks_for(owner: AsyncClient, tenant: Made) -> None:
    offered = {
        path: set(re.findall(r'name="scopes" value="([^"]+)"', (await owner.get(f"/dashboard/owner{path}")).text))
        for path in ("/tokens", f"/tenants/{tenant.id}/tokens")
    }
    assert {"ai:read", "queues:read", "tokens:write"} <= offered["/tokens"]
    assert not {"articles:read", "articles:write", "articles:publish", "ai:run"} & offered["/tokens"]
    assert offered[f"/tenants/{tenant.id}/tokens"] == {*ALL_SCOPES}
