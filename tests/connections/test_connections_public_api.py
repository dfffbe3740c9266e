"""The Public API subset: Segment's own TypeScript client against it, and what it answers to what is wrong."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest
from tests.connections.conftest import Side
from tests.node_sdks import run_node
from tests.owners import NOW

from cliffwatch.connections.delivery.kinds import KINDS

WEBHOOK = KINDS["webhook"].metadata_id
DAY = ("2026-11-24T00:00:00Z", "2026-11-25T00:00:00Z")


def drive(side: Side, *steps: list[Any], scope: str = "admin") -> list[Any]:
    """What Segment's client got for each step."""
    given = {"base": f"{side.address}/segment/public", "token": side.token(scope), "steps": steps}
    answers: list[Any] = run_node("public_api.cjs", given)
    return answers


def ask(side: Side, path: str, *, token: str | None = None, method: str = "GET", **options: Any) -> httpx2.Response:
    headers = {"authorization": f"Bearer {side.token() if token is None else token}"}
    return httpx2.request(method, f"{side.address}/segment/public{path}", headers=headers, **options)


@pytest.mark.sdk
def test_segments_own_client_lists_sources_and_creates_a_destination(side: Side) -> None:
    source = side.services.sources.create(side.workspace, "Shop", NOW)
    workspace, listed, made, mapped, subscriptions, connected, patched, one = drive(
        side,
        ["WorkspacesApi", "getWorkspace"],
        ["SourcesApi", "listSources", {"count": 10}],
        [
            "DestinationsApi",
            "createDestination",
            {
                "sourceId": "$1.data.sources.0.id",
                "metadataId": WEBHOOK,
                "name": "Hook",
                "settings": {"sharedSecret": "shared"},
            },
        ],
        [
            "DestinationsApi",
            "createDestinationSubscription",
            "$2.data.destination.id",
            {
                "name": "All",
                "actionId": "$2.data.destination.metadata.actions.0.id",
                "trigger": 'type = "track"',
                "enabled": True,
                "settings": {"url": "https://hooks.example/x"},
            },
        ],
        ["DestinationsApi", "listSubscriptionsFromDestination", "$2.data.destination.id", {"count": 10}],
        ["SourcesApi", "listConnectedDestinationsFromSource", "$1.data.sources.0.id", {"count": 10}],
        ["DestinationsApi", "updateDestination", "$2.data.destination.id", {"enabled": False}],
        ["DestinationsApi", "getDestination", "$2.data.destination.id"],
    )
    assert workspace["body"]["data"]["workspace"]["slug"] == "shop"
    assert [found["writeKeys"] for found in listed["body"]["data"]["sources"]] == [[source.write_key]]
    assert made["status"] == 200
    assert made["body"]["data"]["destination"]["settings"] == {"sharedSecret": "shared"}
    assert mapped["body"]["data"]["destinationSubscription"]["trigger"] == 'type = "track"'
    assert [found["name"] for found in subscriptions["body"]["data"]["subscriptions"]] == ["All"]
    assert [found["name"] for found in connected["body"]["data"]["destinations"]] == ["Hook"]
    assert patched["body"]["data"]["destination"]["enabled"] is False
    assert one["body"]["data"]["destination"]["metadata"]["id"] == WEBHOOK


@pytest.mark.sdk
def test_segments_own_client_makes_changes_and_deletes_a_source(side: Side) -> None:
    made, renamed, keys, deleted, gone = drive(
        side,
        ["SourcesApi", "createSource", {"slug": "web-shop", "enabled": True, "metadataId": "iUM16Md8P2"}],
        ["SourcesApi", "updateSource", "$0.data.source.id", {"name": "Web"}],
        ["SourcesApi", "createWriteKeyForSource", "$0.data.source.id"],
        ["SourcesApi", "deleteSource", "$0.data.source.id"],
        ["SourcesApi", "getSource", "$0.data.source.id"],
    )
    assert made["body"]["data"]["source"]["slug"] == "web_shop"
    assert renamed["body"]["data"]["source"]["name"] == "Web"
    assert len(keys["body"]["data"]["source"]["writeKeys"]) == 2
    assert deleted["body"]["data"]["status"] == "SUCCESS"
    assert (gone["status"], gone["body"]["errors"][0]["type"]) == (404, "not-found")


@pytest.mark.sdk
def test_segments_own_client_reads_volumes_and_deliveries(side: Side) -> None:
    source = side.services.sources.create(side.workspace, "Shop", NOW)
    message = {"type": "track", "event": "Order", "userId": "u"}
    for body in (message, message, {"type": "track", "event": "Order"}):
        httpx2.post(f"{side.address}/v1/track", json=body, auth=(source.write_key, ""))
    assert side.services.ingest.wait_absorbed(20)
    made = side.services.connections.destinations.create(side.workspace, source.id, "webhook", "Hook", {}, NOW)
    overview, page = "DeliveryOverviewApi", {"count": 10}
    hourly = [*DAY, "HOUR", page]
    volume, received, failed, delivered, metrics = drive(
        side,
        ["EventsApi", "getEventsVolumeFromWorkspace", "HOUR", *DAY, ["source"]],
        [overview, "getIngressSuccessMetricsFromDeliveryOverview", str(source.id), *hourly],
        [overview, "getIngressFailedMetricsFromDeliveryOverview", str(source.id), *hourly, ["discardReason"]],
        [overview, "getEgressSuccessMetricsFromDeliveryOverview", str(source.id), str(made.id), *hourly],
        ["DestinationsApi", "listDeliveryMetricsSummaryFromDestination", str(made.id), str(source.id)],
    )
    (of_source,) = volume["body"]["data"]["result"]
    assert (of_source["total"], len(of_source["series"])) == (2, 24)
    assert received["body"]["data"]["dataset"][0]["total"] == 2
    (reason,) = failed["body"]["data"]["dataset"]
    assert (reason["discardReason"], reason["total"]) == ("no_user_anon_id", 1)
    assert delivered["body"]["data"]["dataset"][0]["total"] == 0
    assert metrics["body"]["data"]["deliveryMetricsSummary"]["destinationMetadataId"] == WEBHOOK


def test_volumes_are_given_by_event_name_and_type(side: Side) -> None:
    source = side.services.sources.create(side.workspace, "Shop", NOW)
    other = side.services.sources.create(side.workspace, "App", NOW)
    names = ["Order", "Order", "Refund"]
    batch = [{"type": "track", "event": name, "userId": "u"} for name in names] + [{"type": "page", "userId": "u"}]
    for one in (source, other):
        httpx2.post(f"{side.address}/v1/batch", json={"batch": batch}, auth=(one.write_key, ""))
    assert side.services.ingest.wait_absorbed(20)
    period = {"granularity": "HOUR", "startTime": DAY[0], "endTime": DAY[1]}

    def totals(groups: list[str], *keys: str) -> list[tuple[Any, ...]]:
        answer = ask(side, "/events/volume", params=[*period.items(), *(("groupBy[]", group) for group in groups)])
        assert answer.status_code == 200, answer.text
        return [(*(one[key] for key in keys), one["total"]) for one in answer.json()["data"]["result"]]

    assert totals(["eventType"], "eventType") == [("track", 6), ("page", 2)]
    assert totals(["eventName"], "eventName") == [("Order", 4), ("", 2), ("Refund", 2)]
    by_both = totals(["eventName", "source"], "eventName")
    assert by_both == [("Order", 2), ("", 1), ("Refund", 1)] * 2


def test_a_subscription_with_a_broken_trigger_is_refused_by_name(side: Side) -> None:
    source = side.services.sources.create(side.workspace, "Shop", NOW)
    made = side.services.connections.destinations.create(side.workspace, source.id, "webhook", "Hook", {}, NOW)
    given = {"name": "All", "trigger": "type = ", "settings": {"url": "https://hooks.example/x"}}
    answer = ask(side, f"/destinations/{made.id}/subscriptions", method="POST", json=given)
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["field"]) == (422, "trigger")
    assert not side.services.connections.destinations.get(side.workspace, made.id).mappings


def test_subscriptions_that_are_made_at_once_are_all_there_and_50_at_most(side: Side) -> None:
    source = side.services.sources.create(side.workspace, "Shop", NOW)
    destinations = side.services.connections.destinations
    made = destinations.create(side.workspace, source.id, "webhook", "Hook", {}, NOW)
    given = {"name": "All", "trigger": 'type = "track"', "settings": {"url": "https://hooks.example/x"}}
    token = side.token()

    def one(_: int) -> int:
        return ask(side, f"/destinations/{made.id}/subscriptions", token=token, method="POST", json=given).status_code

    with ThreadPoolExecutor(8) as several:
        statuses = Counter(several.map(one, range(52)))
    assert statuses == {200: 50, 422: 2}
    assert len({mapping["id"] for mapping in destinations.get(side.workspace, made.id).mappings}) == 50


def test_pages_follow_each_other_until_the_end(side: Side) -> None:
    for name in ("One", "Two", "Three"):
        side.services.sources.create(side.workspace, name, NOW)
    token = side.token()
    names, query = [], {"pagination[count]": "2"}
    while True:
        document = ask(side, "/sources", token=token, params=query).json()["data"]
        names += [source["name"] for source in document["sources"]]
        assert document["pagination"]["totalEntries"] == 3
        if not document["pagination"]["next"]:
            break
        query["pagination[cursor]"] = document["pagination"]["next"]
    assert names == ["One", "Two", "Three"]


WRONG = [
    ("/sources?pagination[count]=0", 422, "pagination.count"),
    ("/sources?pagination[count]=1001", 422, "pagination.count"),
    ("/sources?pagination[cursor]=nonsense", 422, "pagination.cursor"),
    ("/events/volume?granularity=WEEK&startTime=2026-11-24&endTime=2026-11-25", 422, "granularity"),
    ("/events/volume?granularity=HOUR&startTime=yesterday&endTime=2026-11-25", 422, "startTime"),
    ("/events/volume?granularity=DAY&startTime=2026-01-01&endTime=2026-11-25", 422, "endTime"),
    ("/catalog/destinations/unknown", 422, "metadataId"),
    ("/destinations/99", 404, ""),
]


@pytest.mark.parametrize(("path", "status", "field"), WRONG, ids=[path for path, _, _ in WRONG])
def test_what_is_wrong_is_named_in_segments_shape(side: Side, path: str, status: int, field: str) -> None:
    answer = ask(side, path)
    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["status"], error.get("field", "")) == (status, status, field)


def test_the_answer_has_segments_media_type(side: Side) -> None:
    assert ask(side, "/").headers["content-type"] == "application/vnd.segment.v1+json"


def test_a_token_may_what_its_scope_says(side: Side) -> None:
    source = side.services.sources.create(side.workspace, "Shop", NOW)
    body = {"sourceId": str(source.id), "metadataId": WEBHOOK, "settings": {"sharedSecret": "s"}}
    reading = side.token("read")
    assert httpx2.get(f"{side.address}/segment/public/").status_code == 401
    assert ask(side, "/", token="cw_wrong").status_code == 401
    assert ask(side, "/sources", token=reading).json()["data"]["sources"][0]["writeKeys"] == []
    assert ask(side, "/destinations", token=reading, method="POST", json=body).status_code == 403
    assert ask(side, "/destinations", method="POST", json=body).status_code == 200
    shown = ask(side, "/destinations", token=reading).json()["data"]["destinations"]
    assert shown[0]["settings"] == {"sharedSecret": "•••"}


def test_more_than_200_requests_a_minute_are_told_to_wait(side: Side) -> None:
    token = side.token("read")
    answers = [ask(side, "/", token=token) for _ in range(201)]
    assert {answer.status_code for answer in answers[:200]} == {200}
    assert answers[200].status_code == 429
    assert answers[200].headers["retry-after"] == answers[200].headers["x-ratelimit-reset"] == "1"


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"sourceId": 5}', b'{"sourceId": "1", "metadataId": "x"}'])
def test_a_body_that_is_no_destination_changes_nothing(side: Side, body: bytes) -> None:
    side.services.sources.create(side.workspace, "Shop", NOW)
    assert ask(side, "/destinations", method="POST", content=body).status_code == 422
    assert list(side.services.connections.destinations.list(side.workspace)) == []
