"""What FastAPI's OpenAPI document lacks: who may do what, how errors look, and that cookies only read."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from fastapi import FastAPI

from cliffwatch.accounts import SESSION_COOKIE, Permission, Role, Scope
from cliffwatch.api.problems import KINDS, MEDIA_TYPE, Problem

DESCRIPTION = """\
Send a token with each request: `Authorization: Bearer cw_...`. Create one with `cliffwatch token create`.

Times are ISO 8601 in UTC. Lists come in pages: ask again with `cursor` set to `next_cursor` until that is null.
Errors are `application/problem+json` (RFC 9457). 429 and 503 say in `Retry-After` when to come back.
"""

SCHEMES = {
    "token": {"type": "http", "scheme": "bearer", "description": "An API token, `cw_...`."},
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": SESSION_COOKIE,
        "description": "The session of the pages; only for reading.",
    },
}

_SUCCESS = {
    200: "What was asked for",
    201: "Created",
    202: "It is on its way",
    204: "Done, and nothing more to tell",
}

# What any operation may answer; those with a body or with something in their path have more.
_ALWAYS = (401, 403, 422, 429, 500, 503)


class Api(FastAPI):
    """An application whose document is completed when it is first asked for: that takes longer than starting."""

    rules: Mapping[str, Permission] = MappingProxyType({})  # operation id -> what it needs
    _completed: dict[str, Any] | None = None
    _lock = threading.Lock()

    def openapi(self) -> dict[str, Any]:
        with self._lock:
            document = super().openapi()  # FastAPI keeps it: what is changed here stays
            if self._completed is not document:
                complete(document, self.rules)
                self._completed = document
            return document


def complete(document: dict[str, Any], rules: Mapping[str, Permission]) -> None:
    """Add what the document of FastAPI lacks."""
    components = document.setdefault("components", {})
    components["securitySchemes"] = SCHEMES
    schemas = components["schemas"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= problem.pop("$defs")
    schemas["Problem"] = problem
    components["responses"] = {name: _response(status, title) for status, (name, title) in KINDS.items()}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            _complete(path, method, operation, rules[operation["operationId"]])


def _response(status: int, title: str) -> dict[str, Any]:
    return {"description": title, "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}} | (
        {"headers": {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}}
        if status in (429, 503)
        else {}
    )


def _complete(path: str, method: str, operation: dict[str, Any], permission: Permission) -> None:
    operation["security"] = [{"token": []}, {"session": []}] if method == "get" else [{"token": []}]
    operation["x-permission"] = permission.value
    operation["description"] = " ".join(filter(None, (operation.get("description", ""), _needs(permission))))
    statuses = {int(status) for status in operation["responses"]} | set(_ALWAYS)
    if "{" in path or "parameters" in operation:
        statuses.add(404)
    if method != "get":
        statuses.add(409)
    if "requestBody" in operation:
        statuses |= {400, 404, 413}
    if any(parameter["name"] == "if-match" for parameter in operation.get("parameters", ())):
        statuses.add(412)
    there = operation["responses"]
    operation["responses"] = {
        str(status): there[str(status)] | {"description": _SUCCESS[status]}
        if status in _SUCCESS
        else {"$ref": f"#/components/responses/{KINDS[status][0]}"}
        for status in sorted(statuses)
    }


def _needs(permission: Permission) -> str:
    role = min((role for role in Role if role.may(permission)), key=lambda role: role.rank)
    scope = next(scope for scope in Scope if scope.role.may(permission))
    return f"Needs the role {role}, or a token of scope {scope}."
