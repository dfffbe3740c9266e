"""The page that stops digests: it asks once, mail programs need not, and it can be taken back."""

from __future__ import annotations

import pytest
from tests.web.conftest import Browse, House
from tests.web.test_web_pages import violations

ADDRESS = "list@customers.example"


@pytest.fixture
def path(house: House) -> str:
    with house.services.database.write() as session:
        return "/unsubscribe/" + house.services.links.unsubscribing(session, 1, ADDRESS).rpartition("/")[2]


def unsubscribed(house: House) -> list[str]:
    return house.services.digests.unsubscribed(1)


def test_opening_the_link_asks_and_changes_nothing(house: House, path: str) -> None:
    page = house.client(None).get(path)
    assert page.status_code == 200
    assert ADDRESS in page.text
    assert unsubscribed(house) == []


def test_one_click_of_a_mail_program_unsubscribes_and_the_page_takes_it_back(house: House, path: str) -> None:
    client = house.client(None)
    del client.headers["sec-fetch-site"]  # no browser: neither cookies nor an origin
    answer = client.post(path, files={"List-Unsubscribe": (None, "One-Click")}, follow_redirects=False)
    assert answer.status_code == 200  # RFC 8058: no redirect
    assert unsubscribed(house) == [ADDRESS]
    assert ADDRESS in house.client().get("/digests").text
    client.post(path, data={"wanted": "yes"})
    assert unsubscribed(house) == []


def test_a_made_up_link_stops_nothing(house: House) -> None:
    assert house.client(None).post("/unsubscribe/made.up").status_code == 404


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_is_accessible_and_works_in_a_browser(house: House, path: str, browse: Browse, theme: str) -> None:
    page = browse(theme, 390, None)
    page.goto(f"{house.address}{path}")
    assert violations(page) == []
    page.get_by_role("button", name="Unsubscribe").click()
    page.get_by_text("You are unsubscribed").wait_for()
    assert violations(page) == []
    page.get_by_role("button", name="Undo").click()
    page.get_by_text("Digests come again").wait_for()
    assert unsubscribed(house) == []
