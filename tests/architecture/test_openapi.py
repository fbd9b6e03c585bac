"""The API's description says what callers meet: who may call, which errors, which headers."""

import re
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from httpx2 import AsyncClient

from app.modules.exports.schemas import Format, media_type
from app.modules.media.client import KINDS
from tests.conftest import Made, TenantClient

Document = dict[str, Any]
ADDRESS = "/api/openapi.json"
# Whoever calls these has no token yet.
PUBLIC = {"/api/v1/oauth/token"}


@pytest.fixture
async def document(client: AsyncClient) -> Document:
    answer = await client.get(ADDRESS)
    assert answer.status_code == 200
    found: Document = answer.json()
    return found


def operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    for path, item in document["paths"].items():
        for method in item.keys() & {"get", "post", "put", "patch", "delete"}:
            yield method, path, item[method]


def resolved(document: Document, node: Document) -> Document:
    if "$ref" not in node:
        return node
    found = document
    for part in node["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return found


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def test_every_reference_leads_somewhere(document: Document) -> None:
    found = set(references(document))
    assert "#/components/responses/Problem404" in found
    for reference in found:
        resolved(document, {"$ref": reference})


def test_every_operation_says_in_a_sentence_what_it_does(document: Document) -> None:
    summaries = {f"{method} {path}": each["summary"] for method, path, each in operations(document)}
    bare = [name for name, text in summaries.items() if not re.fullmatch(r"[A-Z`][^.]{9,110}", text)]
    assert bare == []
    # What tenants and the platform may do alike is said alike.
    said = [(name.split("/")[1:3], text) for name, text in summaries.items()]
    assert [one for one in said if said.count(one) > 1] == [], "two operations of one API say the same"


def test_every_operation_says_who_may_call_and_what_errors_look_like(document: Document) -> None:
    for method, path, each in operations(document):
        if not path.startswith("/api/"):
            assert each["security"] == [], path
            continue
        kinds = [set(way) for way in each["security"]]
        if path in PUBLIC:
            assert kinds == [], path
            continue
        cookie = {"session"} if method == "get" else {"session", "csrf"}
        assert kinds == ([{"bearer"}, cookie] if path.startswith("/api/owner") else [{"bearer"}]), (method, path)
        assert {"401", "403", "422", "429", "500", "503"} <= each["responses"].keys(), (method, path)
        named = [one["name"] for one in each.get("parameters", ()) if one.get("name", "").endswith("Id")]
        wanted = "{" in path or "requestBody" in each or bool(named)
        assert ("404" in each["responses"]) == wanted, (method, path)
        for status, answer in each["responses"].items():
            told = resolved(document, answer)
            assert {"X-Request-Id", "X-Correlation-Id"} <= told["headers"].keys()
            assert ("X-RateLimit-Remaining" in told["headers"]) == (status < "400" or status == "429"), (path, status)
            assert status < "400" or [*told["content"]] == ["application/problem+json"]


def test_every_post_takes_an_idempotency_key(document: Document) -> None:
    for method, path, each in operations(document):
        names = {resolved(document, parameter)["name"] for parameter in each["parameters"]}
        assert ("Idempotency-Key" in names) == (method == "post" and path not in PUBLIC), (method, path)
        assert ("412" in each["responses"]) == ("If-Match" in names), (method, path)


def test_what_a_parameter_is_where_nobody_says_is_among_its_choices(document: Document) -> None:
    asked = [one for *_, operation in operations(document) for one in operation.get("parameters", ())]
    schemas = [resolved(document, one)["schema"] for one in asked]
    chosen = [one for one in schemas if "enum" in one and "default" in one]
    assert chosen
    assert [one for one in chosen if one["default"] not in one["enum"]] == []


def test_a_file_of_markdown_and_its_parameters_are_described(document: Document) -> None:
    made = document["paths"]["/api/v1/articles"]["post"]
    assert {"application/json", "text/markdown"} == made["requestBody"]["content"].keys()
    names = {parameter.get("name") for parameter in made["parameters"]}
    assert {"title", "slug", "language"} <= names


def test_files_are_described_as_what_they_are(document: Document) -> None:
    def kinds(path: str) -> set[str]:
        return {*document["paths"][path]["get"]["responses"]["200"]["content"]}

    for files in ("/api/v1/files/{file_id}", "/api/owner/tenants/{tenant_id}/files/{file_id}"):
        assert kinds(f"{files}/content") == {*KINDS}
        assert kinds(f"{files}/images/{{width}}") == {"image/webp"}
    forms = {media_type(form).partition(";")[0] for form in Format}
    assert kinds("/api/owner/exports/{export_id}/file") == forms
    assert "409" in document["paths"]["/api/owner/exports/{export_id}/file"]["get"]["responses"], "until it is made"


async def test_what_is_changed_together_is_bounded_and_the_description_says_so(
    document: Document, owner: AsyncClient
) -> None:
    bounds: dict[tuple[str, str], tuple[int, int]] = {}
    for method, path, operation in operations(document):
        for content in operation.get("requestBody", {}).get("content", {}).values():
            body = resolved(document, content["schema"])
            ids = body.get("properties", {}).get("ids")
            # `ids` of a choice by several things may be left out; every other list is the whole wish.
            if ids is not None and "ids" in body.get("required", ()):
                assert {"minItems", "maxItems"} <= ids.keys(), (method, path, ids)
                bounds[path, method] = (ids["minItems"], ids["maxItems"])
    assert len(bounds) > 10, bounds
    assert {low for low, _ in bounds.values()} == {1}
    for path, most in (("/api/owner/users/bans", 100), ("/api/owner/sessions/revocations", 100)):
        assert bounds[path, "post"] == (1, most)
        for count in (0, most + 1):
            refused = await owner.post(path, json={"ids": [str(UUID(int=n)) for n in range(count)]})
            assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "ids"), refused.text


async def test_answers_have_the_headers_and_statuses_that_are_described(
    document: Document, owner: AsyncClient, tenant: Made, tenant_client: TenantClient
) -> None:
    app = await tenant_client()
    article = await app.post("/api/v1/articles", json={"title": "T", "body": "One sentence of text."})
    workspace = await owner.post(f"/api/owner/tenants/{tenant.id}/workspaces", json={"name": "Maps"})
    task = await app.post(f"{article.headers['location']}/summaries")
    met = {
        ("post", "/api/v1/articles"): article,
        ("get", "/api/v1/articles/{article_id}"): await app.get(article.headers["location"]),
        ("post", "/api/owner/tenants/{tenant_id}/workspaces"): workspace,
        ("get", "/api/owner/tenants/{tenant_id}/workspaces/{workspace_id}"): await owner.get(
            workspace.headers["location"]
        ),
        ("post", "/api/v1/articles/{article_id}/summaries"): task,
        ("get", "/api/v1/ai/tasks/{task_id}"): await app.get(task.headers["location"]),
        ("get", "/api/owner/tenants/{tenant_id}"): await owner.get(f"/api/owner/tenants/{tenant.id}"),
        ("get", "/api/owner/schedules/{name}"): await owner.get("/api/owner/schedules/purge-expired"),
        ("get", "/api/owner/queues"): await owner.get("/api/owner/queues"),
        ("post", "/api/v1/articles/{article_id}/publication"): await app.post(
            f"{article.headers['location']}/publication", headers={"If-Match": '"99"'}
        ),
    }
    for (method, path), answer in met.items():
        described = document["paths"][path][method]["responses"]
        assert str(answer.status_code) in described, (path, answer.text)
        told = resolved(document, described[str(answer.status_code)])
        for name in ("ETag", "Location", "X-Request-Id", "X-Correlation-Id"):
            assert (name in answer.headers) == (name in told["headers"]), (method, path, name)
