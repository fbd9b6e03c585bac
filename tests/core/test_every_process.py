"""What is taken away is gone with the next request in every process; what counts guesses cannot be led astray."""

from collections.abc import AsyncGenerator

import msgspec
import pytest
from httpx2 import ASGITransport, AsyncClient
from litestar import Litestar

from app.core.settings import Settings
from app.main import create_app
from app.modules.identity.service import FAILURES_PER_ACCOUNT
from tests.conftest import ORIGIN, OWNER_EMAIL, OWNER_PASSWORD, Made


@pytest.fixture(scope="module")
async def second(running_app: Litestar, settings: Settings) -> AsyncGenerator[Litestar, None]:
    """A second application: its own connections and memory, the same PostgreSQL and Redis."""
    app = create_app(settings)
    yield app
    await app.state.process.close()


@pytest.fixture
async def elsewhere(app: Litestar, second: Litestar) -> AsyncGenerator[AsyncClient, None]:
    """A client of the second application."""
    transport = ASGITransport(app=second, raise_app_exceptions=False)  # type: ignore[arg-type]
    async with AsyncClient(transport=transport, base_url=ORIGIN) as client:
        yield client


async def test_a_revoked_token_and_an_ended_session_are_refused_by_the_next_request_everywhere(
    owner: AsyncClient, elsewhere: AsyncClient, tenant: Made
) -> None:
    tokens = f"/api/owner/tenants/{tenant.id}/tokens"
    made = (await owner.post(tokens, json={"name": "App", "scopes": ["articles:read"]})).json()
    bearer = {"Authorization": f"Bearer {made['token']}"}
    cookie = {"Cookie": f"teknav_session={owner.cookies['teknav_session']}"}
    for _ in range(2):  # whatever the second one might remember, it has seen both
        assert (await elsewhere.get("/api/v1/articles", headers=bearer)).status_code == 200
        assert (await elsewhere.get("/api/owner/tenants", headers=cookie)).status_code == 200
    assert (await owner.delete(f"{tokens}/{made['id']}")).status_code == 204
    assert (await elsewhere.get("/api/v1/articles", headers=bearer)).status_code == 401
    assert (await owner.post("/signout")).status_code == 303
    assert (await elsewhere.get("/api/owner/tenants", headers=cookie)).status_code == 401


async def test_a_suspended_tenants_token_is_refused_by_the_next_request_everywhere(
    owner: AsyncClient, elsewhere: AsyncClient, tenant: Made
) -> None:
    made = await owner.post(f"/api/owner/tenants/{tenant.id}/tokens", json={"name": "A", "scopes": ["articles:read"]})
    bearer = {"Authorization": f"Bearer {made.json()['token']}"}
    assert (await elsewhere.get("/api/v1/articles", headers=bearer)).status_code == 200
    assert (await owner.patch(f"/api/owner/tenants/{tenant.id}", json={"status": "suspended"})).is_success
    assert (await elsewhere.get("/api/v1/articles", headers=bearer)).status_code == 403


@pytest.mark.promise("S4-64")
async def test_a_clients_jwt_ends_with_its_epoch_and_with_a_leaked_secret_by_the_next_request_everywhere(
    owner: AsyncClient, elsewhere: AsyncClient, tenant: Made
) -> None:
    here = f"/api/owner/tenants/{tenant.id}/clients"
    made = (await owner.post(here, json={"name": "App", "scopes": ["articles:read"]})).json()

    async def bearer(secret: str) -> dict[str, str]:
        grant = {"grant_type": "client_credentials", "client_id": made["id"], "client_secret": secret}
        answer = await elsewhere.post("/api/v1/oauth/token", data=grant)
        assert answer.status_code == 200, answer.text
        return {"Authorization": f"Bearer {answer.json()['access_token']}"}

    async def status(jwt: dict[str, str]) -> int:
        return (await elsewhere.get("/api/v1/articles", headers=jwt)).status_code

    first = await bearer(made["clientSecret"])
    assert await status(first) == 200
    assert (await owner.post(f"{here}/{made['id']}/epochs")).is_success
    assert await status(first) == 401
    second = await bearer(made["clientSecret"])
    rotated = await owner.post(f"{here}/{made['id']}/rotation", json={"overlapHours": 1})
    assert await status(second) == 200, "with an overlap nothing has leaked"
    both = [await bearer(secret) for secret in (made["clientSecret"], rotated.json()["clientSecret"])]
    assert [await status(jwt) for jwt in both] == [200, 200]
    leaked = await owner.post(f"{here}/{made['id']}/rotation", json={"overlapHours": 0})
    assert [await status(jwt) for jwt in (second, *both)] == [401] * 3
    assert await status(await bearer(leaked.json()["clientSecret"])) == 200


@pytest.mark.parametrize(("trusted", "status"), [("", 403), ("127.0.0.1/32", 200)])
async def test_a_tokens_addresses_are_told_by_the_configured_proxy_alone(
    owner: AsyncClient, settings: Settings, tenant: Made, trusted: str, status: int
) -> None:
    bound = {"name": "A", "scopes": ["articles:read"], "addresses": ["198.51.100.0/24"]}
    made = (await owner.post(f"/api/owner/tenants/{tenant.id}/tokens", json=bound)).json()
    behind = create_app(msgspec.structs.replace(settings, trusted_proxies=(trusted,) if trusted else ()))
    transport = ASGITransport(app=behind, raise_app_exceptions=False)  # type: ignore[arg-type]
    async with AsyncClient(transport=transport, base_url=ORIGIN) as client:
        client.headers["Authorization"] = f"Bearer {made['token']}"
        told = await client.get("/api/v1/articles", headers={"X-Forwarded-For": "198.51.100.7"})
        beside = await client.get("/api/v1/articles", headers={"X-Forwarded-For": "198.51.100.7, 203.0.113.9"})
    assert (told.status_code, beside.status_code) == (status, 403)
    await behind.state.process.close()


async def test_guessing_with_made_up_addresses_is_guessing_from_one(
    owner: AsyncClient, client: AsyncClient, elsewhere: AsyncClient
) -> None:
    form = {"email": OWNER_EMAIL, "password": "not the password"}
    told = []
    for number in range(FAILURES_PER_ACCOUNT + 1):
        address = f"198.51.100.{number}"
        claims = {"Origin": ORIGIN, "X-Forwarded-For": address, "X-Real-IP": address, "Forwarded": f"for={address}"}
        place = (client, elsewhere)[number % 2]
        told.append((await place.post("/signin", data=form, headers=claims)).status_code)
    assert told == [401] * FAILURES_PER_ACCOUNT + [429]
    right = form | {"password": OWNER_PASSWORD}
    assert (await elsewhere.post("/signin", data=right, headers={"Origin": ORIGIN})).status_code == 429
