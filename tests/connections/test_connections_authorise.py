"""Authorise between two servers over HTTP: Allow, Deny, and everything that somebody may try with it."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlencode

import httpx2
import pytest
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from tests.connections.conftest import Pair, basic, query_of, said
from tests.owners import EMAIL, NOW, PASSWORD

from cliffwatch.accounts import SESSION_COOKIE, Role
from cliffwatch.connections.oauth.apps import CODE_MS, TOKEN_SECONDS

VERIFIER = "v" * 64


def authorise_address(pair: Pair, **changes: str | None) -> str:
    """What a program of our own sends a browser to."""
    given: dict[str, str | None] = {
        "response_type": "code",
        "client_id": pair.app.client_id,
        "redirect_uri": pair.redirect_uri,
        "scope": pair.app.scope,
        "state": "state-of-the-program",
        "code_challenge": create_s256_code_challenge(VERIFIER),
        "code_challenge_method": "S256",
    }
    pairs = {name: value for name, value in {**given, **changes}.items() if value is not None}
    return f"{pair.asked.address}/segment/oauth2/auth?{urlencode(pairs)}"


def code_of(pair: Pair) -> str:
    return query_of(pair.answer(authorise_address(pair)))["code"]


def token_of(pair: Pair) -> dict[str, object]:
    answer = pair.exchange(code_of(pair), VERIFIER)
    assert answer.status_code == 200, answer.text
    found: dict[str, object] = answer.json()
    return found


def config(
    pair: Pair, token: object, method: str = "GET", path: str = "/workspaces", **options: object
) -> httpx2.Response:
    address = f"{pair.asked.address}/segment/v1beta{path}"
    return httpx2.request(method, address, headers={"authorization": f"Bearer {token}"}, **options)  # type: ignore[arg-type]


def test_allow_makes_a_connected_source_here_and_a_destination_there(pair: Pair) -> None:
    answer = pair.connect()
    assert answer.headers["location"] == "/connections/1"
    (source,) = pair.asking.sources()
    assert (source.kind, source.name, source.archive_days) == ("connected", "Web shop", 0)
    (made,) = pair.asked.services.connections.destinations.list(pair.asked.workspace)
    assert made.source_id == pair.source.id
    assert made.settings == {"apiKey": source.write_key, "endpoint": f"{pair.asking.address}/deliveries/direct"}


def test_events_of_the_chosen_source_arrive_with_their_ids_and_times(
    pair: Pair, wait_for: Callable[..., object]
) -> None:
    other = pair.asked.services.sources.create(pair.asked.workspace, "Other", NOW)
    pair.connect()
    messages = [
        {"type": "track", "event": "Order", "userId": "u", "messageId": f"m-{n}", "timestamp": "2026-11-20T08:00:00Z"}
        for n in range(3)
    ]
    for source in (pair.source, other):
        answer = httpx2.post(f"{pair.asked.address}/v1/batch", json={"batch": messages}, auth=(source.write_key, ""))
        assert answer.status_code == 200
    assert pair.asked.services.ingest.wait_absorbed(20)
    assert pair.asked.services.connections.forwarder.step()
    (source,) = pair.asking.sources()
    recent = pair.asking.services.ingest.recent
    wait_for(lambda: len(recent(source.id)) == 3)
    shown = [event.fields for event in recent(source.id)]
    assert {fields["messageId"] for fields in shown} == {"m-0", "m-1", "m-2"}  # type: ignore[index]
    assert {str(fields["timestamp"])[:16] for fields in shown} == {"2026-11-20T08:00"}  # type: ignore[index]


def test_deny_leaves_nothing_and_says_how_to_start_again(pair: Pair) -> None:
    back = pair.answer(pair.begin(), "deny")
    assert query_of(back)["error"] == "access_denied"
    page = pair.asking.browser.get(back)
    assert page.status_code == 403
    assert "Start again and click Allow" in said(page)
    assert pair.nothing_is_left()


def test_a_second_install_is_refused_on_the_page_and_at_the_token_endpoint(pair: Pair) -> None:
    early = code_of(pair)
    pair.connect()
    page = pair.asked.browser.get(pair.begin("Again"))
    assert "has access to this workspace already" in said(page)
    answer = pair.exchange(early, VERIFIER)
    assert (answer.status_code, answer.json()["error_description"]) == (400, "install already exists")


def test_a_token_reply_has_segments_shape(pair: Pair) -> None:
    token = token_of(pair)
    assert str(token.pop("access_token")).startswith("cwo_")
    assert token == {
        "token_type": "bearer",
        "expires_in": 3_599,
        "scope": "destination/cliffwatch",
        "app_name": "apps/1",
        "install_name": "installs/1",
        "workspace_names": ["workspaces/shop"],
        "source_names": ["workspaces/shop/sources/shop"],
    }


def test_a_token_sees_and_changes_only_what_was_chosen(pair: Pair) -> None:
    other = pair.asked.services.sources.create(pair.asked.workspace, "Other", NOW)
    token = token_of(pair)["access_token"]
    assert config(pair, token).json()["workspaces"][0]["name"] == "workspaces/shop"
    sources = config(pair, token, path="/workspaces/shop/sources").json()["sources"]
    assert [source["name"] for source in sources] == ["workspaces/shop/sources/shop"]
    for path in ("/workspaces/else", f"/workspaces/shop/sources/{other.slug}/destinations"):
        answer = config(pair, token, path=path)
        assert (answer.status_code, answer.json()["code"]) == (403, 7)
    body = {"destination": {"name": "workspaces/shop/sources/shop/destinations/webhook", "config": []}}
    answer = config(pair, token, "POST", "/workspaces/shop/sources/shop/destinations", json=body)
    assert (answer.status_code, answer.json()["code"]) == (403, 7)


def test_an_update_changes_what_its_mask_lists_and_nothing_else(pair: Pair) -> None:
    pair.connect()
    install = pair.asked.services.connections.apps.installs(pair.asked.workspace)[0][0]
    renewed = httpx2.get(f"{pair.asked.address}/segment/v1beta/{install.name}/token", headers=pair.basic).json()
    path = "/workspaces/shop/sources/shop/destinations/cliffwatch"
    before = config(pair, renewed["access_token"], path=path).json()
    body = {"destination": {"enabled": False}, "update_mask": {"paths": ["destination.enabled"]}}
    after = config(pair, renewed["access_token"], "PATCH", path, json=body).json()
    assert after == {**before, "enabled": False}
    body = {"destination": {}, "update_mask": {"paths": ["destination.name"]}}
    answer = config(pair, renewed["access_token"], "PATCH", path, json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, 3)


def test_a_token_ends_after_an_hour_and_the_install_gets_a_new_one(pair: Pair) -> None:
    token = token_of(pair)
    pair.asked.clock.now += TOKEN_SECONDS * 1000
    assert config(pair, token["access_token"]).status_code == 401
    address = f"{pair.asked.address}/segment/v1beta/{token['install_name']}/token"
    for method in ("GET", "POST"):
        renewed = httpx2.request(method, address, headers=pair.basic)
        assert config(pair, renewed.json()["access_token"]).status_code == 200
    assert httpx2.get(address, headers=basic(pair.app.client_id, "wrong")).status_code == 401
    assert httpx2.get(f"{pair.asked.address}/segment/v1beta/installs/99/token", headers=pair.basic).status_code == 404


def test_a_revoked_token_and_what_it_made_are_gone(pair: Pair) -> None:
    pair.connect()
    connection = pair.asking.services.connections.store.get(pair.asking.workspace, 1)
    answer = pair.asking.post(f"/connections/{connection.id}/disconnect", {})
    assert answer.headers["location"] == "/integrations"
    assert list(pair.asked.services.connections.destinations.list(pair.asked.workspace)) == []
    assert pair.asked.services.connections.apps.installs(pair.asked.workspace) == []
    (source,) = pair.asking.sources()
    assert not source.enabled  # what it measured stays
    assert pair.connect().headers["location"].startswith("/connections/")


def test_access_taken_back_by_the_owner_stops_deliveries_at_once(pair: Pair) -> None:
    pair.connect()
    assert pair.asked.post("/settings/apps/installs/1/revoke", {}).status_code == 303
    assert pair.asked.services.connections.destinations.wanted() == frozenset()
    answer = pair.asking.post("/connections/1/disconnect", {})
    assert answer.headers["location"] == "/connections/1?failed=yes"
    assert "Disconnect here only" in said(pair.asking.browser.get(f"{pair.asking.address}/connections/1"))
    assert pair.asking.post("/connections/1/disconnect", {"anyway": "yes"}).headers["location"] == "/integrations"


def test_a_failure_after_the_token_is_undone_at_both_sides(pair: Pair) -> None:
    back = pair.answer(pair.begin())
    taken = pair.asked.services.connections.destinations.create(
        pair.asked.workspace, pair.source.id, "webhook", "Taken", {}, NOW, slug="cliffwatch"
    )
    page = pair.asking.browser.get(back)
    assert page.status_code == 403
    assert "exists on this source already" in said(page)
    pair.asked.services.connections.destinations.delete(pair.asked.workspace, taken.id)
    assert pair.nothing_is_left()
    assert pair.asked.services.connections.apps.installs(pair.asked.workspace) == []


# What somebody may try.


def test_a_code_is_good_once_and_a_replay_ends_what_it_led_to(pair: Pair) -> None:
    code = code_of(pair)
    token = pair.exchange(code, VERIFIER).json()["access_token"]
    assert pair.exchange(code, VERIFIER).json()["error"] == "invalid_grant"
    assert config(pair, token).status_code == 401


def test_a_stale_code_is_refused(pair: Pair) -> None:
    code = code_of(pair)
    pair.asked.clock.now += CODE_MS
    assert pair.exchange(code, VERIFIER).json()["error"] == "invalid_grant"


def test_a_stolen_code_is_worth_nothing_without_the_verifier(pair: Pair) -> None:
    assert pair.exchange(code_of(pair), "w" * 64).json()["error"] == "invalid_grant"
    assert pair.exchange(code_of(pair), "").json()["error"] == "invalid_request"


def test_a_code_of_one_app_cannot_be_spent_by_another(pair: Pair) -> None:
    code = code_of(pair)
    apps = pair.asked.services.connections.apps
    thief, secret = apps.create(pair.asked.workspace, "Thief", [pair.redirect_uri], NOW)
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": pair.redirect_uri,
        "code_verifier": VERIFIER,
    }
    address = f"{pair.asked.address}/segment/oauth2/token"
    answer = httpx2.post(address, data=form, headers=basic(thief.client_id, secret))
    assert answer.json()["error"] == "invalid_grant"
    assert pair.exchange(code, VERIFIER).status_code == 200


WEAK: list[dict[str, str | None]] = [
    {"code_challenge": None, "code_challenge_method": None},
    {"code_challenge_method": "plain"},
    {"code_challenge_method": None},
]


@pytest.mark.parametrize("challenge", WEAK, ids=["none", "plain", "no method"])
def test_pkce_cannot_be_left_out_or_weakened(pair: Pair, challenge: dict[str, str | None]) -> None:
    answer = pair.asked.browser.get(authorise_address(pair, **challenge))
    sent = query_of(answer.headers["location"])
    assert (sent["error"], sent["state"]) == ("invalid_request", "state-of-the-program")


@pytest.mark.parametrize("suffix", ["/", "?x=1", "/../elsewhere", "#fragment", "@evil.example"])
def test_a_redirect_address_is_compared_letter_by_letter_and_never_followed(pair: Pair, suffix: str) -> None:
    answer = pair.asked.browser.get(authorise_address(pair, redirect_uri=pair.redirect_uri + suffix))
    assert answer.status_code == 400
    assert "location" not in answer.headers
    assert "letter by letter" in said(answer)


@pytest.mark.parametrize("uri", ["https://evil.example/callback", "javascript:alert(1)", "//evil.example", ""])
def test_nobody_is_sent_to_a_stranger(pair: Pair, uri: str) -> None:
    answer = pair.asked.browser.get(authorise_address(pair, redirect_uri=uri))
    assert (answer.status_code, "location" in answer.headers) == (400, False)


def test_a_parameter_given_twice_is_refused(pair: Pair) -> None:
    for more in ("&redirect_uri=https%3A%2F%2Fevil.example", "&scope=workspace", "&client_id=other"):
        answer = pair.asked.browser.get(authorise_address(pair) + more)
        assert (answer.status_code, "location" in answer.headers) == (400, False)


def test_an_unknown_app_is_told_to_the_visitor_only(pair: Pair) -> None:
    answer = pair.asked.browser.get(authorise_address(pair, client_id="nobody"))
    assert answer.status_code == 400
    assert "No app with this client_id" in said(answer)


def test_a_scope_that_the_app_does_not_have_is_refused(pair: Pair) -> None:
    answer = pair.asked.browser.get(authorise_address(pair, scope="workspace"))
    assert query_of(answer.headers["location"])["error"] == "invalid_scope"


def test_the_redirect_address_of_the_token_request_must_be_the_same(pair: Pair) -> None:
    assert (
        pair.exchange(code_of(pair), VERIFIER, redirect_uri="https://evil.example").json()["error"] == "invalid_grant"
    )


def test_a_state_is_good_once_and_only_for_whom_it_was_made(pair: Pair) -> None:
    back = pair.answer(pair.begin())
    accounts = pair.asking.services.accounts
    accounts.create_person(pair.asking.workspace, "kim@shop.example", "Kim", PASSWORD, Role.ADMIN, NOW)
    other = accounts.sign_in("kim@shop.example", PASSWORD, address="127.0.0.1", user_agent="test", now=NOW)
    page = httpx2.get(back, cookies={SESSION_COOKIE: other})
    assert page.status_code == 403
    assert "belongs to no authorisation that you began here" in said(page)
    assert pair.asking.browser.get(back).headers["location"] == "/connections/1"
    assert pair.asking.browser.get(back).status_code == 403


def test_a_code_of_somebody_else_cannot_be_pushed_into_a_session(pair: Pair) -> None:
    """Code injection: the victim's browser is made to bring the attacker's code, with the victim's own state."""
    state = query_of(pair.begin())["state"]
    attackers = query_of(pair.answer(authorise_address(pair)))["code"]
    back = (
        f"{pair.redirect_uri}?{urlencode({'code': attackers, 'state': state, 'iss': pair.asked.address + '/segment'})}"
    )
    page = pair.asking.browser.get(back)
    assert page.status_code == 403
    assert pair.nothing_is_left()


def test_an_answer_of_another_server_is_not_taken_to_this_one(pair: Pair) -> None:
    sent = query_of(pair.answer(pair.begin()))
    back = f"{pair.redirect_uri}?{urlencode({**sent, 'iss': 'https://evil.example/segment'})}"
    page = pair.asking.browser.get(back)
    assert (page.status_code, "names another server" in said(page)) == (403, True)
    assert pair.nothing_is_left()


def test_only_an_owner_may_allow(pair: Pair) -> None:
    accounts = pair.asked.services.accounts
    accounts.create_person(pair.asked.workspace, "kim@shop.example", "Kim", PASSWORD, Role.ADMIN, NOW)
    session = accounts.sign_in("kim@shop.example", PASSWORD, address="127.0.0.1", user_agent="test", now=NOW)
    form = {**query_of(authorise_address(pair)), "workspace": "1", "source": "1", "decision": "allow"}
    answer = httpx2.post(f"{pair.asked.address}/segment/oauth2/auth", data=form, cookies={SESSION_COOKIE: session})
    assert (answer.status_code, "Only an owner may allow this" in said(answer)) == (403, True)


def test_another_site_cannot_click_allow(pair: Pair) -> None:
    form = {**query_of(authorise_address(pair)), "workspace": "1", "source": "1", "decision": "allow"}
    headers = {"sec-fetch-site": "cross-site", "origin": "https://evil.example"}
    answer = pair.asked.browser.post(f"{pair.asked.address}/segment/oauth2/auth", data=form, headers=headers)
    assert answer.status_code == 403
    assert answer.headers["x-frame-options"] == "DENY"


def test_a_visitor_who_is_not_signed_in_comes_back_to_the_page_after_signing_in(pair: Pair) -> None:
    address = authorise_address(pair)
    first = httpx2.get(address)
    assert first.headers["location"].startswith("/sign-in?next=%2Fsegment%2Foauth2%2Fauth")
    page = httpx2.get(pair.asked.address + first.headers["location"])
    assert EMAIL not in page.text
    assert "code_challenge_method=S256" in page.text


def test_a_dead_server_is_told_as_such_and_leaves_nothing(pair: Pair) -> None:
    back = pair.answer(pair.begin())
    pair.asked.services.connections.apps.delete(pair.asked.workspace, pair.app.id)
    page = pair.asking.browser.get(back)
    assert (page.status_code, "does not know this client id and secret" in said(page)) == (403, True)
    assert pair.nothing_is_left()
