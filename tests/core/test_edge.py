"""What every answer has, and what bad input gets."""

import asyncio
import gc
import re

import pytest
from httpx2 import AsyncClient

from tests.conftest import Made, TenantClient


@pytest.mark.parametrize("path", ["/health", "/nowhere", "/api/owner/tenants", "/signin"])
async def test_every_answer_has_its_request_id_and_the_security_headers(client: AsyncClient, path: str) -> None:
    answer = await client.get(path)
    assert len(answer.headers["x-request-id"]) == 36
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"


async def test_a_sound_request_id_is_kept_and_another_replaced(client: AsyncClient) -> None:
    kept = await client.get("/health", headers={"X-Request-ID": "order-7421-abc"})
    assert kept.headers["x-request-id"] == "order-7421-abc"
    replaced = await client.get("/health", headers={"X-Request-ID": "<script>alert(1)</script>"})
    assert "<" not in replaced.headers["x-request-id"]


async def test_a_caller_can_go_on_with_a_chain_of_its_own(client: AsyncClient) -> None:
    mine = "0192F1C4-7b1e-7c31-8000-000000000001"
    kept = await client.get("/health", headers={"X-Correlation-Id": mine})
    assert kept.headers["x-correlation-id"] == mine.lower()
    for wrong in ("", "mine", "0" * 36, "{0192f1c4-7b1e-7c31-8000-00000000000}", "<script>alert(1)</script>"):
        other = (await client.get("/health", headers={"X-Correlation-Id": wrong})).headers["x-correlation-id"]
        assert re.fullmatch("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", other)
        assert other != wrong


async def test_a_missing_address_is_a_problem_with_its_request_id(client: AsyncClient) -> None:
    answer = await client.get("/api/v1/nothing-here")
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert answer.json()["requestId"] == answer.headers["x-request-id"]
    assert answer.json()["code"] == "not_found"


async def test_a_body_over_ten_megabytes_is_refused(tenant_client: TenantClient) -> None:
    app = await tenant_client()
    body = b'{"title":"' + b"x" * (10 * 1024 * 1024) + b'"}'
    answer = await app.post("/api/v1/articles", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert (await app.get("/api/v1/articles")).json()["items"] == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"title": "T", "body": "b", "colour": "red"}, "colour"),
        ({"title": 7, "body": "b"}, "title"),
        ({"title": "", "body": "b"}, "title"),
        ({"title": "two\nlines", "body": "b"}, "title"),
        ({"body": "b"}, "title"),
    ],
)
async def test_a_wrong_field_is_named_and_nothing_is_written(
    tenant_client: TenantClient, body: dict[str, object], field: str
) -> None:
    app = await tenant_client()
    answer = await app.post("/api/v1/articles", json=body)
    assert 400 <= answer.status_code < 500
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert (await app.get("/api/v1/articles")).json()["items"] == []


async def test_a_choice_that_is_none_is_told_the_choices_in_address_and_body(
    tenant_client: TenantClient, owner: AsyncClient, tenant: Made
) -> None:
    app = await tenant_client()
    answers = [
        (await app.get("/api/v1/articles?status=nope"), "draft, review, published"),
        (await owner.get("/api/owner/tenants?status=nope"), "active, deleting, suspended"),
        (await owner.patch(f"/api/owner/tenants/{tenant.id}", json={"status": "nope"}), "active, suspended"),
    ]
    for answer, choices in answers:
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
        assert answer.json()["errors"] == [{"field": "status", "message": f"must be one of {choices}"}]


async def test_a_misspelt_filter_is_refused_and_not_ignored(tenant_client: TenantClient, owner: AsyncClient) -> None:
    app = await tenant_client()
    for answer in (
        await app.get("/api/v1/articles?statsu=draft"),
        await app.post("/api/v1/articles?statsu=draft", json={"title": "T", "body": "b"}),
        await owner.get("/api/owner/logs/audit?statsu=draft&from=2026-01-01"),
    ):
        assert (answer.status_code, answer.json()["errors"]) == (
            422,
            [{"field": "statsu", "message": "is not known here"}],
        )
    assert (await app.get("/api/v1/articles")).json()["items"] == []


async def test_an_empty_markdown_body_names_what_is_wanted(tenant_client: TenantClient) -> None:
    app = await tenant_client()
    answer = await app.post("/api/v1/articles", content=b"", headers={"Content-Type": "text/markdown"})
    assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (422, ["title"])
    titled = await app.post("/api/v1/articles?title=T", content=b"", headers={"Content-Type": "text/markdown"})
    assert titled.status_code == 201, titled.text


async def test_who_is_not_known_is_told_how_to_be(client: AsyncClient) -> None:
    for headers in ({}, {"Authorization": "Bearer tn_x"}):
        answer = await client.get("/api/v1/articles", headers=headers)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer realm="TekNav"')


async def test_a_browser_gets_a_page_where_nothing_is_and_a_program_a_problem(client: AsyncClient) -> None:
    page = await client.get("/nowhere", headers={"Accept": "text/html,*/*"})
    assert page.status_code == 404 and page.headers["content-type"].startswith("text/html")
    for path, accept in (("/nowhere", "*/*"), ("/api/v1/nowhere", "text/html")):
        answer = await client.get(path, headers={"Accept": accept})
        assert answer.headers["content-type"].startswith("application/problem+json"), path


async def test_a_cursor_of_another_list_or_made_up_is_refused(tenant_client: TenantClient) -> None:
    app = await tenant_client()
    for number in range(3):
        await app.post("/api/v1/articles", json={"title": f"Title {number}", "body": "text"})
    page = (await app.get("/api/v1/articles?limit=2")).json()
    cursor = page["nextCursor"]
    assert (await app.get(f"/api/v1/articles?limit=2&cursor={cursor}")).status_code == 200
    for wrong in (
        f"/api/v1/articles?status=draft&cursor={cursor}",
        "/api/v1/articles?cursor=abc.def",
        "/api/v1/articles?cursor=%C3%A9",
    ):
        answer = await app.get(wrong)
        assert (answer.status_code, answer.json()["code"]) == (400, "bad_cursor"), wrong


async def test_a_foreign_id_answers_exactly_as_a_missing_one(tenant_client: TenantClient, make_tenant: object) -> None:
    other: Made = await make_tenant("Other Press")  # type: ignore[operator]
    theirs = await tenant_client(of=other)
    foreign = (await theirs.post("/api/v1/articles", json={"title": "Theirs", "body": "b"})).json()["id"]
    mine = await tenant_client()
    missing = "01890000-0000-7000-8000-000000000000"
    for method in ("GET", "PATCH", "DELETE"):
        answers = []
        for article in (foreign, missing):
            answer = await mine.request(
                method, f"/api/v1/articles/{article}", json={"title": "x"} if method == "PATCH" else None
            )
            body = answer.json()
            body.pop("requestId")
            answers.append((answer.status_code, body))
        assert answers[0] == answers[1]
        assert answers[0][0] == 404


async def test_both_a_cookie_and_a_token_are_refused(owner: AsyncClient) -> None:
    answer = await owner.get("/api/owner/tenants", headers={"Authorization": "Bearer tn_x"})
    assert (answer.status_code, answer.json()["code"]) == (400, "two_credentials")


async def test_an_unsafe_request_with_a_cookie_needs_the_csrf_token(owner: AsyncClient) -> None:
    for token in (None, "wrong"):
        headers = {"X-CSRF-Token": token} if token else {}
        owner.headers.pop("x-csrf-token", None)
        answer = await owner.post("/api/owner/tenants", json={"name": "X"}, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "bad_csrf_token")
    assert (await owner.get("/api/owner/tenants")).json()["items"] == []


async def test_a_tenants_token_cannot_reach_the_owners_api(tenant_client: TenantClient) -> None:
    app = await tenant_client()
    for path in ("/api/owner/tenants", "/api/owner/queues", "/api/owner/logs/audit"):
        assert (await app.get(path)).status_code == 403


async def test_a_token_without_the_scope_is_told_which_one_it_needs(tenant_client: TenantClient) -> None:
    reader = await tenant_client("articles:read")
    answer = await reader.post("/api/v1/articles", json={"title": "T", "body": "b"})
    assert (answer.status_code, answer.json()["code"]) == (403, "permission_missing")
    assert "articles:write" in answer.json()["detail"]


async def test_json_that_is_not_utf8_is_refused_naming_the_body(owner: AsyncClient) -> None:
    answer = await owner.post(
        "/api/owner/tenants", content=b'{"name": "\xff\xfe"}', headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 400
    assert "body" in answer.text or "UTF-8" in answer.text


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/xml"])
async def test_a_body_that_says_it_is_not_json_is_not_read_as_json(tenant_client: TenantClient, kind: str) -> None:
    app = await tenant_client()
    answer = await app.post("/api/v1/articles", content='{"title":"T","body":"b"}', headers={"Content-Type": kind})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported")
    assert kind in answer.json()["detail"]
    assert (await app.get("/api/v1/articles")).json()["items"] == []


async def test_a_method_that_an_address_has_not_is_told_which_it_has(tenant_client: TenantClient) -> None:
    answer = await (await tenant_client()).put("/api/v1/articles", json={})
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert {"GET", "POST"} <= set(answer.headers["allow"].split(", "))


async def test_input_that_is_refused_leaves_no_session_behind(
    owner: AsyncClient, capfd: pytest.CaptureFixture[str]
) -> None:
    answer = await owner.get("/api/owner/queues/ai:content/jobs?state=nonsense")
    assert [error["field"] for error in answer.json()["errors"]] == ["state"]
    gc.collect()
    await asyncio.sleep(0)
    assert "asynchronous generator" not in capfd.readouterr().err
