"""Who gets in, what a page may load, and whose requests change something."""

from __future__ import annotations

import pytest
from starlette.datastructures import Headers
from tests.web.conftest import OWNER, PASSWORD, VIEWER, House

from cliffwatch.accounts import SESSION_COOKIE
from cliffwatch.web.routes.session import own_path
from cliffwatch.web.security import is_own_request


@pytest.mark.parametrize(
    ("method", "headers", "own"),
    [
        ("POST", {"sec-fetch-site": "same-origin"}, True),
        ("POST", {"sec-fetch-site": "none"}, True),
        ("POST", {"sec-fetch-site": "cross-site"}, False),
        ("POST", {"sec-fetch-site": "same-site"}, False),
        ("POST", {"origin": "https://watch.example", "host": "watch.example"}, True),
        ("POST", {"origin": "https://evil.example", "host": "watch.example"}, False),
        ("POST", {"origin": "null", "host": "watch.example"}, False),
        ("DELETE", {"sec-fetch-site": "cross-site"}, False),
        ("POST", {"host": "watch.example"}, True),  # a program: it has no cookies of a browser
        ("GET", {"sec-fetch-site": "cross-site"}, True),  # a link from a mail
    ],
)
def test_only_this_site_changes_something(method: str, headers: dict[str, str], own: bool) -> None:
    assert is_own_request(method, Headers(headers)) is own


@pytest.mark.parametrize(
    "address",
    ["//evil.example", "/\\evil.example", "https://evil.example", "evil", "", "/a\nb", "javascript:alert(1)"],
)
def test_nobody_is_sent_elsewhere_after_signing_in(address: str) -> None:
    assert own_path(address) == "/"


def test_a_path_of_this_server_is_gone_back_to() -> None:
    assert own_path("/streams/1?range=7d") == "/streams/1?range=7d"


def test_a_page_says_what_it_may_load(house: House) -> None:
    headers = house.client().get("/").headers
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"


def test_hashed_files_are_kept_for_ever_and_others_for_an_hour(house: House) -> None:
    client = house.client(None)
    assert "immutable" in client.get("/static/js/site.js?v=1").headers["cache-control"]
    assert client.get("/static/js/site.js").headers["cache-control"] == "public, max-age=3600"


def test_a_request_of_another_site_is_refused_with_a_way_out(house: House) -> None:
    answer = house.client().post("/streams/1/delete", headers={"sec-fetch-site": "cross-site"})
    assert answer.status_code == 403
    assert "another site" in answer.text


@pytest.mark.parametrize(
    "path", ["/", "/streams/1", "/incidents/1", "/sources", "/settings/tokens", "/streams/1/series.json"]
)
def test_nobody_sees_a_page_without_signing_in(path: str, house: House) -> None:
    answer = house.client(None).get(path)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/sign-in")


def test_a_fragment_leaves_the_page_when_the_session_is_over(house: House) -> None:
    answer = house.client(None).get("/sources/1/live", headers={"hx-request": "true"})
    assert answer.status_code == 204
    assert answer.headers["hx-redirect"].startswith("/sign-in")


def test_the_session_cookie_is_out_of_reach_of_scripts_and_other_sites(house: House) -> None:
    answer = house.client(None).post("/sign-in", data={"email": OWNER, "password": PASSWORD, "next": "/incidents"})
    assert answer.headers["location"] == "/incidents"
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{SESSION_COOKIE}=")
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie


def test_a_wrong_password_keeps_the_address_and_says_one_thing(house: House) -> None:
    answer = house.client(None).post("/sign-in", data={"email": OWNER, "password": "wrong"})
    assert answer.status_code == 422
    assert f'value="{OWNER}"' in answer.text
    assert SESSION_COOKIE not in answer.headers.get("set-cookie", "")


def test_signing_out_ends_the_session(house: House) -> None:
    client = house.client(None)
    client.cookies.set(SESSION_COOKIE, house.sign_in())
    assert client.get("/").status_code == 200
    client.post("/sign-out")
    assert client.get("/").status_code == 303


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("/incidents/1/acknowledge", {}),
        ("/incidents/1/comment", {"text": "mine"}),
        ("/streams/1/pause", {}),
        ("/streams/new", {"event": "A"}),
        ("/sources", {"name": "Mine"}),
        ("/channels", {"kind": "email", "name": "Mine", "to": "a@b.example"}),
        ("/channels/1/delete", {}),
        ("/settings/tokens", {"name": "mine", "scope": "admin"}),
        ("/settings/workspace", {"name": "Mine", "time_zone": "UTC"}),
    ],
)
def test_a_viewer_changes_nothing(path: str, data: dict[str, str], house: House) -> None:
    answer = house.client(VIEWER).post(path, data=data)
    assert answer.status_code == 403
    assert "You may not do this" in answer.text


def test_a_viewer_sees_no_write_key(house: House) -> None:
    assert house.source is not None
    key = house.source.write_key
    assert key in house.client().get("/sources/1?tab=connect").text
    assert key not in house.client(VIEWER).get("/sources/1?tab=connect").text


@pytest.mark.parametrize(
    "path", ["/nowhere", "/streams/99", "/streams/abc", "/incidents/99", "/sources/99", "/inbox/99/body"]
)
def test_what_is_not_there_is_said_with_a_way_out(path: str, house: House) -> None:
    answer = house.client().get(path)
    assert answer.status_code == 404
    assert 'href="/"' in answer.text


def test_what_people_type_is_never_markup(house: House) -> None:
    answer = house.client().post("/sources", data={"name": "  "})
    assert answer.status_code == 422
    text = house.client().get('/streams/new?step=schedule&event="><script>alert(1)</script>&dimension=<b>').text
    assert "<script>alert" not in text
    assert "&lt;b&gt;" in text


@pytest.mark.parametrize("piece", ["[1]", "nonsense", '{"a":1}', "null"])
def test_a_slice_that_is_none_is_refused_plainly(piece: str, house: House) -> None:
    answer = house.client().get("/streams/1", params={"slice": piece})
    assert answer.status_code == 422
    assert "is not a slice" in answer.text
