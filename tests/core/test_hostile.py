"""Requests that are made to break things get an answer like any other."""

import time
from uuid import UUID

import pytest
from httpx2 import AsyncClient

from tests.conftest import TenantClient


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/api/v1/articles", "GET, OPTIONS, POST"),
        (f"/api/v1/articles/{UUID(int=7)}", "DELETE, GET, OPTIONS, PATCH"),
        ("/dashboard/owner", "GET, OPTIONS"),
        ("/signin", "GET, OPTIONS, POST"),
    ],
)
async def test_options_says_which_methods_there_are(client: AsyncClient, path: str, methods: str) -> None:
    answer = await client.request("OPTIONS", path)
    assert (answer.status_code, answer.headers["allow"]) == (204, methods)


@pytest.mark.parametrize("host", ["evil.example:abc", "evil.example:99999999", "[::1"])
@pytest.mark.parametrize("path", ["/dashboard/owner", "/nope", "/api/v1/articles"])
async def test_a_host_that_is_none_changes_nothing(client: AsyncClient, host: str, path: str) -> None:
    answer = await client.get(path, headers={"Host": host})
    assert answer.status_code in (302, 401, 404)
    assert len(answer.headers["x-request-id"]) == 36


@pytest.mark.parametrize("name", ["%00", "a" * 5000, "..%2f..%2fsettings.py"])
async def test_a_name_that_no_file_can_have_is_not_found(client: AsyncClient, name: str) -> None:
    assert (await client.get(f"/static/{name}")).status_code == 404


async def test_an_origin_that_is_none_may_not_sign_in(client: AsyncClient) -> None:
    form = {"email": "a@example.org", "password": "b"}
    assert (await client.post("/signin", data=form, headers={"Origin": "http://[::1"})).status_code == 403


@pytest.mark.parametrize("body", ["[" * 100_000, '{"a":' * 100_000, '{"title":' + "[" * 100_000])
async def test_json_that_is_nested_without_end_is_refused(tenant_client: TenantClient, body: str) -> None:
    app = await tenant_client()
    answer = await app.post("/api/v1/articles", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert (await app.get("/api/v1/articles")).json()["items"] == []


async def test_markdown_made_to_take_for_ever_is_refused(tenant_client: TenantClient) -> None:
    app = await tenant_client()
    evil = "![[](" * 50_000
    as_json = await app.post("/api/v1/articles", json={"title": "T", "body": evil})
    as_file = await app.post("/api/v1/articles?title=T", content=evil, headers={"Content-Type": "text/markdown"})
    for answer in (as_json, as_file):
        assert 400 <= answer.status_code < 500
        assert "body" in answer.text


async def test_the_same_key_with_another_query_is_another_request(tenant_client: TenantClient) -> None:
    app = await tenant_client()
    headers = {"Idempotency-Key": "q-1", "Content-Type": "text/markdown"}
    first = await app.post("/api/v1/articles?title=A", content="text", headers=headers)
    other = await app.post("/api/v1/articles?title=B", content="text", headers=headers)
    assert first.status_code == 201
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"recipient": "reader@example.org", "category": "newsletter", "subscribed": 0}, "subscribed"),
        ({"recipient": "reader@example.org", "category": "newsletter", "subscribed": "true"}, "subscribed"),
        ({"recipient": 5, "category": "newsletter", "subscribed": True}, "recipient"),
        ({"recipient": "reader@example.org", "category": "newsletter"}, "subscribed"),
        ([], "body"),
        (None, "body"),
    ],
)
async def test_json_is_taken_as_it_is_described(tenant_client: TenantClient, body: object, field: str) -> None:
    app = await tenant_client("email_preferences:read", "email_preferences:write")
    answer = await app.put("/api/v1/email-preferences", json=body)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field), answer.text
    assert (await app.get("/api/v1/email-preferences")).json()["items"] == []


async def test_a_place_that_no_text_may_hold_is_its_senders_fault(owner: AsyncClient) -> None:
    answer = await owner.get("/dashboard/t/a%00b/articles", headers={"Accept": "application/json"})
    assert answer.status_code == 422, answer.text


async def test_a_parameter_that_has_to_be_there_is_named(owner: AsyncClient) -> None:
    answer = await owner.get("/api/owner/ai/usage/parts")
    assert (answer.status_code, answer.json()["errors"]) == (422, [{"field": "by", "message": "is wanted"}])


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "application/json", "multipart/form-data"])
@pytest.mark.parametrize("door", ["/signin", "/signup", "/unsubscribe/x", "/invitations/x", "/api/v1/oauth/token"])
async def test_who_is_not_known_sends_little(client: AsyncClient, door: str, kind: str) -> None:
    answer = await client.post(door, content=b"a&" * 100_000, headers={"Content-Type": kind})
    # Unsubscribing asks for either kind of form by itself, and leaves other bodies alone.
    unread = {"application/json": 404, "multipart/form-data": 400} if door == "/unsubscribe/x" else {}
    assert answer.status_code == unread.get(kind, 413)


async def test_a_form_of_fields_without_end_is_refused_unread(owner: AsyncClient) -> None:
    started = time.process_time()
    for kind in ("application/x-www-form-urlencoded", "application/json"):
        answer = await owner.post("/account/profile", content=b"a&" * 4_500_000, headers={"Content-Type": kind})
        assert answer.status_code == 422 and "2,000 fields" in answer.text
    assert time.process_time() - started < 2


async def test_long_queries_and_cookies_are_refused_and_not_kept(client: AsyncClient) -> None:
    for path in ("/signin", "/api/v1/articles", "/health"):
        for query in ("a" * 9_000, "a&" * 300):
            assert (await client.get(f"{path}?{query}")).status_code == 431
        for cookies in ("a=" + "b" * 17_000, "a;" * 300):
            answer = await client.get(path, headers={"Cookie": cookies})
            assert answer.status_code == 431 and "cookies" in answer.text
    assert (await client.get(f"/signin?next={'a' * 4_000}", headers={"Cookie": "a=b;" * 100})).status_code == 200
