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
