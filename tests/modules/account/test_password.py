"""A signed-in person changes the password."""

import asyncpg
import pytest
from httpx2 import AsyncClient, Response

from tests.conftest import OWNER_EMAIL, OWNER_PASSWORD
from tests.modules.identity.test_second_factor import code_of, switch_on

API, PAGE = "/api/account/password", "/account"
NEW, ORIGIN = "a quite different one", {"Origin": "http://testserver"}
HTMX = {"HX-Request": "true"}
OLD = "UPDATE session SET confirmed_at = now() - interval '11 minutes'"


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


@pytest.mark.parametrize("by", ["api", "page"])
async def test_with_a_second_factor_another_password_wants_that_one_afresh(
    owner: AsyncClient, client: AsyncClient, admin: asyncpg.Connection, by: str
) -> None:
    async def change(current: str) -> Response:
        if by == "api":
            return await owner.put(API, json={"current": current, "password": NEW})
        form = {"current": current, "password": NEW, "repeat": NEW}
        return await owner.post(f"{PAGE}/password", data=form, headers=HTMX)

    secret, _ = await switch_on(owner)
    await admin.execute(OLD)
    refused = await change(OWNER_PASSWORD)
    assert refused.status_code == 403
    if by == "api":
        assert refused.json()["code"] == "step_up_required"
        assert "/api/account/confirmation" in refused.json()["detail"]
    else:
        assert refused.headers["hx-trigger"] == "step-up", "the page asks for it in a dialog"
    counted = await admin.fetchval("SELECT sum(failures) FROM sign_in_counter")
    assert counted == 0, "nobody's password was looked at"
    assert (await owner.post("/api/account/confirmation", json={"proof": OWNER_PASSWORD})).status_code == 422
    assert (await owner.post("/api/account/confirmation", json={"proof": code_of(secret)})).status_code == 204
    assert (await change("wrong" * 3)).status_code == 422, "the present password is wanted as well"
    assert (await change(OWNER_PASSWORD)).status_code in (200, 204)
    form = {"email": OWNER_EMAIL, "password": NEW}
    assert "Second factor" in (await client.post("/signin", data=form, headers=ORIGIN)).text


async def test_without_one_the_present_password_is_the_confirmation(
    owner: AsyncClient, admin: asyncpg.Connection
) -> None:
    await admin.execute(OLD)
    assert (await owner.put(API, json={"current": OWNER_PASSWORD, "password": NEW})).status_code == 204


async def test_who_found_an_open_session_gets_no_second_factor_of_its_own_and_takes_none_away(
    owner: AsyncClient, admin: asyncpg.Connection
) -> None:
    """Else the thief's own app would confirm whatever is dangerous."""
    await admin.execute(OLD)
    wanted = [(await owner.post("/api/account/factor")), await owner.post(f"{PAGE}/factor", headers=HTMX)]
    assert (await owner.post("/api/account/confirmation", json={"proof": OWNER_PASSWORD})).status_code == 204
    secret, _ = await switch_on(owner)
    await admin.execute(OLD)
    code = {"code": code_of(secret)}
    wanted += [
        await owner.post("/api/account/factor/confirmation", json=code),
        await owner.post("/api/account/recovery-codes"),
        await owner.delete("/api/account/factor"),
        *[await owner.post(f"{PAGE}/{what}", headers=HTMX) for what in ("recovery-codes", "factor/removal")],
    ]
    assert [each.status_code for each in wanted] == [403] * len(wanted)
    assert (await owner.get("/api/account")).json()["secondFactor"] is True
    assert (await owner.post("/api/account/confirmation", json={"proof": code["code"]})).status_code == 204
    assert (await owner.delete("/api/account/factor")).status_code == 204
