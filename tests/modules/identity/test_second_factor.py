"""A second factor beside the password, and a fresh proof before what is dangerous."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from httpx2 import AsyncClient
from pyotp import TOTP

from tests.conftest import ORIGIN, OWNER_EMAIL, OWNER_PASSWORD
from tests.modules.identity.test_mail_doors import ticket_in

FORM = {"email": OWNER_EMAIL, "password": OWNER_PASSWORD}


def code_of(secret: str, steps: int = 0) -> str:
    return TOTP(secret).generate_otp(int(datetime.now(UTC).timestamp()) // 30 + steps)


async def switch_on(owner: AsyncClient) -> tuple[str, list[str]]:
    """The app's secret, and the recovery codes. The code of the step before this one is used up."""
    begun = (await owner.post("/api/account/factor")).json()
    assert begun["uri"].startswith("otpauth://totp/TekNav:") and begun["secret"] in begun["uri"]
    answer = await owner.post("/api/account/factor/confirmation", json={"code": code_of(begun["secret"], -1)})
    assert answer.status_code == 201, answer.text
    return begun["secret"], answer.json()["recoveryCodes"]


async def ask(client: AsyncClient) -> str:
    """Sign in as far as the password goes: the ticket for the second factor."""
    page = await client.post("/signin", data=FORM, headers={"Origin": ORIGIN})
    assert page.status_code == 200 and "Second factor" in page.text and "teknav_session" not in client.cookies
    return ticket_in(page.text)


async def answer(client: AsyncClient, ticket: str, code: str) -> int:
    return (await client.post("/signin/second", data={"ticket": ticket, "code": code})).status_code


async def test_the_password_alone_no_longer_opens_the_door(
    owner: AsyncClient, client: AsyncClient, admin: asyncpg.Connection
) -> None:
    secret, recovery = await switch_on(owner)
    ticket = await ask(client)
    assert await answer(client, ticket, "000000") == 422
    code = code_of(secret)
    assert await answer(client, ticket, code) == 303
    assert (await client.get("/dashboard/owner")).status_code == 200
    client.cookies.clear()
    ticket = await ask(client)
    assert await answer(client, ticket, code) == 422, "a code that was used is not accepted again"
    assert await answer(client, ticket, recovery[0].upper().replace("-", " ")) == 303
    client.cookies.clear()
    assert await answer(client, await ask(client), recovery[0]) == 422, "nor is a recovery code"
    assert (await owner.get("/api/account")).json()["recoveryCodesLeft"] == 9
    kept = str(await admin.fetch("SELECT t::text, r::text FROM totp t, recovery_code r"))
    assert secret not in kept and all(each not in kept for each in recovery)
    log = str(await admin.fetch("SELECT before, after, action, outcome FROM audit_log"))
    assert "action='account.factor.enable' outcome='success'" in log and secret not in log and recovery[0] not in log


async def test_wrong_codes_end_the_try_and_then_lock_the_factor(
    owner: AsyncClient, client: AsyncClient, admin: asyncpg.Connection
) -> None:
    secret, _ = await switch_on(owner)
    ticket = await ask(client)
    assert [await answer(client, ticket, "000000") for _ in range(5)] == [422] * 5
    assert await answer(client, ticket, code_of(secret)) == 410
    ticket = await ask(client)
    assert [await answer(client, ticket, "000000") for _ in range(5)] == [422] * 5
    refused = await client.post("/signin/second", data={"ticket": await ask(client), "code": code_of(secret)})
    assert refused.status_code == 429 and int(refused.headers["retry-after"]) > 0
    denied = await admin.fetchval("SELECT count(*) FROM audit_log WHERE outcome = 'denied'")
    assert denied == 10


async def test_a_code_counts_once_however_many_bring_it_at_once(owner: AsyncClient, client: AsyncClient) -> None:
    secret, recovery = await switch_on(owner)
    for code in (code_of(secret), recovery[0]):
        proof = {"proof": code}
        told = await asyncio.gather(*(owner.post("/api/account/confirmation", json=proof) for _ in range(4)))
        assert sorted(each.status_code for each in told) == [204, 422, 422, 422]
    tickets = [await ask(client) for _ in range(3)]
    assert sorted(await asyncio.gather(*(answer(client, each, recovery[1]) for each in tickets))) == [303, 422, 422]


async def test_a_made_up_ticket_opens_nothing(owner: AsyncClient, client: AsyncClient) -> None:
    secret, _ = await switch_on(owner)
    right = await ask(client)
    for ticket in ("", "otp_" + "0" * 64, right[:-1] + ("x" if right[-1] != "x" else "y")):
        assert await answer(client, ticket, code_of(secret)) == 410


async def test_switching_it_on_ends_other_sessions_and_off_forgets_everything(
    owner: AsyncClient, client: AsyncClient, admin: asyncpg.Connection
) -> None:
    await client.post("/signin", data=FORM, headers={"Origin": ORIGIN})
    assert (await owner.post("/api/account/recovery-codes")).json()["code"] == "factor_off"
    wrong = await owner.post("/api/account/factor/confirmation", json={"code": "000000"})
    assert wrong.json()["code"] == "factor_not_begun"
    await switch_on(owner)
    assert (await client.get("/api/account")).status_code == 401
    assert (await owner.post("/api/account/factor")).json()["code"] == "factor_on"
    assert len((await owner.post("/api/account/recovery-codes")).json()["recoveryCodes"]) == 10
    assert (await owner.delete("/api/account/factor")).status_code == 204
    assert await admin.fetchval("SELECT count(*) FROM totp") == await admin.fetchval(
        "SELECT count(*) FROM recovery_code"
    )
    client.cookies.clear()
    assert (await client.post("/signin", data=FORM, headers={"Origin": ORIGIN})).status_code == 303


@pytest.mark.parametrize("with_code", [False, True])
async def test_a_dangerous_change_wants_a_fresh_proof(
    owner: AsyncClient, admin: asyncpg.Connection, with_code: bool
) -> None:
    secret, recovery = await switch_on(owner) if with_code else ("", [])
    made = (await owner.post("/api/owner/users", json={"email": "x@example.org", "name": "X"})).json()
    ban = f"/api/owner/users/{made['id']}/ban"
    await admin.execute("UPDATE session SET confirmed_at = now() - interval '11 minutes'")
    refused = await owner.put(ban, json={})
    assert (refused.status_code, refused.json()["code"]) == (403, "step_up_required")
    page = await owner.post(f"/dashboard/owner/users/{made['id']}/ban", headers={"HX-Request": "true"})
    assert (page.status_code, page.headers["hx-trigger"]) == (403, "step-up")
    # Who knows the password alone is not the person whose second factor stands beside it.
    for proof in ("not it", *([OWNER_PASSWORD, "000000"] if with_code else ["000000"])):
        wrong = await owner.post("/api/account/confirmation", json={"proof": proof})
        assert [error["field"] for error in wrong.json()["errors"]] == ["proof"], proof
    assert (await owner.put(ban, json={})).status_code == 403
    proof = code_of(secret) if with_code else OWNER_PASSWORD
    assert (await owner.post("/api/account/confirmation", json={"proof": proof})).status_code == 204
    assert (await owner.put(ban, json={"reason": "spam"})).json()["state"] == "banned"
    if with_code:  # the app is lost: a recovery code will do, once
        told = [(await owner.post("/api/account/confirmation", json={"proof": recovery[0]})).status_code for _ in "ab"]
        assert told == [204, 422]
    outcomes = [
        row["outcome"] for row in await admin.fetch("SELECT outcome FROM audit_log WHERE action = 'owner.user.ban'")
    ]
    assert sorted(outcomes) == ["denied", "denied", "denied", "success"]


async def test_a_program_is_not_asked_for_a_proof(owner: AsyncClient, client: AsyncClient) -> None:
    made: dict[str, Any] = (await owner.post("/api/owner/users", json={"email": "x@example.org", "name": "X"})).json()
    token = await owner.post("/api/owner/tokens", json={"name": "n", "scopes": ["users:write"]})
    client.headers["Authorization"] = f"Bearer {token.json()['token']}"
    assert (await client.put(f"/api/owner/users/{made['id']}/ban", json={})).status_code == 200
    for method, path in (("POST", "confirmation"), ("POST", "factor"), ("GET", "export"), ("GET", "sessions")):
        refused = await client.request(
            method, f"/api/account/{path}", json={"proof": "x"} if path == "confirmation" else None
        )
        assert (refused.status_code, refused.json()["code"]) == (409, "no_session"), path
