"""How errors leave: Problem Details for programs, a toast for HTMX, a page for people."""

import re
from collections.abc import Mapping
from typing import Any, get_args
from urllib.parse import urlencode

import asyncpg
import msgspec
import structlog
from litestar import MediaType, Request, Response
from litestar.exceptions import HTTPException, InternalServerException, ValidationException
from litestar.handlers import HTTPRouteHandler
from litestar.params import QueryParameter
from litestar.response import Redirect
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm.exc import StaleDataError

from app.core.choices import choices, choices_of_field
from app.core.database import is_unavailable
from app.core.direct import UNSTORABLE
from app.core.errors import (
    BadRequest,
    Conflict,
    FieldError,
    Invalid,
    NotFound,
    Problem,
    Stale,
    Unauthenticated,
    Unavailable,
)
from app.core.policy import StepUpRequired
from app.core.templating import Page, is_htmx
from app.core.wire import Outgoing

log = structlog.get_logger()
AnyRequest = Request[Any, Any, Any]
# unique_violation; foreign_key_violation: what was pointed at has gone. Other violations are our own bugs.
CLASHES = ("23505", "23503")
CODES = {400: "bad_request", 404: "not_found", 405: "method_not_allowed", 413: "body_too_large", 415: "unsupported"}
# How the framework says it: Missing required query parameter 'by' for path /api/v1/ai/usage/parts.
_NO_PARAMETER = re.compile(r"Missing required \w+ parameter '(?P<name>[^']+)'")


class ProblemDetails(Outgoing):
    """RFC 9457, with a stable `code`, the request's id, and the fields that are wrong."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[FieldError]


def wants_html(request: AnyRequest) -> bool:
    """People's addresses, and any that a browser asks for outside the API; unless a program came with its token."""
    pages = ("/dashboard", "/account", "/signin", "/signup", "/signout", "/setup", "/invitations")
    path = request.scope["path"]
    asked = not path.startswith("/api/") and "text/html" in request.headers.get("accept", "")
    return "authorization" not in request.headers and (path == "/" or path.startswith(pages) or asked)


# U+0000 in text, and in JSON.
REFUSED = ("invalid byte sequence", "unsupported Unicode escape sequence")


def problem_of(error: Exception, parameters: Mapping[str, Any] | None = None) -> Problem:
    """The problem that stands for any error that reached the edge.

    Args:
        parameters: the route's, by name, as types: what they let choose is named.
    """
    if isinstance(error, Problem):
        return error
    if isinstance(error, StaleDataError):
        return Stale()
    if isinstance(error, IntegrityError) and _sqlstate(error) in CLASHES:
        return Conflict("This clashes with something that is there already", code="already_exists")
    if isinstance(error, OSError) or is_unavailable(error):
        return Unavailable("The database is not available; try again soon", headers={"Retry-After": "2"})
    if isinstance(error, DBAPIError) and "value out of int" in str(error.orig):
        return Invalid("A number in the input is larger than any that can be there", code="number_too_large")
    # The second is what statements on asyncpg's own connection say, which do not go through SQLAlchemy.
    said = error.orig if isinstance(error, DBAPIError) else error if isinstance(error, asyncpg.PostgresError) else None
    if any(words in str(said) for words in REFUSED):
        return Invalid(UNSTORABLE, code="bad_character")
    if isinstance(error, RecursionError):
        return BadRequest("body: is nested too deeply", errors=[FieldError("body", "is nested too deeply")])
    if isinstance(error, UnicodeDecodeError):
        where = f"is not UTF-8: byte {error.start + 1} cannot be read"
        return BadRequest(f"body: {where}", code="bad_encoding", errors=[FieldError("body", where)])
    if isinstance(error, HTTPException):
        return _of_framework(error, parameters or {})
    return Problem("The server failed. The log has the details under this request id")


def _sqlstate(error: DBAPIError) -> str | None:
    return getattr(error.orig, "sqlstate", None)


def _of_framework(error: HTTPException, parameters: Mapping[str, Any]) -> Problem:
    if isinstance(error, ValidationException) and isinstance(error.extra, list):
        fields = [_field(str(e.get("key", "")), str(e.get("message", "")), parameters) for e in error.extra]
        return Invalid("; ".join(f"{f.field}: {f.message}" if f.field else f.message for f in fields), errors=fields)
    if isinstance(error, ValidationException) and (found := _NO_PARAMETER.match(error.detail)):
        return Invalid.field(found["name"], "is wanted")
    code = CODES.get(error.status_code, f"http_{error.status_code}")
    problem = Problem(error.detail or "", code=code, headers=dict(error.headers or {}))
    problem.status = error.status_code
    problem.title = NotFound.title if error.status_code == 404 else (error.detail or problem.title)
    if error.status_code == 404:
        problem.detail = NotFound.title
    return problem


def _field(key: str, message: str, parameters: Mapping[str, Any]) -> FieldError:
    """The decoder names a field that is too many or missing in its message only, and calls the body `data`."""
    if message.startswith("Invalid enum value"):
        body = choices_of_field(parameters["data"], key) if "data" in parameters else []
        may_be = choices(parameters[key]) if key in parameters else body
        message = f"must be one of {', '.join(may_be)}" if may_be else message
    if message == "'data'":  # Litestar's KeyError for a body that is not there
        return FieldError("body", "is wanted")
    if found := FieldError.of_decoder(message, "" if key == "data" else key):
        return found
    return FieldError("body" if key == "data" else _wire_name(parameters.get(key)) or key, message)


def _wire_name(parameter: Any) -> str | None:
    """How a parameter is called in the address, where its function calls it otherwise."""
    return next((told.name for told in get_args(parameter)[1:] if isinstance(told, QueryParameter)), None)


def answer(request: AnyRequest, error: Exception) -> Response[Any]:
    """Turn any error into the answer that suits who asked."""
    path: str = request.scope["path"]
    # The file system refuses some names, such as one with U+0000 or of 5,000 characters: there is no such file.
    nameless = path.startswith("/static/") and isinstance(error, (OSError, ValueError, InternalServerException))
    handler = request.scope.get("route_handler")
    parameters = handler.parsed_fn_signature.parameters if isinstance(handler, HTTPRouteHandler) else {}
    kinds = {name: field.raw for name, field in parameters.items()}
    problem = NotFound() if nameless else problem_of(error, kinds)
    request.scope["problem"] = problem  # type: ignore[typeddict-unknown-key]
    if problem.status >= 500 and not isinstance(error, Problem):
        log.error("request.failed", exc_info=error)
    headers = dict(problem.headers)
    if problem.status == 401:
        headers.setdefault("WWW-Authenticate", 'Bearer realm="TekNav"')
    body = ProblemDetails(
        type="about:blank",
        title=problem.title,
        status=problem.status,
        detail=problem.detail,
        code=problem.code,
        request_id=str(request.scope.get("request_id", "")),
        errors=problem.errors,
    )
    if wants_html(request):
        return _for_people(request, problem, body, headers)
    return Response(
        msgspec.json.encode(body), status_code=problem.status, headers=headers, media_type="application/problem+json"
    )


def _for_people(request: AnyRequest, problem: Problem, body: ProblemDetails, headers: dict[str, str]) -> Response[Any]:
    signin = "/signin"
    if isinstance(problem, Unauthenticated):
        if is_htmx(request.headers):
            return Response(b"", status_code=401, headers=headers | {"HX-Redirect": signin})
        if request.method == "GET":
            return Redirect(f"{signin}?{urlencode({'next': request.scope['path']}, safe='/')}")
    name = "errors/page.html"
    if isinstance(problem, StepUpRequired) and is_htmx(request.headers):
        # The page asks for the confirmation, and then sends the same request again.
        headers |= {"HX-Trigger": "step-up", "HX-Retarget": "#toasts", "HX-Reswap": "none", "Vary": "HX-Request"}
        return Response(b"", status_code=403, headers=headers, media_type=MediaType.HTML)
    if is_htmx(request.headers):
        name = "errors/_toast.html"
        headers |= {"HX-Retarget": "#toasts", "HX-Reswap": "beforeend", "Vary": "HX-Request"}
    return Page(
        template_name=name,
        context={"problem": msgspec.to_builtins(body)},
        status_code=problem.status,
        headers=headers,
        media_type=MediaType.HTML,
    )
