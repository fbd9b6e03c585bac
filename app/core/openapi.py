"""The API's description, with what the framework cannot see: callers, errors, headers."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.routes import BaseRoute, HTTPRoute

from app.core.answers import ProblemDetails
from app.core.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    RateLimited,
    Stale,
    Unauthenticated,
    Unavailable,
    Unsupported,
)
from app.core.idempotency import KEPT, MAX_KEY
from app.core.policy import COOKIE, PUBLIC, UNSAFE, Permission, TooLong

Node = dict[str, Any]
SCHEMAS = "#/components/schemas/{name}"
TEXT: Node = {"type": "string"}
PROBLEMS = {
    "400": "The request cannot be understood: its JSON, its encoding, or its cursor",
    "401": Unauthenticated.title,
    "403": Forbidden.title,
    "404": NotFound.title,
    "409": Conflict.title,
    "412": Stale.title,
    "413": "The body is larger than 10 MB",
    "415": Unsupported.title,
    "422": Invalid.title,
    "429": RateLimited.title,
    "431": TooLong.title,
    "500": "The server failed",
    "503": Unavailable.title,
}
PARAMETERS: Node = {
    "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "description": f"A repeat with the same key gets the first answer, for {KEPT.total_seconds() / 3600:g} hours.",
        "schema": TEXT | {"minLength": 1, "maxLength": MAX_KEY},
    },
    "RequestId": {
        "name": "X-Request-Id",
        "in": "header",
        "description": "Your own id of this request, 8 to 64 of A-Z, a-z, 0-9, `.`, `_` and `-`; it comes back.",
        "schema": TEXT,
    },
    "CorrelationId": {
        "name": "X-Correlation-Id",
        "in": "header",
        "description": "A UUID under which this request and all that it causes are traced, with others that name it.",
        "schema": TEXT,
    },
}
HEADERS: Node = {
    "RequestId": {"description": "The id of this request, as in the logs and the audit log.", "schema": TEXT},
    "CorrelationId": {"description": "The id under which all that this request causes is traced.", "schema": TEXT},
    "ETag": {"description": "The version, for `If-Match`.", "schema": TEXT},
    "Location": {"description": "The address of what was made.", "schema": TEXT},
    "IdempotencyReplayed": {"description": "`true` where this answer was given before.", "schema": TEXT},
    "RateLimitLimit": {"description": "Calls in the window that has the least left.", "schema": TEXT},
    "RateLimitRemaining": {"description": "Calls that are left in it.", "schema": TEXT},
    "RateLimitReset": {"description": "Seconds until all of it is free again.", "schema": TEXT},
    "RetryAfter": {"description": "Seconds to wait.", "schema": TEXT},
    "WwwAuthenticate": {"description": 'Bearer realm="TekNav"', "schema": TEXT},
}
SECURITY: Node = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API token, `tn_…`."},
    "session": {"type": "apiKey", "in": "cookie", "name": COOKIE, "description": "The dashboard's session."},
    "csrf": {"type": "apiKey", "in": "header", "name": "X-CSRF-Token", "description": "Wanted beside the cookie."},
}
_SENTENCE = re.compile(r"(?<=[.:;])\s")


class DescriptionPlugin(JsonRenderPlugin):
    """Serves the description, completed once."""

    def __init__(self, path: str) -> None:
        super().__init__(path=path)
        self._written: bytes | None = None

    def render(self, request: Request[Any, Any, Any], openapi_schema: Node) -> bytes:
        if self._written is None:
            self._written = self.render_json(request, complete(openapi_schema, request.app.routes))
        return self._written


def complete(document: Node, routes: Sequence[BaseRoute]) -> Node:
    """Add to the description, in its place, what the routes and their guard do."""
    components = document.setdefault("components", {})
    _, shapes = msgspec.json.schema_components([ProblemDetails], ref_template=SCHEMAS)
    components.setdefault("schemas", {}).update(shapes)
    components |= {"securitySchemes": SECURITY, "parameters": PARAMETERS, "headers": HEADERS}
    components["responses"] = {f"Problem{status}": _problem(status, text) for status, text in PROBLEMS.items()}
    for route in routes:
        item = document["paths"].get(getattr(route, "path_format", ""), {})
        if not isinstance(route, HTTPRoute):
            continue
        for method, (handler, _) in route.route_handler_map.items():
            if (operation := item.get(method.lower())) is not None:
                _describe(operation, method, route, handler, components["schemas"])
    return document


def _always() -> Node:
    """The headers that every answer has."""
    return {"X-Request-Id": _ref("headers", "RequestId"), "X-Correlation-Id": _ref("headers", "CorrelationId")}


def _problem(status: str, text: str) -> Node:
    headers = _always()
    if status == "401":
        headers["WWW-Authenticate"] = _ref("headers", "WwwAuthenticate")
    if status == "429":
        headers |= _rate_limit()
    if status in ("429", "503"):
        headers["Retry-After"] = _ref("headers", "RetryAfter")
    shape = {"schema": {"$ref": SCHEMAS.format(name="ProblemDetails")}}
    return {"description": text, "headers": headers, "content": {"application/problem+json": shape}}


def _describe(operation: Node, method: str, route: HTTPRoute, handler: HTTPRouteHandler, schemas: Node) -> None:
    permission: Permission = handler.opt["permission"]
    text = " ".join(operation.get("description", "").split())
    summary = _SENTENCE.split(text, maxsplit=1)[0].rstrip(".:;")
    operation["summary"] = f"In any tenant: {summary}" if handler.opt.get("in_tenant") else summary
    parameters = operation.setdefault("parameters", [])
    parameters += [_ref("parameters", "RequestId"), _ref("parameters", "CorrelationId")]
    if sorts := handler.opt.get("sorts"):
        shape = TEXT | {"enum": sorts.choices} | ({} if sorts.ranked else {"default": sorts.default})
        parameters.append({"name": "sort", "in": "query", "description": "Downwards with `-`.", "schema": shape})
    refusals = _refusals(operation, method, route)
    answers = {status: answer for status, answer in operation["responses"].items() if status < "400"}
    for status, answer in answers.items():
        answer["headers"] = answer.get("headers", {}) | _headers(status, answer, schemas)
        if route.path.startswith("/api/"):
            answer["headers"] |= _rate_limit()
    operation["responses"] = answers
    if permission == PUBLIC:
        operation["security"] = []
        if route.path.startswith("/api/"):
            answers |= {status: _ref("responses", f"Problem{status}") for status in refusals}
        return
    operation["description"] = f"{text} Needs the permission `{permission.name}`.".strip()
    operation["security"] = [{"bearer": []}]
    if route.path.startswith("/api/owner"):
        operation["security"].append({"session": []} | ({"csrf": []} if method in UNSAFE else {}))
    if method == "POST":
        parameters.append(_ref("parameters", "IdempotencyKey"))
        for answer in answers.values():
            answer["headers"]["Idempotency-Replayed"] = _ref("headers", "IdempotencyReplayed")
    for status in refusals:
        answers[status] = _ref("responses", f"Problem{status}")


def _headers(status: str, answer: Node, schemas: Node) -> Node:
    found = _always()
    shape: dict[str, Any] = next((media.get("schema", {}) for media in answer.get("content", {}).values()), {})
    named = schemas.get(shape.get("$ref", "").rpartition("/")[2], {})
    if named.get("properties", {}).get("version", {}).get("type") == "integer":
        found["ETag"] = _ref("headers", "ETag")
    if status in ("201", "202"):
        found["Location"] = _ref("headers", "Location")
    return found


def _rate_limit() -> Node:
    return {f"X-RateLimit-{name}": _ref("headers", f"RateLimit{name}") for name in ("Limit", "Remaining", "Reset")}


def _refusals(operation: Node, method: str, route: HTTPRoute) -> list[str]:
    asked = [str(parameter.get("name")) for parameter in operation["parameters"]]
    applies = {
        # What the address, a filter or the body names may not be there.
        "404": bool(route.path_parameters) or "requestBody" in operation or any(name.endswith("Id") for name in asked),
        "409": method in UNSAFE or "409" in operation["responses"],
        "412": any(parameter.get("name") == "If-Match" for parameter in operation["parameters"]),
        "413": "requestBody" in operation,
        "415": "requestBody" in operation,
    }
    return [status for status in PROBLEMS if applies.get(status, True)]


def _ref(kind: str, name: str) -> Node:
    return {"$ref": f"#/components/{kind}/{name}"}
