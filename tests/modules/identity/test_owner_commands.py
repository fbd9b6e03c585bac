"""`teknav owner`: the same rules as the pages."""

from httpx2 import AsyncClient

from tests.conftest import OWNER_EMAIL, OWNER_PASSWORD
from tests.modules.conftest import Teknav

ORIGIN = {"Origin": "http://testserver"}


async def test_a_forgotten_password_is_replaced_and_every_session_ends(
    teknav: Teknav, owner: AsyncClient, client: AsyncClient
) -> None:
    assert "no account" in await teknav(
        "owner", "password", "--email", "x@example.org", "--password-stdin", input="p" * 12, code=1
    )
    assert "12 to" in await teknav(
        "owner", "password", "--email", OWNER_EMAIL, "--password-stdin", input="short", code=1
    )
    await teknav("owner", "password", "--email", OWNER_EMAIL.upper(), "--password-stdin", input="another password")
    assert (await owner.get("/api/owner/tenants")).status_code == 401
    for password, status in ((OWNER_PASSWORD, 401), ("another password", 303)):
        form = {"email": OWNER_EMAIL, "password": password}
        assert (await client.post("/signin", data=form, headers=ORIGIN)).status_code == status
