"""What callers of the API meet at the door: who is counted by what, and what the answers say."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
import msgspec
import pytest
from httpx2 import ASGITransport, AsyncClient
from litestar import Litestar
from litestar.routes import HTTPRoute

from app.core import limits
from app.core.ids import new_id
from app.core.limits import PLANS, Window
from app.core.settings import Settings
from app.main import create_app
from app.modules.identity.service import FAILURES_PER_ACCOUNT
from tests.conftest import ORIGIN, OWNER_EMAIL, OWNER_PASSWORD, TenantClient

OWNERS = "/api/owner/tenants"
ARTICLES = "/api/v1/articles"
Limited = Callable[..., Awaitable[AsyncClient]]


@pytest.fixture
async def limited(app: Litestar, settings: Settings) -> AsyncGenerator[Limited, None]:
    """Makes clients of an application that counts calls; each has processes of its own, and the same Redis."""
    async with AsyncExitStack() as stack:

        async def make(headers: Any = None, address: str = "192.0.2.7", **changes: object) -> AsyncClient:
            made = create_app(msgspec.structs.replace(settings, enable_rate_limit=True, **changes))  # type: ignore[arg-type]
            stack.push_async_callback(made.state.process.close)
            transport = ASGITransport(app=made, client=(address, 1), raise_app_exceptions=False)  # type: ignore[arg-type]
            return await stack.enter_async_context(AsyncClient(transport=transport, base_url=ORIGIN, headers=headers))

        yield make


def told(answer: Any) -> tuple[int, int, int]:
    names = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
    limit, remaining, reset = (int(answer.headers[name]) for name in names)
    return limit, remaining, reset


@pytest.mark.promise("S4-43", "S4-45")
async def test_the_owners_api_is_open_sixty_times_a_minute_to_an_address(limited: Limited, owner: AsyncClient) -> None:
    one, two = await limited(), await limited(owner.headers)
    two.cookies = owner.cookies
    for left in range(59, -1, -1):
        answer = await (one, two)[left % 2].get(OWNERS)
        assert answer.status_code == (401, 200)[left % 2]
        assert told(answer)[:2] == (60, left)
        assert 1 <= told(answer)[2] <= 60
    for client in (one, two):
        for path in (OWNERS, "/api//owner/tenants/", "/api/owner/nothing"):
            refused = await client.get(path, headers={"X-Forwarded-For": "198.51.100.9"})
            assert refused.status_code == 429, path
            assert refused.headers["content-type"] == "application/problem+json"
            assert refused.json()["code"] == "rate_limited"
            assert refused.json()["requestId"] == refused.headers["x-request-id"]
            assert told(refused)[:2] == (60, 0)
            assert 1 <= int(refused.headers["retry-after"]) <= told(refused)[2] <= 60
    elsewhere = await limited(address="192.0.2.8")
    assert told(await elsewhere.get(OWNERS))[1] == 59
    for path in ("/health", "/signin", "/static/none", "/dashboard/owner"):
        answer = await two.get(path)
        assert answer.status_code in (200, 303, 404)
        assert "x-ratelimit-limit" not in answer.headers
    assert (await two.request("OPTIONS", OWNERS)).status_code == 204


async def test_the_address_is_the_one_that_trusted_proxies_name(limited: Limited) -> None:
    client = await limited(address="10.0.0.1", trusted_proxies=("10.0.0.0/8",), rate_limit_max=2)
    seen = ["198.51.100.1", "198.51.100.2", "6.6.6.6, 198.51.100.1", "7.7.7.7, 198.51.100.1", "::ffff:198.51.100.1"]
    statuses = [(await client.get(OWNERS, headers={"X-Forwarded-For": each})).status_code for each in seen]
    assert statuses == [401, 401, 401, 429, 429]
    # Of version 6 a customer has a whole network.
    seen = ["2001:db8:1:2::1", "2001:db8:1:2:ffff::2", "2001:db8:1:2:3:4:5:6", "2001:db8:1:3::1"]
    statuses = [(await client.get(OWNERS, headers={"X-Forwarded-For": each})).status_code for each in seen]
    assert statuses == [401, 401, 429, 401]


@pytest.mark.promise("S0-10", "S4-45")
async def test_a_token_has_its_plans_minutes_and_hours_wherever_it_calls_from(
    limited: Limited, tenant_client: TenantClient, admin: asyncpg.Connection
) -> None:
    app, other = await tenant_client(), await tenant_client()
    article = (await app.post(ARTICLES, json={"title": "T", "body": "One sentence of text."})).json()["id"]
    here, there = await limited(app.headers), await limited(app.headers, "203.0.113.5")
    assert told(await here.get(ARTICLES))[:2] == (100, 99)
    assert told(await there.post(f"{ARTICLES}/{article}/summaries"))[:2] == (100, 94), "a summary is five"
    assert told(await here.get(f"{ARTICLES}/{new_id()}"))[:2] == (100, 93), "a missing thing is a call too"
    for _ in range(93):
        await here.get(ARTICLES)
    rows = "SELECT count(*) FROM audit_log"
    before = await admin.fetchval(rows)
    for refused in (await there.get(ARTICLES), await here.post(ARTICLES, json={"title": "T", "body": "b"})):
        assert refused.status_code == 429
        assert told(refused)[:2] == (100, 0)
        assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert await admin.fetchval(rows) == before, "a flood must not fill the audit log"
    assert told(await (await limited(other.headers)).get(ARTICLES))[1] == 99


async def test_unknown_callers_are_counted_by_address_and_then_shut_out_before_anything_is_looked_up(
    limited: Limited, tenant_client: TenantClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = 30
    monkeypatch.setattr(limits, "UNKNOWN", (Window(most, 60.0),))
    good = (await tenant_client()).headers["Authorization"]
    client = await limited()
    ways: tuple[dict[str, str], ...] = ({}, {"Authorization": "Bearer tn_wrong"}, {"Cookie": "teknav_session=none"})
    for number in range(most):
        path = ("/api/v1/articles", "/api/openapi.json", "/api/nothing")[number % 3]
        answer = await client.get(path, headers=ways[number // 3 % 3])
        assert told(answer)[:2] == (most, most - number - 1), (number, answer.text)
    assert (await client.get(ARTICLES)).status_code == 429
    for headers in ({"Authorization": "Bearer tn_wrong"}, {"Authorization": good}):
        assert (await client.get(ARTICLES, headers=headers)).status_code == 429
    assert (await (await limited({"Authorization": good}, "192.0.2.99")).get(ARTICLES)).status_code == 200


@pytest.mark.promise("S4-44")
async def test_without_redis_the_api_stays_open_and_bounded(limited: Limited, tenant_client: TenantClient) -> None:
    token = (await tenant_client()).headers
    client = await limited(token, redis_url="redis://127.0.0.1:1/0", rate_limit_max=3)
    assert told(await client.get(ARTICLES))[:2] == (100, 99)
    assert (await client.get(ARTICLES)).status_code == 200
    assert [(await client.get(OWNERS)).status_code for _ in range(4)] == [403, 403, 403, 429]


async def test_without_redis_guessing_stays_closed_in_all_processes(limited: Limited, owner: AsyncClient) -> None:
    """Passwords are counted in PostgreSQL: a Redis that is gone opens nothing."""
    places = [await limited({"Origin": ORIGIN}, redis_url="redis://127.0.0.1:1/0") for _ in range(2)]
    form = {"email": OWNER_EMAIL, "password": "not the password"}
    told = [(await places[n % 2].post("/signin", data=form)).status_code for n in range(FAILURES_PER_ACCOUNT + 1)]
    assert told == [401] * FAILURES_PER_ACCOUNT + [429]
    right = form | {"password": OWNER_PASSWORD}
    assert [(await place.post("/signin", data=right)).status_code for place in places] == [429, 429]


def test_no_route_costs_more_than_the_smallest_plan_has(app: Litestar) -> None:
    smallest = min(window.most for windows in PLANS.values() for window in windows)
    costs = {
        handler.opt["cost"]
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        if "cost" in handler.opt
    }
    assert costs and all(1 < cost <= smallest for cost in costs)
