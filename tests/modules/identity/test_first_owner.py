"""The first owner comes in by a link, once."""

import asyncio
from collections.abc import AsyncGenerator

import asyncpg
import pytest
from httpx2 import AsyncClient

from app.core.database import SYSTEM, Database
from app.core.errors import Conflict, Invalid
from app.core.policy import Actor
from app.modules.identity.service import IdentityService, OwnerLinks

EMAIL, PASSWORD = "first@example.org", "correct horse battery"
FORM = {"email": EMAIL, "password": PASSWORD, "repeat": PASSWORD}
ORIGIN = {"Origin": "http://testserver"}


async def issue(database: Database) -> str | None:
    async with database.transaction(SYSTEM) as session:
        return await OwnerLinks(session).issue()


@pytest.fixture
async def link(database: Database) -> AsyncGenerator[str, None]:
    secret = await issue(database)
    assert secret is not None
    yield f"/setup/{secret}"


async def test_the_link_makes_an_owner_and_signs_in(client: AsyncClient, link: str, database: Database) -> None:
    page = await client.get(link)
    assert page.status_code == 200
    assert 'name="repeat"' in page.text
    answer = await client.post(link, data=FORM, headers=ORIGIN)
    assert (answer.status_code, answer.headers["location"]) == (303, "/dashboard")
    assert (await client.get("/api/owner/tenants")).status_code == 200
    assert await issue(database) is None


async def test_the_link_works_once(client: AsyncClient, link: str, admin: asyncpg.Connection) -> None:
    await client.post(link, data=FORM, headers=ORIGIN)
    client.cookies.clear()
    for answer in (await client.get(link), await client.post(link, data=FORM | {"email": "b@example.org"})):
        assert answer.status_code == 410
        assert "This link no longer works" in answer.text
    assert await admin.fetchval('SELECT count(*) FROM "user"') == 1


async def test_two_links_used_at_once_make_one_owner(
    client: AsyncClient, database: Database, admin: asyncpg.Connection
) -> None:
    links = [await issue(database) for _ in range(2)]
    forms = [(secret, FORM | {"email": f"{n}@example.org"}) for n in range(3) for secret in links]
    answers = await asyncio.gather(*(client.post(f"/setup/{secret}", data=form) for secret, form in forms))
    assert sorted(answer.status_code for answer in answers) == [303, 410, 410, 410, 410, 410]
    assert await admin.fetchval('SELECT count(*) FROM "user"') == 1


async def test_an_old_or_unknown_link_says_so(client: AsyncClient, link: str, admin: asyncpg.Connection) -> None:
    lasts = await admin.fetchval("SELECT extract(epoch FROM expires_at - created_at) FROM owner_link")
    assert float(lasts) == pytest.approx(30 * 60, abs=30)
    await admin.execute("UPDATE owner_link SET expires_at = now()")
    assert (await client.get(link)).status_code == 410
    assert (await client.post(link, data=FORM)).status_code == 410
    assert (await client.get("/setup/own_nothing")).status_code == 410


async def test_the_link_is_stored_as_a_hash(link: str, admin: asyncpg.Connection) -> None:
    row = await admin.fetchrow("SELECT * FROM owner_link")
    assert link.removeprefix("/setup/") not in str(dict(row))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"email": "nobody"}, "email"),
        ({"password": "short", "repeat": "short"}, "password"),
        ({"repeat": "something else"}, "repeat"),
    ],
)
async def test_a_wrong_field_is_marked_and_the_link_stays_good(
    client: AsyncClient, link: str, admin: asyncpg.Connection, change: dict[str, str], field: str
) -> None:
    answer = await client.post(link, data=FORM | change)
    assert answer.status_code == 422
    assert f'aria-describedby="f-{field}-error" aria-invalid="true"' in answer.text.replace(f"f-{field}-help ", "")
    assert PASSWORD not in answer.text
    assert await admin.fetchval('SELECT count(*) FROM "user"') == 0
    assert (await client.post(link, data=FORM)).status_code == 303


async def test_the_setup_form_of_another_site_is_refused(client: AsyncClient, link: str) -> None:
    answer = await client.post(link, data=FORM, headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403


async def test_becoming_the_owner_is_in_the_audit_log(
    client: AsyncClient, link: str, admin: asyncpg.Connection
) -> None:
    await client.post(link, data=FORM)
    rows = await admin.fetch("SELECT action, actor_label, after FROM audit_log ORDER BY id")
    assert [(row["action"], row["actor_label"]) for row in rows] == [("owner.create", EMAIL), ("session.create", EMAIL)]
    assert rows[0]["after"] == '{"role": "owner", "email": "first@example.org"}'


async def test_an_e_mail_is_taken_whatever_its_case(database: Database, operator: Actor) -> None:
    async with database.transaction(operator.scope) as session:
        owner = await IdentityService(session, operator).create_owner("Some.One@Example.org", PASSWORD)
        assert (owner.email, owner.role) == ("some.one@example.org", "owner")
    with pytest.raises(Conflict):
        async with database.transaction(operator.scope) as session:
            await IdentityService(session, operator).create_owner("SOME.one@example.org", PASSWORD)


async def test_all_wrong_fields_are_named_at_once(database: Database, operator: Actor) -> None:
    with pytest.raises(Invalid) as caught:
        async with database.transaction(operator.scope) as session:
            await IdentityService(session, operator).create_owner("x", "y")
    assert [error.field for error in caught.value.errors] == ["email", "password"]
