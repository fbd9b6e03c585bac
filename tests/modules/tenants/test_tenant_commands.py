"""`teknav tenant`: the same rules and answers as the API."""

import json

from httpx2 import AsyncClient

from tests.conftest import Made
from tests.modules.conftest import Teknav


async def test_tenants_are_listed_as_the_api_lists_them(teknav: Teknav, owner: AsyncClient, tenant: Made) -> None:
    assert "harbour-press" in await teknav("tenant", "list")
    assert json.loads(await teknav("tenant", "list", "--json")) == (await owner.get("/api/owner/tenants")).json()
    assert "called Harbour press already" in await teknav("tenant", "create", "Harbour press", code=1)
