"""What leaves with an answer, taken from the routes: security headers on every page, no formula in any CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient
from tests.owners import set_up_owner
from tests.web.conftest import NOW, PASSWORD, running
from tests.web.test_web_rules import ENDLESS, RULES, nowhere

from cliffwatch.web.security import HEADERS

PAGES = sorted(path for method, path in RULES if method == "GET" and path != ENDLESS)
LETTERS = re.compile(r"/body$|/preview$")  # a mail in a frame has a policy of its own
FORMULAS = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """An owner, whose workspace has formulas wherever the audit log keeps text."""
    with running(tmp_path_factory.mktemp("exports")) as house:
        accounts = house.services.accounts
        set_up_owner(accounts, NOW, email="robin@exports.example", password=PASSWORD)
        for text in FORMULAS:
            accounts.audit(1, text, text, text, {text: text}, text, NOW)
        yield house.client("robin@exports.example")


@pytest.mark.parametrize("path", [path for path in PAGES if not LETTERS.search(path)])
def test_every_page_carries_the_security_headers(client: TestClient, path: str) -> None:
    headers = client.get(nowhere(path)).headers
    assert {name: headers.get(name) for name in HEADERS} == HEADERS


def test_no_cell_of_any_csv_is_a_formula(client: TestClient) -> None:
    found = {
        path: answer
        for path in PAGES
        if "text/csv" in (answer := client.get(nowhere(path))).headers.get("content-type", "")
    }
    assert found
    for answer in found.values():
        rows = list(csv.reader(io.StringIO(answer.text, newline="")))
        assert len(rows) > len(FORMULAS)
        assert [cell for row in rows for cell in row if cell[:1] in ("=", "+", "-", "@", "\t", "\r", "\n")] == []
