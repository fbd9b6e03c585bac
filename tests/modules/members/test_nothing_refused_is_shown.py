"""What a person may not do, the page does not show: every control of every page is one that the server would take."""

import re
from collections.abc import Awaitable, Callable
from html.parser import HTMLParser

import pytest
from httpx2 import AsyncClient
from litestar import Litestar
from litestar.routes import HTTPRoute

from app import registry
from app.core import roles as built_in
from app.core.database import Database, Plane, Scope
from app.core.policy import PUBLIC, SIGNED_IN, Actor, Permission
from app.modules.articles.schemas import ArticleCreate
from app.modules.articles.service import ArticleService
from tests.conftest import Made

Person = Callable[..., Awaitable[AsyncClient]]
Ways = list[tuple[re.Pattern[str], HTTPRoute]]
KINDS = {"uuid": "[0-9a-f-]{36}"}
ASKS = {"href": "GET", "hx-get": "GET", "hx-post": "POST", "action": "POST"}


class Controls(HTMLParser):
    """What can be pressed on a page: (method, path)."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[tuple[str, str]] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        for name, method in ASKS.items():
            address = (given.get(name) or "").partition("?")[0].partition("#")[0]
            if address.startswith("/") and not address.startswith("/static/"):
                if tag == "form" and name == "action":
                    method = (given.get("method") or "get").upper()
                self.found.add((method, address))


@pytest.fixture(scope="session")
def ways(running_app: Litestar) -> Ways:
    """Every route, behind the pattern of its addresses."""
    return [
        (re.compile(re.sub(r"\{\w+:(\w+)\}", lambda kind: KINDS.get(kind[1], "[^/]+"), route.path)), route)
        for route in running_app.routes
        if isinstance(route, HTTPRoute)
    ]


def asked(ways: Ways, method: str, path: str) -> Permission | None:
    """The permission of the route that this address leads to, None where there is no such route."""
    for pattern, route in ways:
        if pattern.fullmatch(path.rstrip("/") or "/"):
            for handler in route.route_handlers:
                if method in handler.http_methods:
                    permission: Permission = handler.opt["permission"]
                    return permission
    return None


@pytest.mark.parametrize("role", ["owner", "author", "auditor", "operator"])
async def test_a_member_is_shown_nothing_that_would_be_refused(
    ways: Ways,
    member: Person,
    owner: AsyncClient,
    tenant: Made,
    database: Database,
    operator: Actor,
    role: str,
) -> None:
    await member("chief@example.org", "owner")
    someone = await member("someone@example.org", role)
    async with database.transaction(Scope(Plane.TENANT, tenant.id)) as session:
        await ArticleService(session, operator).create(ArticleCreate(title="Tides", body="Words."))
    held = built_in.of_tenant(registry.permissions(), role)
    seen, waiting = set(), {f"/dashboard/t/{tenant.slug}"}
    pressed = 0
    while waiting:
        path = waiting.pop()
        seen.add(path)
        for headers in ({}, {"HX-Request": "true"}):
            answer = await someone.get(path, headers=headers)
            assert answer.status_code == 200, (path, answer.status_code)
            page = Controls()
            page.feed(answer.text)
            for method, address in page.found:
                permission = asked(ways, method, address)
                assert permission is not None, f"{path} leads to {method} {address}, which is nowhere"
                allowed = permission in (PUBLIC, SIGNED_IN) or permission.name in held
                assert allowed, f"{path} shows {method} {address}, which needs {permission.name}"
                pressed += 1
                if method == "GET" and address.startswith("/dashboard/t/") and address not in seen:
                    waiting.add(address)
    assert len(seen) >= 4 and pressed > 20, seen
