"""The owner's browser without a browser: signs in by form, and sends the CSRF token that pages carry."""

import html
import re
from types import TracebackType
from typing import Any, Self

from httpx2 import AsyncClient

EMAIL, PASSWORD = "owner@example.org", "eleven plus one"
COOKIE = "teknav_session"


class OwnerApp:
    """The first owner of a TekNav at `address`, made with its link."""

    def __init__(self, address: str) -> None:
        self._client = AsyncClient(base_url=address, headers={"Cache-Control": "no-cache"}, timeout=20)

    async def become_owner(self, link: str) -> None:
        form = {"email": EMAIL, "password": PASSWORD, "repeat": PASSWORD}
        answer = await self._client.post(link, data=form)
        assert answer.status_code == 303, answer.text
        page = await self._client.get("/dashboard/owner")
        found = re.search(r'"X-CSRF-Token": "([^"]+)"', html.unescape(page.text))
        assert found is not None
        self._client.headers["X-CSRF-Token"] = found[1]

    @property
    def cookie(self) -> str:
        return self._client.cookies[COOKIE]

    def under(self, chain: str) -> None:
        """Ask for everything under this correlation id from now on."""
        self._client.headers["X-Correlation-Id"] = chain

    async def get(self, place: str, *, fragment: bool = False) -> Any:
        """The answer, as it is."""
        return await self._client.get(place, headers={"HX-Request": "true"} if fragment else {})

    async def post(self, place: str, body: dict[str, Any]) -> Any:
        """What a successful call to the API answers."""
        answer = await self._client.post(place, json=body)
        assert answer.is_success, answer.text
        return answer.json()

    async def patch(self, place: str, body: dict[str, Any]) -> Any:
        answer = await self._client.patch(place, json=body)
        assert answer.is_success, answer.text
        return answer.json()

    async def put(self, place: str, body: dict[str, Any]) -> Any:
        answer = await self._client.put(place, json=body)
        assert answer.is_success, answer.text
        return answer.json()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: type[BaseException] | BaseException | TracebackType | None) -> None:
        await self._client.aclose()
