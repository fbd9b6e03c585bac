"""`Idempotency-Key`: the second POST gets the first one's answer."""

import asyncio

import asyncpg
from httpx2 import AsyncClient

BODY = {"name": "Once Press"}


async def tenants(owner: AsyncClient) -> list[str]:
    return [item["name"] for item in (await owner.get("/api/owner/tenants")).json()["items"]]


async def test_a_repeat_gets_the_first_answer_and_changes_nothing(owner: AsyncClient) -> None:
    first = await owner.post("/api/owner/tenants", json=BODY, headers={"Idempotency-Key": "a-1"})
    again = await owner.post("/api/owner/tenants", json=BODY, headers={"Idempotency-Key": "a-1"})
    assert first.status_code == again.status_code == 201
    assert first.json() == again.json()
    assert first.headers["location"] == again.headers["location"]
    assert first.headers["etag"] == again.headers["etag"]
    assert again.headers["idempotency-replayed"] == "true"
    assert await tenants(owner) == ["Once Press"]


async def test_another_body_under_the_same_key_is_refused(owner: AsyncClient) -> None:
    await owner.post("/api/owner/tenants", json=BODY, headers={"Idempotency-Key": "a-2"})
    other = await owner.post("/api/owner/tenants", json={"name": "Other"}, headers={"Idempotency-Key": "a-2"})
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert await tenants(owner) == ["Once Press"]


async def test_a_request_that_failed_leaves_its_key_free(owner: AsyncClient) -> None:
    bad = await owner.post("/api/owner/tenants", json={"name": ""}, headers={"Idempotency-Key": "a-3"})
    assert 400 <= bad.status_code < 500
    good = await owner.post("/api/owner/tenants", json=BODY, headers={"Idempotency-Key": "a-3"})
    assert good.status_code == 201


async def test_of_two_at_once_only_one_runs(owner: AsyncClient) -> None:
    calls = [owner.post("/api/owner/tenants", json=BODY, headers={"Idempotency-Key": "a-4"}) for _ in range(6)]
    answers = await asyncio.gather(*calls)
    codes = [answer.status_code for answer in answers]
    assert 201 in codes
    assert set(codes) <= {201, 409}
    assert await tenants(owner) == ["Once Press"]


async def test_a_secret_is_not_kept_and_not_shown_twice(owner: AsyncClient) -> None:
    tenant = (await owner.post("/api/owner/tenants", json=BODY)).json()["id"]
    body = {"name": "app", "scopes": ["articles:read"]}
    address = f"/api/owner/tenants/{tenant}/tokens"
    first = await owner.post(address, json=body, headers={"Idempotency-Key": "a-5"})
    assert first.status_code == 201
    again = await owner.post(address, json=body, headers={"Idempotency-Key": "a-5"})
    assert (again.status_code, again.json()["code"]) == (409, "secret_already_shown")
    assert again.headers["location"] == first.headers["location"]


async def test_a_page_that_left_a_row_in_the_access_log_is_not_kept_and_not_shown_twice(
    owner: AsyncClient, admin: asyncpg.Connection
) -> None:
    """From what is kept it would be shown without one."""
    tenant = (await owner.post("/api/owner/tenants", json=BODY)).json()["id"]
    form, once = {"name": "app", "scopes": "articles:read"}, {"Idempotency-Key": "a-6", "HX-Request": "true"}
    address = f"/dashboard/owner/tenants/{tenant}/tokens"
    first = await owner.post(address, data=form, headers=once)
    assert first.status_code == 200, first.text
    assert await admin.fetchval("SELECT answer FROM idempotency_key WHERE key = 'a-6'") is None
    again = await owner.post(address, data=form, headers=once)
    assert again.status_code == 409
