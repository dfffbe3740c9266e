"""The OpenAPI document and the page made of it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Browser
from tests.api.conftest import World
from tests.api.test_api_rules import DOCUMENT, OPERATIONS

from cliffwatch.web.security import CONTENT_POLICY


def operations() -> list[dict[str, Any]]:
    return [DOCUMENT["paths"][path][method.lower()] for method, path, _ in OPERATIONS]


def test_the_document_is_openapi_3_1_and_needs_no_token(shared: World) -> None:
    answer = shared.ask("GET", "/openapi.json", "")
    assert answer.status_code == 200
    assert answer.json()["openapi"] == "3.1.0"
    assert answer.json()["servers"] == [{"url": "/api/v1"}]


def test_each_operation_says_what_it_does_and_what_it_needs() -> None:
    for operation in operations():
        assert operation["summary"]
        assert "Needs the role" in operation["description"]


def test_each_operation_documents_its_errors_as_problems() -> None:
    for operation in operations():
        assert {"401", "403", "422", "429", "503"} <= set(operation["responses"])
    for response in DOCUMENT["components"]["responses"].values():
        assert list(response["content"]) == ["application/problem+json"]


def test_cookies_are_documented_for_reading_only() -> None:
    for method, path, _ in OPERATIONS:
        schemes = {name for scheme in DOCUMENT["paths"][path][method.lower()]["security"] for name in scheme}
        assert schemes == ({"token", "session"} if method == "GET" else {"token"})


def test_nothing_in_the_document_points_nowhere() -> None:
    for reference in set(re.findall(r"'\$ref': '#/([^']+)'", str(DOCUMENT))):
        found: Any = DOCUMENT
        for name in reference.split("/"):
            found = found[name]


def test_no_example_holds_a_secret() -> None:
    assert not re.search(r"cw_[A-Za-z0-9]{20}|whsec_", str(DOCUMENT))


def test_the_page_lists_each_operation(shared: World) -> None:
    page = shared.ask("GET", "/docs", "").text
    for method, path, _ in OPERATIONS:
        assert f"<code>{method} {path}</code>" in page


def test_the_page_explains_each_kind_of_error(shared: World) -> None:
    page = shared.ask("GET", "/docs", "").text
    assert shared.ask("GET", "/streams/4711").json()["type"] == "/api/v1/docs#not-found"
    assert 'id="not-found"' in page


def test_the_page_needs_no_script_and_no_other_server(shared: World) -> None:
    page = shared.ask("GET", "/docs", "").text
    assert "<script" not in page
    assert " style=" not in page
    assert re.findall(r'(?:src|href)="(?!#)([^"]+)"', page) == ["data:,", "/api/v1/docs.css", "/api/v1/openapi.json"]
    assert shared.ask("GET", "/docs.css", "").headers["content-type"].startswith("text/css")


@pytest.mark.browser
def test_the_page_fits_a_phone_under_the_pages_content_policy(shared: World, chromium: Browser) -> None:
    page = chromium.new_page(viewport={"width": 390, "height": 844})
    page.route("**/*", lambda route: route.fulfill(**answer_of(shared, route.request.url)))
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.goto("http://testserver/api/v1/docs")
    assert page.get_by_role("heading", level=1).inner_text() == "Cliffwatch HTTP API"
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert complaints == []
    page.close()


def answer_of(world: World, url: str) -> dict[str, Any]:
    """What the API answers, under the policy that the pages put on everything."""
    answer = world.client.get(url)
    policy = {"content-security-policy": CONTENT_POLICY}
    return {"status": answer.status_code, "headers": dict(answer.headers) | policy, "body": answer.content}
