"""`teknav article`, beside what the API tells."""

import json
from typing import Any

from app.core.ids import new_id
from tests.modules.articles.test_article_api import HERE, Clients, post
from tests.modules.conftest import Teknav


async def test_commands_tell_and_do_what_the_api_does(teknav: Teknav, tenant_client: Clients, tenant: Any) -> None:
    app = await tenant_client()
    made = await post(app, title="Tides")
    here, at = f"{HERE}/{made['id']}", ("--tenant", tenant.slug)
    await app.patch(here, json={"title": "Neap tides", "reason": "Only these"})
    assert "Neap tides" in await teknav("article", "list", *at, "--search", "tide")
    listed = json.loads(await teknav("article", "list", *at, "--json"))
    assert listed == (await app.get(HERE)).json()
    assert "version 1 of" in await teknav("article", "publish", made["id"], *at, "--version", "1")
    assert (await app.get(f"{here}/publication")).json()["title"] == "Tides"
    assert "Only these" in await teknav("article", "versions", made["id"], *at)
    assert "says what 1 said" in await teknav("article", "restore", made["id"], "1", *at)
    shown = json.loads(await teknav("article", "show", made["id"], *at, "--json"))
    assert shown == (await app.get(here)).json() and shown["draftVersion"] == 3
    assert "no more" in await teknav("article", "unpublish", made["id"], *at)
    assert "no article with this id" in await teknav("article", "publish", str(new_id()), *at, code=1)
    assert "no such tenant" in await teknav("article", "list", "--tenant", "nowhere", code=1)


async def test_an_article_is_written_handed_in_planned_and_translated_by_commands(
    teknav: Teknav, tenant_client: Clients, tenant: Any
) -> None:
    app, at = await tenant_client(), ("--tenant", tenant.slug)

    async def article(*words: str, given: Any = None) -> Any:
        return json.loads(await teknav("article", *words, *at, "--json", input=json.dumps(given)))

    made = await article("create", "-", given={"title": "Tides", "body": "Twice a day."})
    here, id_ = f"{HERE}/{made['id']}", made["id"]
    assert made == (await app.get(here)).json()
    changed = await article("change", id_, "-", given={"title": "Neap tides", "reason": "Only these"})
    assert changed["draftVersion"] == 2
    assert (await app.get(f"{here}/versions")).json()["items"][0]["reason"] == "Only these"
    assert (await article("submit", id_))["status"] == "review"
    assert "no more" in await teknav("article", "withdraw", id_, *at)

    planned = await article("schedule", id_, "publish", "--at", "2038-01-31T08:00:00Z", "--version", "1")
    assert (planned["version"], planned["status"]) == (1, "scheduled")
    assert (await article("releases", id_))["items"] == [planned]
    assert "cancelled" in await teknav("article", "unschedule", id_, planned["id"], *at)
    assert "at: " in await teknav("article", "schedule", id_, "publish", "--at", "tomorrow", *at, code=2)
    assert "at: " in await teknav("article", "schedule", id_, "publish", "--at", "2001-01-31T08:00:00Z", *at, code=1)

    german = await article("translate", id_, "de", "--title", "Nipptiden")
    assert (await article("translations", id_))["items"] == [german]
    assert "agrees with its original" in await teknav("article", "confirm", id_, "de", *at)
    assert "language: is that of" in await teknav("article", "translate", id_, "en", *at, code=1)

    assert "title: " in await teknav("article", "create", "-", *at, input='{"title": 1, "body": ""}', code=2)
    assert (await article("treat", "unpublish", id_))["jobId"]
    assert "ids: " in await teknav("article", "treat", "delete", str(new_id()), *at, code=1)
    assert "Neap tides" in await teknav("article", "delete", id_, *at, "--reason", "Enough of them")
    assert (await app.get(here)).status_code == 404
