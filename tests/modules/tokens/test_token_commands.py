"""`teknav token`: the same rules and answers as the API."""

import json
import re

from httpx2 import AsyncClient

from tests.architecture.test_routes import OF_TENANTS
from tests.conftest import Made
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
    assert {"articles:read", "articles:publish"} <= offered["/tokens"], "the owner's API treats a tenant's articles"
    assert not {"events:write", "emails:send", "dashboard:read"} & offered["/tokens"]
    assert offered[f"/tenants/{tenant.id}/tokens"] == OF_TENANTS


async def test_tokens_and_clients_are_made_rotated_and_ended_by_command(
    teknav: Teknav, owner: AsyncClient, tenant: Made
) -> None:
    holder = ("--tenant", tenant.slug)
    wanted = ("--scope", "articles:read", "--address", "10.0.0.0/8", "--plan", "plus", "--json")
    for noun, secret in (("token", "token"), ("client", "clientSecret")):
        made = json.loads(await teknav(noun, "create", *holder, *wanted))
        here = f"/api/owner/tenants/{tenant.id}/{noun}s/{made['id']}"
        read = (await owner.get(here)).json()
        assert (read["addresses"], read["plan"]) == (["10.0.0.0/8"], "plus")
        changes = ("--name", "Harbour", "--scope", "articles:read", "--scope", "files:read", "--plan", "standard")
        changed = json.loads(await teknav(noun, "change", made["id"], *holder, *changes, "--json"))
        assert changed == (await owner.get(here)).json()
        assert (changed["name"], changed["scopes"]) == ("Harbour", ["articles:read", "files:read"])
        assert (changed["addresses"], changed["expiresAt"]) == (read["addresses"], read["expiresAt"]), "not named"
        assert "scopes: " in await teknav(noun, "change", made["id"], *holder, "--scope", "nonsense", code=1)
        rotated = json.loads(await teknav(noun, "rotate", made["id"], *holder, "--overlap-hours", "2", "--json"))
        assert rotated[secret] != made[secret] and rotated["id"] == made["id"]
        assert (await owner.get(here)).json()["overlapUntil"] is not None
        if noun == "client":
            assert "refused" in await teknav("client", "end-jwts", made["id"], *holder)
            assert (await owner.get(here)).json()["epoch"] == 2
        await teknav(noun, "revoke", made["id"], *holder)
        listed = json.loads(await teknav(noun, "list", *holder, "--state", "revoked", "--json"))
        assert listed == (await owner.get(f"/api/owner/tenants/{tenant.id}/{noun}s?state=revoked")).json()
        assert [item["id"] for item in listed["items"]] == [made["id"]]
