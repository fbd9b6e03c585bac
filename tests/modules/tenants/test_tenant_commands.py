"""`teknav tenant`: the same rules and answers as the API."""

import json

import rich_click as click
from httpx2 import AsyncClient

from tests.architecture.commands import commands
from tests.conftest import Made
from tests.modules.conftest import Teknav


async def test_tenants_are_listed_as_the_api_lists_them(teknav: Teknav, owner: AsyncClient, tenant: Made) -> None:
    assert "harbour-press" in await teknav("tenant", "list")
    assert json.loads(await teknav("tenant", "list", "--json")) == (await owner.get("/api/owner/tenants")).json()
    assert "called Harbour press already" in await teknav("tenant", "create", "Harbour press", code=1)


async def test_a_tenants_whole_life_by_command(teknav: Teknav, owner: AsyncClient, tenant: Made) -> None:
    here = f"/api/owner/tenants/{tenant.id}"
    await teknav("tenant", "rename", tenant.slug, "Quay Press")
    await teknav("tenant", "suspend", tenant.slug, "--reason", "Unpaid")
    shown = json.loads(await teknav("tenant", "show", tenant.slug, "--json"))
    assert shown == (await owner.get(here)).json()
    assert (shown["name"], shown["status"], shown["reason"]) == ("Quay Press", "suspended", "Unpaid")
    assert "Unpaid" in await teknav("tenant", "show", str(tenant.id))
    await teknav("tenant", "resume", tenant.slug)
    assert "will be erased" in await teknav("tenant", "delete", tenant.slug)
    assert tenant.slug in await teknav("tenant", "list", "--status", "deleting")
    assert "is active" in await teknav("tenant", "undelete", tenant.slug)
    assert "no deletion to take back" in await teknav("tenant", "undelete", tenant.slug, code=1)


async def test_quotas_are_set_cleared_and_told_by_command(teknav: Teknav, owner: AsyncClient, tenant: Made) -> None:
    told = await teknav("tenant", "quota", tenant.slug, "--set", "articles=5", "--set", "jobsInFlight=2", "--json")
    listed = (await owner.get(f"/api/owner/tenants/{tenant.id}/quotas")).json()
    assert json.loads(told) == listed
    assert {item["name"]: item["most"] for item in listed["items"] if item["most"]} == {
        "articles": 5,
        "jobsInFlight": 2,
    }
    assert "Articles" in await teknav("tenant", "quota", tenant.slug, "--clear", "articles")
    assert "elephants: is no quota" in await teknav("tenant", "quota", tenant.slug, "--set", "elephants=1", code=1)
    assert "NAME=MOST" in await teknav("tenant", "quota", tenant.slug, "--set", "articles", code=2)


async def test_every_list_of_one_tenant_takes_its_slug_as_well_as_its_id(teknav: Teknav, tenant: Made) -> None:
    with_tenant = {
        words: options
        for words, command in commands()
        if "--tenant" in (options := {name: each for each in command.params for name in each.opts})
    }
    assert len(with_tenant) > 60 and not [
        words for words, options in with_tenant.items() if options["--tenant"].type is click.UUID
    ]
    one = ("article versions", "article releases")  # of one article, that has to be there
    lists = [words for words, options in with_tenant.items() if "--limit" in options and words not in one]
    assert len(lists) > 15
    for words in lists:
        command = [*words.split(), *({"queues jobs": ["ai:content"]}.get(words, ())), "--json", "--tenant"]
        assert await teknav(*command, tenant.slug) == await teknav(*command, str(tenant.id)), words
        assert "no such tenant" in await teknav(*command, "nowhere", code=1), words
