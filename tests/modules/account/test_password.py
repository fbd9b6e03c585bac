"""A signed-in person changes the password."""

import asyncpg
import pytest
from httpx2 import AsyncClient

from tests.conftest import OWNER_EMAIL, OWNER_PASSWORD

API, PAGE = "/api/account/password", "/account"
NEW, ORIGIN = "a quite different one", {"Origin": "http://testserver"}


async def signs_in(client: AsyncClient, password: str) -> bool:
    form = {"email": OWNER_EMAIL, "password": password}
    return (await client.post("/signin", data=form, headers=ORIGIN)).status_code == 303


async def test_the_other_sessions_end_and_this_one_goes_on(owner: AsyncClient, client: AsyncClient) -> None:
    assert await signs_in(client, OWNER_PASSWORD)
    answer = await owner.put(API, json={"current": OWNER_PASSWORD, "password": NEW})
    assert answer.status_code == 204, answer.text
    assert (await owner.get("/api/owner/tenants")).status_code == 200
    assert (await client.get("/api/owner/tenants")).status_code == 401
    client.cookies.clear()
    assert not await signs_in(client, OWNER_PASSWORD)
    assert await signs_in(client, NEW)


async def test_the_page_does_the_same(owner: AsyncClient, client: AsyncClient) -> None:
    assert "Change the password" in (await owner.get(PAGE)).text
    form = {"current": OWNER_PASSWORD, "password": NEW, "repeat": "x" * 12}
    refused = await owner.post(f"{PAGE}/password", data=form, headers={"HX-Request": "true"})
    assert refused.status_code == 422 and "is not the same password" in refused.text
    done = await owner.post(f"{PAGE}/password", data=form | {"repeat": NEW}, headers={"HX-Request": "true"})
    assert done.status_code == 200 and "is changed" in done.headers["hx-trigger"]
    assert NEW not in done.text
    assert await signs_in(client, NEW)


@pytest.mark.parametrize(
    ("current", "password", "field"), [("wrong" * 3, NEW, "current"), (OWNER_PASSWORD, "short", "password")]
)
async def test_what_is_wrong_is_named_and_nothing_changes(
    owner: AsyncClient, client: AsyncClient, admin: asyncpg.Connection, current: str, password: str, field: str
) -> None:
    answer = await owner.put(API, json={"current": current, "password": password})
    assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (422, [field])
    assert await signs_in(client, OWNER_PASSWORD)
    row = await admin.fetchrow("SELECT outcome, before, after FROM audit_log WHERE action = 'owner.password.change'")
    assert tuple(row) == ("invalid", None, None)


async def test_the_password_cannot_be_guessed_from_a_session(owner: AsyncClient) -> None:
    for _ in range(10):
        await owner.put(API, json={"current": "wrong" * 3, "password": NEW})
    assert (await owner.put(API, json={"current": OWNER_PASSWORD, "password": NEW})).status_code == 429


async def test_a_token_has_no_password(owner: AsyncClient, client: AsyncClient) -> None:
    made = await owner.post("/api/owner/tokens", json={"name": "n", "scopes": ["tokens:write"]})
    client.headers["Authorization"] = f"Bearer {made.json()['token']}"
    answer = await client.put(API, json={"current": "x", "password": NEW})
    assert (answer.status_code, answer.json()["code"]) == (409, "no_session")
