"""Segment's Profile API over HTTP: one person's traits, events and ids."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient
from tests.databases import Backend
from tests.engage.conftest import opened
from tests.engage.house import HOUR, House, iso
from tests.owners import NOW

from cliffwatch.accounts import Scope

USERS = "/segment/profiles/v1/spaces/spa_1/collections/users/profiles"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, sqlite: Backend) -> Iterator[House]:
    """One shop with somebody in it, for every test of this file."""
    with opened(tmp_path_factory.mktemp("house"), sqlite) as house:
        viewed = {"type": "track", "event": "Product Viewed", "anonymousId": "x", "properties": {"sku": "a"}}
        house.take({**viewed, "at": NOW - HOUR})
        emails = {"externalIds": [{"id": "ann@x", "type": "email", "collection": "users", "encoding": "none"}]}
        house.take(
            {"type": "identify", "anonymousId": "x", "userId": "ann", "traits": {"plan": "free"}, "context": emails}
        )
        house.clock.now += HOUR
        house.take({"type": "identify", "userId": "ann", "traits": {"plan": "pro", "age": 30}})
        house.ordered("ann", total=12)
        house.ordered("bob", total=5)
        for group in ("initech", "acme", "initech"):
            house.clock.now += HOUR
            house.take({"type": "group", "userId": "ann", "groupId": group, "traits": {}})
        house.audience("Buyers", "event('Order Completed').count() >= 1")
        house.audience("Big Buyers", "event('Order Completed').where(property('total') > 100).count() >= 1")
        house.trait("Total Spent", "event('Order Completed').sum(property('total'))")
        house.step()
        yield house


@pytest.fixture(scope="module")
def client(house: House) -> TestClient:
    _, token = house.services.accounts.create_token(
        house.workspace, None, "profiles", Scope.READ, expires_ms=None, now=house.clock.now
    )
    basic = base64.b64encode(f"{token}:".encode()).decode()
    return TestClient(house.application.asgi, headers={"authorization": f"Basic {basic}"})


def test_traits_are_the_newest_that_were_said_and_what_is_computed(client: TestClient) -> None:
    answer = client.get(f"{USERS}/user_id:ann/traits?limit=100")
    assert answer.status_code == 200
    assert answer.json()["traits"] == {"age": 30, "big_buyers": False, "buyers": True, "plan": "pro", "total_spent": 12}


def test_a_class_and_a_list_of_keys_narrow_the_traits(client: TestClient) -> None:
    audiences = client.get(f"{USERS}/user_id:ann/traits?class=audience").json()["traits"]
    assert audiences == {"big_buyers": False, "buyers": True}
    assert client.get(f"{USERS}/user_id:ann/traits?include=plan,age").json()["traits"] == {"age": 30, "plan": "pro"}


def test_somebody_is_found_by_any_of_their_ids(client: TestClient) -> None:
    found = [
        client.get(f"{USERS}/{one}/external_ids").json() for one in ("user_id:ann", "email:ann@x", "anonymous_id:x")
    ]
    assert found[0] == found[1] == found[2]
    assert {(one["type"], one["id"]) for one in found[0]["data"]} == {
        ("user_id", "ann"),
        ("email", "ann@x"),
        ("anonymous_id", "x"),
    }


def test_events_are_those_before_and_after_signing_in_page_by_page(client: TestClient) -> None:
    url = f"{USERS}/user_id:ann/events?limit=5"
    first = client.get(url).json()
    assert first["cursor"]["has_more"]
    second = client.get(f"{url}&next={first['cursor']['next']}").json()
    names = [event["event"] for event in [*first["data"], *second["data"]] if event["type"] == "track"]
    assert sorted(names) == ["Order Completed", "Product Viewed"]
    assert not second["cursor"]["has_more"]


def test_events_can_be_narrowed_to_names(client: TestClient) -> None:
    found = client.get(f"{USERS}/user_id:ann/events?include=Order%20Completed").json()["data"]
    assert [event["properties"] for event in found] == [{"total": 12}]


@pytest.mark.parametrize("what", ["traits", "external_ids", "events", "links"])
def test_pages_follow_each_other_by_the_cursor_until_all_is_there(client: TestClient, what: str) -> None:
    url, parts = f"{USERS}/user_id:ann/{what}", []
    following, more = "?limit=1", True
    while more:
        page = client.get(url + following).json()
        parts += list(page["data"] if "data" in page else page["traits"].items())
        following, more = page["cursor"]["url"], page["cursor"]["has_more"]
    whole = client.get(f"{url}?limit=200").json()
    assert parts == list(whole["data"] if "data" in whole else whole["traits"].items())
    assert len(parts) > 1


def test_metadata_say_when_somebody_was_first_and_last_heard_of(house: House, client: TestClient) -> None:
    found = client.get(f"{USERS}/user_id:ann/metadata").json()["metadata"]
    assert (found["first_message_id"], found["created_at"]) == ("m-1", iso(NOW - HOUR))
    assert (found["last_message_id"], found["updated_at"]) == ("m-8", iso(NOW + 4 * HOUR))
    assert found["first_source_id"] == found["last_source_id"] == str(house.source().id)


def test_links_are_the_accounts_of_a_person_each_since_its_first_event(client: TestClient) -> None:
    found = [one["external_ids"][0] for one in client.get(f"{USERS}/user_id:ann/links").json()["data"]]
    assert [(one["id"], one["created_at"]) for one in found] == [
        ("acme", iso(NOW + 3 * HOUR)),
        ("initech", iso(NOW + 2 * HOUR)),
    ]


def test_without_a_token_nothing_is_said(house: House) -> None:
    assert TestClient(house.application.asgi).get(f"{USERS}/user_id:ann/traits").status_code == 401


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"{USERS}/user_id:nobody/traits", 404),
        (f"{USERS}/ann/traits", 400),
        (f"{USERS}/user_id:ann/traits?limit=201", 400),
        ("/segment/profiles/v1/spaces/spa_2/collections/users/profiles/user_id:ann/traits", 404),
        ("/segment/profiles/v1/spaces/spa_1/collections/accounts/profiles/group_id:g/traits", 404),
    ],
)
def test_what_is_not_there_is_answered_with_its_cause(client: TestClient, path: str, status: int) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    assert answer.json()["error"]["message"]
