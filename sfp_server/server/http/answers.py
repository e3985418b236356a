"""Whatever is raised becomes a problem (RFC 9457)."""

import logging
import re
from http import HTTPStatus
from typing import Any, TypeAlias

from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.types import ExceptionHandlersMap

from sfp_server.errors import UsageError
from sfp_server.server import problems
from sfp_server.server.db import Unavailable
from sfp_server.server.http.asgi import PROBLEM_JSON, request_id
from sfp_server.server.problems import Problem

AnyRequest: TypeAlias = "Request[Any, Any, Any]"

_LOG = logging.getLogger("sfp.request")
_BY_STATUS = {
    404: ("not-found", "there is nothing at this address"),
    405: ("method-not-allowed", "the field Allow says which methods this address knows"),
    413: ("body-too-large", "the body is larger than this address takes"),
}


def handlers() -> ExceptionHandlersMap:
    """How each kind of exception is answered."""
    return {
        Problem: lambda request, error: _respond(request, error),
        Unavailable: lambda request, error: _respond(request, problems.unavailable()),
        UsageError: lambda request, error: _respond(request, Problem(422, "invalid", "Not valid", error.message)),
        ValidationException: lambda request, error: _respond(request, _invalid(error)),
        RecursionError: lambda request, error: _respond(request, _too_deep()),
        HTTPException: lambda request, error: _respond(request, _from_http(error)),
        Exception: _unexpected,
    }


def _respond(request: AnyRequest, problem: Problem) -> Response[dict[str, object]]:
    body = problem.document(request_id(request.scope))
    return Response(body, status_code=problem.status, headers=problem.headers, media_type=PROBLEM_JSON)


def _unexpected(request: AnyRequest, error: Exception) -> Response[dict[str, object]]:
    fields = {"request_id": request_id(request.scope), "path": request.scope["path"]}
    _LOG.error("failed", exc_info=error, extra={"fields": fields})
    return _respond(request, problems.internal())


def _from_http(error: HTTPException) -> Problem:
    status = error.status_code
    if status >= 500:
        return problems.internal()
    slug, detail = _BY_STATUS.get(status, ("bad-request", error.detail))
    return Problem(status, slug, HTTPStatus(status).phrase, detail, headers=error.headers)


def _too_deep() -> Problem:
    return Problem(400, "bad-request", "Bad Request", "the body is nested too deep")


def _invalid(error: ValidationException) -> Problem:
    """422 where the body is well-formed and wrong, 400 where an address, a query or a header is."""
    found = [_error(entry) for entry in error.extra if isinstance(entry, dict)] if isinstance(error.extra, list) else []
    body = any("pointer" in entry for entry in found)
    first = "; ".join(f"{_place(entry)}: {entry['detail']}" for entry in found[:3])
    return Problem(422 if body else 400, "invalid", "The request is not valid", first or error.detail, found)


def _error(entry: dict[str, Any]) -> dict[str, str]:
    detail, key = str(entry.get("message", "")), str(entry.get("key", ""))
    if str(entry.get("source")) == "body" or key == "data":
        return {"detail": detail, "pointer": _pointer(key)}
    return {"detail": detail, "parameter": key}


def _pointer(key: str) -> str:
    """`a.b[0].c` as a JSON pointer, `/a/b/0/c` (RFC 6901)."""
    if key == "data":
        return ""
    parts = re.split(r"[.\[]", key.replace("[...]", "").replace("]", ""))  # [...]: some value of a map
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)


def _place(entry: dict[str, str]) -> str:
    return entry.get("parameter") or entry.get("pointer") or "the body"
