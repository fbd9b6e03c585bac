"""API clients: `/api/owner/tenants/{id}/clients`, their page, and JWTs by `/api/v1/oauth/token`."""

from base64 import b64encode
from datetime import timedelta
from typing import Any

import asyncpg
import jwt
import pytest
from httpx2 import AsyncClient, Response
from litestar import Litestar

from app.core.jwt import Claims, Jwts
from app.modules.bearers.service import AUDIENCE
from tests.conftest import Made
from tests.modules.tokens.test_tokens import holding

TOKEN = "/api/v1/oauth/token"
MINE = {"name": "Importer", "scopes": ["articles:read", "articles:write"]}
HTMX = {"HX-Request": "true"}


def path(tenant: Made) -> str:
    return f"/api/owner/tenants/{tenant.id}/clients"


async def make(owner: AsyncClient, tenant: Made, **more: Any) -> dict[str, Any]:
    made = await owner.post(path(tenant), json=MINE | more)
    assert made.status_code == 201, made.text
    body: dict[str, Any] = made.json()
    return body


async def exchange(client: AsyncClient, made: dict[str, Any], **more: str) -> Response:
    form = {"grant_type": "client_credentials", "client_id": made["id"], "client_secret": made["clientSecret"]}
    return await client.post(TOKEN, data=form | more)


async def answers(app: Litestar, bearer: str) -> tuple[int, str]:
    async with holding(app, bearer) as program:
        answer = await program.get("/api/v1/articles")
    return answer.status_code, answer.json().get("code", "")


@pytest.mark.promise("S0-56", "S4-17", "S4-64", "S4-75")
async def test_a_clients_id_and_secret_buy_a_jwt_for_seven_days(
    app: Litestar, owner: AsyncClient, client: AsyncClient, tenant: Made, admin: asyncpg.Connection
) -> None:
    made = await make(owner, tenant)
    answer = await exchange(client, made)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    granted = answer.json()
    assert (granted["token_type"], granted["expires_in"]) == ("Bearer", 7 * 86400)
    assert granted["scope"] == "articles:read articles:write"
    said = jwt.decode(granted["access_token"], options={"verify_signature": False})
    assert (said["iss"], said["aud"], said["sub"]) == ("teknav", AUDIENCE, made["id"])
    assert said["exp"] - said["iat"] == 7 * 86400
    assert await answers(app, granted["access_token"]) == (200, "")
    row = await admin.fetchrow("SELECT * FROM audit_log WHERE action = 'client.jwt.issue'")
    assert (row["tenant_id"], str(row["actor_id"]), row["outcome"]) == (tenant.id, made["id"], "success")
    everything = str([await admin.fetch("SELECT * FROM audit_log"), await admin.fetch("SELECT * FROM api_client")])
    assert made["clientSecret"] not in everything and granted["access_token"] not in everything
    shown = (await owner.get(f"{path(tenant)}/{made['id']}")).json()
    assert shown["lastUsedAt"] is not None and "clientSecret" not in shown


async def test_libraries_may_send_both_in_http_basic(owner: AsyncClient, client: AsyncClient, tenant: Made) -> None:
    made = await make(owner, tenant)
    both = b64encode(f"{made['id']}:{made['clientSecret']}".encode()).decode()
    form = {"grant_type": "client_credentials", "scope": "articles:read", "resource": "passed over"}
    answer = await client.post(TOKEN, data=form, headers={"Authorization": f"Basic {both}"})
    assert (answer.status_code, answer.json()["scope"]) == (200, "articles:read")


async def test_a_jwt_for_one_scope_has_no_other(
    app: Litestar, owner: AsyncClient, client: AsyncClient, tenant: Made
) -> None:
    made = await make(owner, tenant)
    bearer = (await exchange(client, made, scope="articles:read")).json()["access_token"]
    async with holding(app, bearer) as program:
        assert (await program.get("/api/v1/articles")).status_code == 200
        refused = await program.post("/api/v1/articles", json={"title": "A", "body": "b"})
    assert (refused.status_code, refused.json()["code"]) == (403, "permission_missing")


async def test_what_is_wrong_with_a_grant_is_told_in_the_words_of_the_rfc(
    owner: AsyncClient, client: AsyncClient, tenant: Made, admin: asyncpg.Connection
) -> None:
    made = await make(owner, tenant)
    for more, told in (
        ({"grant_type": "password"}, (400, "unsupported_grant_type")),
        ({"scope": "ai:run"}, (400, "invalid_scope")),
        ({"client_secret": "cs_wrong"}, (401, "invalid_client")),
        ({"client_id": made["id"][:-1] + ("0" if made["id"][-1] != "0" else "1")}, (401, "invalid_client")),
        ({"client_id": "Importer"}, (401, "invalid_client")),
    ):
        answer = await exchange(client, made, **more)
        assert (answer.status_code, answer.json()["code"]) == told
    assert (await client.post(TOKEN, data={})).status_code == 400
    assert await admin.fetchval("SELECT count(*) FROM audit_log WHERE action = 'client.jwt.issue'") == 0


async def test_a_new_epoch_refuses_every_jwt_at_once(
    app: Litestar, owner: AsyncClient, client: AsyncClient, tenant: Made
) -> None:
    made = await make(owner, tenant)
    here = f"{path(tenant)}/{made['id']}"
    before = (await exchange(client, made)).json()["access_token"]
    assert (await owner.post(f"{here}/epochs")).json()["epoch"] == 2
    assert await answers(app, before) == (401, "bad_token")
    after = (await exchange(client, made)).json()["access_token"]
    assert await answers(app, after) == (200, "")
    # A secret that is replaced without an overlap has leaked: what it bought ends too.
    rotated = (await owner.post(f"{here}/rotation", json={"overlapHours": 0})).json()
    assert await answers(app, after) == (401, "bad_token")
    assert (await exchange(client, made)).status_code == 401
    last = (await exchange(client, rotated)).json()["access_token"]
    await owner.delete(here)
    assert await answers(app, last) == (401, "bad_token")
    assert (await exchange(client, rotated)).status_code == 401


async def test_scopes_addresses_and_the_tenants_state_hold_for_jwts_that_are_out(
    app: Litestar, owner: AsyncClient, client: AsyncClient, tenant: Made
) -> None:
    made = await make(owner, tenant)
    here = f"{path(tenant)}/{made['id']}"
    bearer = (await exchange(client, made)).json()["access_token"]
    changed = await owner.patch(here, json={"scopes": ["articles:write"]})
    assert changed.status_code == 200
    assert await answers(app, bearer) == (403, "permission_missing")
    await owner.patch(here, json={"scopes": ["articles:read"], "addresses": ["203.0.113.0/24"]})
    assert await answers(app, bearer) == (403, "address_refused")
    assert (await exchange(client, made)).json()["code"] == "address_refused"
    await owner.patch(here, json={"addresses": ["127.0.0.1"]})
    assert await answers(app, bearer) == (200, "")
    await owner.patch(f"/api/owner/tenants/{tenant.id}", json={"status": "suspended"})
    assert await answers(app, bearer) == (403, "tenant_suspended")
    assert (await exchange(client, made)).json()["code"] == "tenant_suspended"


async def test_a_jwt_that_somebody_else_made_or_that_has_expired_is_refused(
    app: Litestar, owner: AsyncClient, tenant: Made
) -> None:
    made = await make(owner, tenant)
    claims = Claims(made["id"], 1)
    ours, day = "j" * 40, timedelta(days=1)
    for signer in (
        Jwts(["x" * 40], AUDIENCE, day),
        Jwts([ours], "something-else", day),
        Jwts([ours], AUDIENCE, timedelta(seconds=-5)),
    ):
        assert await answers(app, signer.sign(claims)) == (401, "bad_token")
    unsigned = jwt.encode({"sub": made["id"], "epoch": 1, "aud": AUDIENCE, "iss": "teknav"}, "", "none")
    assert await answers(app, unsigned) == (401, "bad_token")
    assert await answers(app, "a.b.c") == (401, "bad_token")
    assert await answers(app, Jwts([ours], AUDIENCE, day).sign(claims)) == (200, "")


def test_secrets_can_be_replaced_without_a_gap() -> None:
    old, new = "o" * 40, "n" * 40
    day = timedelta(days=1)
    before = Jwts([old], AUDIENCE, day).sign(Claims("me", 1))
    both = Jwts([new, old], AUDIENCE, day)
    assert both.verify(before) == Claims("me", 1)
    assert Jwts([new], AUDIENCE, day).verify(both.sign(Claims("me", 2))) == Claims("me", 2)


async def test_the_page_makes_rotates_and_ends(owner: AsyncClient, client: AsyncClient, tenant: Made) -> None:
    page = f"/dashboard/owner/tenants/{tenant.id}/clients"
    assert "No clients yet" in (await owner.get(page)).text
    form = {"name": "Importer", "scopes": "articles:read", "addresses": "127.0.0.1\n10.0.0.0/8", "plan": "plus"}
    made = await owner.post(page, data=form, headers=HTMX)
    assert made.status_code == 200 and "cs_" in made.text
    (row,) = (await owner.get(path(tenant))).json()["items"]
    assert (row["addresses"], row["plan"], row["id"] in made.text) == (["10.0.0.0/8", "127.0.0.1/32"], "plus", True)
    shown = (await owner.get(f"{page}/{row['id']}")).text
    assert "End all JWTs" in shown and "10.0.0.0/8" in shown
    ended = await owner.post(f"{page}/{row['id']}/epochs", headers=HTMX)
    assert "refused from now on" in ended.headers["hx-trigger"]
    rotated = await owner.post(f"{page}/{row['id']}/rotation", data={"overlapHours": "1"}, headers=HTMX)
    assert rotated.status_code == 200 and "cs_" in rotated.text
    assert (await owner.post(f"{page}/revocations", data={"ids": row["id"]}, headers=HTMX)).status_code == 200
    assert (await owner.get(f"{path(tenant)}?state=active")).json()["items"] == []
