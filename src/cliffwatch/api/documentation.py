"""The documentation page: the OpenAPI document as plain HTML, made here, without script and without other servers."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from cliffwatch.api.problems import KINDS

PUBLIC = frozenset({"/docs", "/docs.css", "/openapi.json"})
"""Nothing in them is secret."""

_templates = Environment(
    loader=PackageLoader("cliffwatch.api", "pages"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)


def with_code(text: str) -> Markup:
    """The text as HTML, with what stands between backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped before


_templates.filters["with_code"] = with_code


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation as the page shows it."""

    method: str
    path: str
    name: str
    summary: str
    description: str
    parameters: tuple[Mapping[str, Any], ...]
    example: str  # of its body, "" when it has none
    responses: tuple[tuple[str, str], ...]  # status, what it means


def install(app: FastAPI) -> None:
    """Add the page and its style sheet."""

    @app.get("/docs", include_in_schema=False)
    def documentation(request: Request) -> HTMLResponse:
        document = app.openapi()
        page = _templates.get_template("docs.html").render(
            info=document["info"],
            root=request.scope.get("root_path", ""),
            groups=grouped(document),
            problems=KINDS,
        )
        return HTMLResponse(page)

    @app.get("/docs.css", include_in_schema=False)
    def style() -> Response:
        return Response((files("cliffwatch.api") / "pages" / "docs.css").read_bytes(), media_type="text/css")


def grouped(document: Mapping[str, Any]) -> dict[str, list[Operation]]:
    """Tag -> its operations, in the order of the document."""
    groups: dict[str, list[Operation]] = {}
    for tag, operation in operations(document):
        groups.setdefault(tag, []).append(operation)
    return groups


def operations(document: Mapping[str, Any]) -> Iterator[tuple[str, Operation]]:
    for path, item in document["paths"].items():
        for method, found in item.items():
            yield (
                found["tags"][0],
                Operation(
                    method=method.upper(),
                    path=path,
                    name=found["operationId"],
                    summary=found["summary"],
                    description=found["description"],
                    parameters=tuple(found.get("parameters", ())),
                    example=_body_example(document, found),
                    responses=tuple(
                        (status, _resolve(document, response)["description"])
                        for status, response in found["responses"].items()
                    ),
                ),
            )


def _body_example(document: Mapping[str, Any], operation: Mapping[str, Any]) -> str:
    body = operation.get("requestBody")
    if body is None:
        return ""
    schema = body["content"]["application/json"]["schema"]
    return json.dumps(example_of(document, schema), indent=2, ensure_ascii=False)


def example_of(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Any:
    """A value of a schema: its own example where it has one, else one made of its parts."""
    schema = _resolve(document, schema)
    if schema.get("examples"):
        return schema["examples"][0]
    if "default" in schema:
        return schema["default"]
    if "enum" in schema:
        return schema["enum"][0]
    if "anyOf" in schema:
        return example_of(document, schema["anyOf"][0])
    if schema.get("type") == "object":
        return {name: example_of(document, inner) for name, inner in schema.get("properties", {}).items()}
    return {"array": [], "integer": schema.get("minimum", 0), "boolean": True, "string": "text"}.get(schema["type"])


def _resolve(document: Mapping[str, Any], part: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in part:
        found: Any = document
        for name in part["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        part = found
    return part
