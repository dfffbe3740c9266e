"""Every error as `application/problem+json` (RFC 9457), with each bad field named by its path and rule."""

from __future__ import annotations

import http
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from cliffwatch.accounts import Forbidden
from cliffwatch.errors import CliffwatchError, Conflict, InvalidInput, NotFound, Unavailable
from cliffwatch.streams import ChangedMeanwhile, InvalidDefinition

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 5
"""When to ask again while a store does not answer."""


class BadField(BaseModel):
    """A field that breaks a rule."""

    field: Annotated[str, Field(description="Its path, such as `definition.measures.0.path`.")]
    where: Annotated[str, Field(description="`body`, `query` or `path`.")]
    rule: Annotated[str, Field(description="What is expected of it.")]


class Problem(BaseModel):
    """An error: what was asked is not done, and nothing was changed."""

    type: Annotated[str, Field(description="The kind of error, to tell errors apart by; see the documentation page.")]
    title: Annotated[str, Field(description="The kind of error in words.")]
    status: Annotated[int, Field(description="The HTTP status.")]
    detail: Annotated[str, Field(description="What is wrong this time, and the way out.")]
    errors: Annotated[list[BadField] | None, Field(description="Each bad field, when fields are bad.")] = None


class Unauthenticated(CliffwatchError):
    """Nobody known is asking."""


class RateLimited(CliffwatchError):
    """Too many requests."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__("Requests", "come faster than this token may ask.", f"Try again in {retry_after_s} s.")
        self.retry_after_s = retry_after_s


KINDS: Mapping[int, tuple[str, str]] = {
    400: ("bad-request", "The request cannot be understood"),
    401: ("unauthenticated", "Who is asking is not known"),
    403: ("forbidden", "The role or scope does not allow this"),
    404: ("not-found", "It does not exist in this workspace"),
    405: ("method-not-allowed", "This cannot be done here"),
    409: ("conflict", "It contradicts what is already there"),
    412: ("precondition-failed", "It was changed since it was read"),
    413: ("too-large", "The body is too large"),
    415: ("unsupported-media-type", "The body is not JSON"),
    422: ("invalid-input", "A value breaks a rule"),
    429: ("rate-limited", "Too many requests"),
    500: ("internal", "An error of this server"),
    503: ("unavailable", "A part that is needed does not answer"),
}

_STATUS: tuple[tuple[type[CliffwatchError], int], ...] = (
    (Unauthenticated, 401),
    (Forbidden, 403),
    (NotFound, 404),
    (ChangedMeanwhile, 412),
    (Conflict, 409),
    (InvalidInput, 422),
    (RateLimited, 429),
    (Unavailable, 503),
)


def problem(
    root_path: str,
    status: int,
    detail: str,
    *,
    errors: Sequence[BadField] = (),
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """The answer for an error. `root_path` is where the API is mounted: its documentation explains each kind."""
    name, title = KINDS.get(status, ("error", http.HTTPStatus(status).phrase))
    found = Problem(
        type=f"{root_path}/docs#{name}", title=title, status=status, detail=detail, errors=list(errors) or None
    )
    return JSONResponse(found.model_dump(exclude_none=True), status, headers, MEDIA_TYPE)


def problem_of(error: CliffwatchError, root_path: str) -> JSONResponse:
    """The answer for an error that a person can act on."""
    status = next((status for kind, status in _STATUS if isinstance(error, kind)), 422)
    errors = []
    if isinstance(error, InvalidDefinition):
        errors = [
            BadField(field=f"definition.{path}".rstrip("."), where="body", rule=rule)
            for path, rule in error.fields.items()
        ]
    return problem(root_path, status, str(error), errors=errors, headers=_headers(error, status))


def _headers(error: CliffwatchError, status: int) -> dict[str, str]:
    if status == 401:
        return {"WWW-Authenticate": 'Bearer realm="cliffwatch"'}
    if status == 503:
        return {"Retry-After": str(RETRY_AFTER_S)}
    if isinstance(error, RateLimited):
        return {"Retry-After": str(error.retry_after_s)}
    return {}


def install(app: FastAPI) -> None:
    """Answer every error of this application as a problem."""

    @app.exception_handler(CliffwatchError)
    async def ours(request: Request, error: CliffwatchError) -> JSONResponse:
        return problem_of(error, _root(request))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        errors = [_bad_field(found) for found in error.errors()]
        detail = "; ".join(f"{bad.field}: {bad.rule}" for bad in errors)
        return problem(_root(request), 422, detail, errors=errors)

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> JSONResponse:
        return problem(_root(request), error.status_code, _in_words(request, error), headers=error.headers)

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> JSONResponse:
        log.error("api_error", method=request.method, path=request.url.path, exc_info=error)
        return problem(_root(request), 500, "Something went wrong here. The server's log tells what.")


def _root(request: Request) -> str:
    return str(request.scope.get("root_path", ""))


def _in_words(request: Request, error: HTTPException) -> str:
    if error.status_code == 404:
        return f"There is no {request.url.path}. The documentation page lists what there is."
    if error.status_code == 405:
        return f"{request.method} is not possible on {request.url.path}."
    return str(error.detail)


def _bad_field(found: Mapping[str, Any]) -> BadField:
    where, *path = (str(part) for part in found["loc"])
    if found["type"] == "json_invalid":
        return BadField(field="body", where="body", rule=f"is not JSON: {found['ctx']['error']}")
    return BadField(field=".".join(path) or where, where=where, rule=rule_of(found))


def rule_of(found: Mapping[str, Any]) -> str:
    """What pydantic expected of a field, in words that continue the field's name."""
    if found["type"] == "missing":
        return "is needed"
    if found["type"] == "extra_forbidden":
        return "is not a known field"
    text = str(found["msg"]).removeprefix("Value error, ")
    return text[0].lower() + text[1:]
