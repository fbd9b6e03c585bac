"""What callers get while PostgreSQL or Redis is away."""

from collections.abc import AsyncGenerator

import msgspec
import pytest
from httpx2 import ASGITransport, AsyncClient

from app.core.settings import Settings
from app.main import create_app

NOBODY = {
    "database_url": "postgresql://teknav_app@127.0.0.1:1/teknav",
    "platform_database_url": "postgresql://teknav_control@127.0.0.1:1/teknav",
    "redis_url": "redis://127.0.0.1:1/0",
}


@pytest.fixture
async def cut_off(settings: Settings) -> AsyncGenerator[AsyncClient, None]:
    """The application, running, with nobody behind it."""
    app = create_app(msgspec.structs.replace(settings, **NOBODY))
    transport = ASGITransport(app=app, raise_app_exceptions=False)  # type: ignore[arg-type]
    async with AsyncClient(transport=transport, base_url="http://testserver") as client:
        yield client
    await app.state.process.close()


async def test_it_is_alive_and_says_which_parts_are_missing(cut_off: AsyncClient) -> None:
    assert (await cut_off.get("/health")).status_code == 200
    answer = await cut_off.get("/health/ready")
    assert answer.status_code == 503
    assert {part["part"] for part in answer.json()["parts"] if not part["ok"]} == {"database", "redis"}


async def test_a_request_is_told_to_come_back(cut_off: AsyncClient) -> None:
    answer = await cut_off.get("/api/v1/articles", headers={"Authorization": "Bearer tn_x"})
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.headers["retry-after"] == "2"


async def test_a_browser_gets_a_page(cut_off: AsyncClient) -> None:
    answer = await cut_off.get("/dashboard/owner", headers={"Cookie": "teknav_session=x", "Accept": "text/html"})
    assert answer.status_code == 503
    assert "not available" in answer.text


async def test_all_parts_are_there_with_a_worker(settings: Settings, client: AsyncClient, admin: object) -> None:
    missing = await client.get("/health/ready")
    assert missing.status_code == 503
    assert [part["part"] for part in missing.json()["parts"] if not part["ok"]] == ["worker"]
    await admin.execute(  # type: ignore[attr-defined]
        "INSERT INTO worker (id, host, pid, version, queues, jobs) VALUES (gen_random_uuid(), 'here', 1, '0', '[]', 0)"
    )
    answer = await client.get("/health/ready")
    assert answer.status_code == 200
    assert answer.json()["ready"] is True
