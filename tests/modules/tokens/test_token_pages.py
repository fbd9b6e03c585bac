"""The pages of API tokens."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest
from httpx2 import AsyncClient

from app.core.ids import new_id

HTMX = {"HX-Request": "true"}


def path(tenant: Any) -> str:
    return f"/dashboard/owner/tenants/{tenant.id}/tokens"


async def make(owner: AsyncClient, where: str, **more: Any) -> str:
    form = {"name": "Website", "scopes": "articles:read", "workspaceId": "", "expiresInDays": "90"} | more
    answer = await owner.post(where, data=form, headers=HTMX)
    assert answer.status_code == 200, answer.text
    found = re.search(r"tn_[\w-]{43}", answer.text)
    assert found is not None
    return found[0]


async def test_the_form_offers_what_a_tenants_token_may_do(owner: AsyncClient, tenant: Any) -> None:
    page = (await owner.get(path(tenant))).text
    assert "No tokens yet" in page
    assert 'value="articles:write"' in page and "Write articles, and delete what readers do not see" in page
    assert 'value="tenants:write"' not in page
    assert ">Main</option>" in page
    platform = (await owner.get("/dashboard/owner/tokens")).text
    assert 'value="tenants:write"' in platform


async def test_the_secret_is_shown_in_the_answer_and_never_again(
    owner: AsyncClient, tenant: Any, client: AsyncClient
) -> None:
    secret = await make(owner, path(tenant))
    page = (await owner.get(path(tenant))).text
    assert secret[:8] in page and secret not in page
    answer = await client.get("/api/v1/articles", headers={"Authorization": f"Bearer {secret}"})
    assert answer.status_code == 200


async def test_several_scopes_a_workspace_and_no_end(
    owner: AsyncClient, tenant: Any, admin: asyncpg.Connection
) -> None:
    workspace = await admin.fetchval("SELECT id FROM workspace WHERE tenant_id = $1", tenant.id)
    scopes = ["articles:read", "articles:write"]
    await make(owner, path(tenant), scopes=scopes, workspaceId=str(workspace), expiresInDays="")
    row = await admin.fetchrow("SELECT * FROM api_token")
    assert (row["scopes"], row["workspace_id"], row["expires_at"]) == (
        '["articles:read", "articles:write"]',
        workspace,
        None,
    )


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"scopes": []}, "scopes"),
        ({"scopes": "tenants:write"}, "scopes"),
        ({"workspaceId": "x"}, "workspaceId"),
        ({"workspaceId": str(new_id())}, "workspaceId"),
        ({"expiresInDays": "soon"}, "expiresInDays"),
        ({"expiresInDays": "0"}, "expiresInDays"),
    ],
)
async def test_a_bad_field_is_marked(
    owner: AsyncClient, tenant: Any, admin: asyncpg.Connection, change: dict[str, Any], field: str
) -> None:
    form = {"name": "Website", "scopes": "articles:read", "workspaceId": "", "expiresInDays": "90"} | change
    answer = await owner.post(path(tenant), data=form, headers=HTMX)
    assert answer.status_code == 422, answer.text
    assert f'data-field="{field}"' in answer.text
    assert await admin.fetchval("SELECT count(*) FROM api_token") == 0


async def test_revoking_answers_with_the_list(owner: AsyncClient, tenant: Any, admin: asyncpg.Connection) -> None:
    await make(owner, path(tenant))
    id_ = await admin.fetchval("SELECT id FROM api_token")
    assert "/revocation" in (await owner.get(path(tenant))).text
    answer = await owner.post(f"{path(tenant)}/{id_}/revocation", headers=HTMX)
    assert answer.text.lstrip().startswith('<div id="token-list"')
    assert "revoked" in answer.text and '/revocation"' not in answer.text
    assert "Website is revoked." in answer.headers["hx-trigger"]
    assert "Revoked" in (await owner.get(f"{path(tenant)}/{id_}", headers=HTMX)).text


async def test_the_ticked_are_revoked_and_none_or_too_many_are_refused(
    owner: AsyncClient, tenant: Any, admin: asyncpg.Connection
) -> None:
    await make(owner, path(tenant))
    id_ = str(await admin.fetchval("SELECT id FROM api_token"))
    for ids in ([], ["x"], [str(new_id()) for _ in range(101)]):
        refused = await owner.post(f"{path(tenant)}/revocations", data={"ids": ids}, headers=HTMX)
        assert refused.status_code == 422 and 'data-field="ids"' in refused.text, refused.text
    answer = await owner.post(f"{path(tenant)}/revocations", data={"ids": id_}, headers=HTMX)
    assert "1 token is revoked." in answer.headers["hx-trigger"]


async def test_a_token_is_on_its_own_tenants_page_alone(
    owner: AsyncClient, tenant: Any, make_tenant: Callable[[str], Awaitable[Any]], admin: asyncpg.Connection
) -> None:
    other = await make_tenant("Other")
    await make(owner, path(other))
    id_ = await admin.fetchval("SELECT id FROM api_token")
    assert (await owner.get(f"{path(other)}/{id_}")).status_code == 200
    for where in (path(tenant), "/dashboard/owner/tokens"):
        assert (await owner.get(f"{where}/{id_}")).status_code == 404
        assert (await owner.post(f"{where}/{id_}/revocation", headers=HTMX)).status_code == 404
    assert await admin.fetchval("SELECT revoked_at FROM api_token") is None


async def test_platform_tokens_have_a_page_of_their_own(
    owner: AsyncClient, client: AsyncClient, admin: asyncpg.Connection
) -> None:
    secret = await make(owner, "/dashboard/owner/tokens", scopes="tenants:read")
    answer = await client.get("/api/owner/tenants", headers={"Authorization": f"Bearer {secret}"})
    assert answer.status_code == 200
    id_ = await admin.fetchval("SELECT id FROM api_token")
    for headers in ({}, HTMX):
        assert "Website" in (await owner.get(f"/dashboard/owner/tokens/{id_}", headers=headers)).text
