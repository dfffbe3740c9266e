"""What is learnt of the events that come in, and what people may see of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import pytest

from cliffwatch.ingest import Source
from cliffwatch.ingest import catalogue as catalogue_module
from cliffwatch.ingest.discover import MAX_PATHS, Discovery, mask, merged_type, paths_of, type_of
from cliffwatch.spec import Event, Kind
from cliffwatch.spec.paths import compile_path


def resident_mb() -> float:
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


def post(client: httpx2.Client, source: Source, *messages: dict[str, Any]) -> None:
    batch = [{"type": "track", "userId": "u", **message} for message in messages]
    assert client.post("/v1/batch", json={"batch": batch}, auth=(source.write_key, "")).status_code == 200


def event(fields: dict[str, Any], name: str = "E") -> Event:
    return Event(1, Kind.TRACK, name, 5, 5, "m", 1, 1, "u", None, fields)


def test_events_are_listed_by_how_often_they_came(server: Any, client: httpx2.Client, source: Source) -> None:
    post(client, source, {"event": "Rare"}, *({"event": "Often"} for _ in range(30)), {"type": "page", "name": "Docs"})
    server.ingest.wait_absorbed()
    found = [(item.kind, item.name, item.count) for item in server.catalogue.events(source.id)]
    assert found == [(Kind.TRACK, "Often", 30), (Kind.PAGEVIEW, "Docs", 1), (Kind.TRACK, "Rare", 1)]
    assert [item.name for item in server.catalogue.events(source.id, Kind.TRACK, "RA")] == ["Rare"]


def test_counts_add_up_over_time(server: Any, client: httpx2.Client, source: Source) -> None:
    for _ in range(3):
        post(client, source, {"event": "E", "properties": {"plan": "pro"}})
        server.ingest.wait_absorbed()
    assert server.catalogue.events(source.id)[0].count == 3
    assert [(item.path, item.count) for item in server.catalogue.properties(source.id, Kind.TRACK, ["E"])] == [
        ("properties.plan", 3)
    ]


def test_paths_types_and_examples_are_found(server: Any, client: httpx2.Client, source: Source) -> None:
    properties = {
        "plan": "pro",
        "total": 9.5,
        "vip": True,
        "at": "2026-01-02T03:04:05Z",
        "items": [1],
        "none": None,
        "nested": {"deep": {"er": 1}},
        "total billed": 3,
    }
    post(client, source, {"event": "E", "properties": properties, "context": {"locale": "de-DE"}})
    server.ingest.wait_absorbed()
    found = {item.path: (item.type, item.example) for item in server.catalogue.properties(source.id, Kind.TRACK, ["E"])}
    assert found == {
        "properties.plan": ("string", "pro"),
        "properties.total": ("number", "9.5"),
        "properties.vip": ("boolean", "true"),
        "properties.at": ("date", "2026-01-02T03:04:05Z"),
        "properties.items": ("array", ""),
        "properties.none": ("null", ""),
        "properties.nested": ("object", ""),
        "properties.nested.deep": ("object", ""),
        "properties.nested.deep.er": ("number", "1"),
        "properties.total\\ billed": ("number", "3"),
        "context.locale": ("string", "de-DE"),
    }


def test_a_type_that_changes_is_mixed_and_null_says_nothing(server: Any, client: httpx2.Client, source: Source) -> None:
    for value in (None, 5, None, "five"):
        post(client, source, {"event": "E", "properties": {"x": value}})
        server.ingest.wait_absorbed()
    assert [item.type for item in server.catalogue.properties(source.id, Kind.TRACK, ["E"])] == ["mixed"]


def test_several_events_paths_are_joined(server: Any, client: httpx2.Client, source: Source) -> None:
    post(client, source, {"event": "A", "properties": {"x": 1}}, {"event": "B", "properties": {"x": "1", "y": 2}})
    server.ingest.wait_absorbed()
    found = [(item.path, item.type, item.count) for item in server.catalogue.properties(source.id, Kind.TRACK)]
    assert found == [("properties.x", "mixed", 2), ("properties.y", "number", 1)]


def test_names_beyond_the_limit_are_counted_together(
    server: Any, client: httpx2.Client, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue_module, "NAMES_PER_SOURCE", 5)
    post(client, source, *({"event": f"Name {number}"} for number in range(50)))
    server.ingest.wait_absorbed()
    found = {item.name: item.count for item in server.catalogue.events(source.id)}
    assert len(found) == 6
    assert found[catalogue_module.OTHER_NAMES] == 45
    assert sorted(item.name for item in server.catalogue.offered(source.id)) == [
        f"Name {number}" for number in range(5)
    ]


def test_paths_beyond_the_limit_of_an_event_are_counted_and_not_listed(
    server: Any, client: httpx2.Client, source: Source
) -> None:
    for part in range(5):
        post(client, source, {"event": "E", "properties": {f"key {part}-{n}": 1 for n in range(100)}})
        server.ingest.wait_absorbed()
    assert len(server.catalogue.properties(source.id, Kind.TRACK, ["E"])) == MAX_PATHS
    assert server.catalogue.left_out(source.id, Kind.TRACK, ["E"]) == 200


def test_paths_beyond_the_limit_of_a_source_are_counted_and_not_listed(
    server: Any, client: httpx2.Client, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue_module, "PATHS_PER_SOURCE", 30)
    for name in ("A", "B"):
        post(client, source, {"event": name, "properties": {f"{name} {n}": 1 for n in range(20)}})
        server.ingest.wait_absorbed()
    assert len(server.catalogue.properties(source.id, Kind.TRACK)) == 30
    assert server.catalogue.left_out(source.id, Kind.TRACK, ["A"]) == 0
    assert server.catalogue.left_out(source.id, Kind.TRACK, ["B"]) == 10


def test_a_path_longer_than_the_database_holds_is_left_out(server: Any, client: httpx2.Client, source: Source) -> None:
    post(client, source, {"event": "E", "properties": {"k" * 1_000: 1, "short": 2}})
    server.ingest.wait_absorbed()
    assert [item.path for item in server.catalogue.properties(source.id, Kind.TRACK, ["E"])] == ["properties.short"]
    assert server.catalogue.left_out(source.id, Kind.TRACK, ["E"]) == 1


def test_every_name_and_path_another_one_does_not_fill_the_memory(
    server: Any, client: httpx2.Client, source: Source
) -> None:
    def send(first: int, count: int) -> None:
        for start in range(first, first + count, 2_500):
            numbers = range(start, start + 2_500)
            batch = [{"type": "track", "userId": "u", "event": f"N{n}", "properties": {f"p{n}": n}} for n in numbers]
            assert client.post("/v1/batch", json={"batch": batch}, auth=(source.write_key, "")).status_code == 200
        assert server.ingest.wait_absorbed(60)

    send(0, 150_000)  # more than there is room for; the store's own memory has its size by then
    before = resident_mb()
    send(150_000, 100_000)
    assert resident_mb() - before < 60
    found = {item.name: item.count for item in server.catalogue.events(source.id)}
    assert len(found) == catalogue_module.NAMES_PER_SOURCE + 1
    assert found[catalogue_module.OTHER_NAMES] == 250_000 - catalogue_module.NAMES_PER_SOURCE
    assert len(server.catalogue.properties(source.id, Kind.TRACK)) <= catalogue_module.NAMES_PER_SOURCE + MAX_PATHS
    assert server.catalogue.left_out(source.id, Kind.TRACK) > 0


def test_every_path_that_is_listed_can_be_looked_up() -> None:
    fields = {"properties": {"a b": {"c.d": 1, "e\\f": 2, "ü": 3, "plain-key_1": 4}}}
    for path, type_, _ in paths_of(fields):
        assert compile_path(path)(fields) is not None, path
        assert type_ in ("object", "number")


def test_data_used_as_keys_does_not_fill_the_memory() -> None:
    found = Discovery()
    for number in range(1_000):
        found.look_into(event({"properties": {f"key {number}": 1}}), 1)
    assert len(found.paths) == MAX_PATHS


def test_nesting_is_followed_only_so_far() -> None:
    value: Any = 1
    for _ in range(50):
        value = {"k": value}
    assert len(list(paths_of({"properties": value}))) == 5


@pytest.mark.parametrize(
    ("key", "value", "example"),
    [
        ("plan", "pro", "pro"),
        ("email", "a@example.com", "•••"),
        ("contact", "a@example.com", "•••"),
        ("firstName", "Ada", "•••"),
        ("phone", 491701234567, "•••"),
        ("password", "x", "•••"),
        ("ip", "203.0.113.9", "•••"),
        ("card_last", "4111111111111111", "•••"),
        ("order", "4111111111111111", "••••••••••••1111"),
        ("vip", False, "false"),
        ("note", "x" * 100, "x" * 59 + "…"),
    ],
)
def test_an_example_gives_no_person_away(key: str, value: object, example: str) -> None:
    assert mask(key, value) == example


@pytest.mark.parametrize(
    ("value", "type_"),
    [
        ("x", "string"),
        ("2026-01-02", "date"),
        ("2026-01-02 03:04:05", "date"),
        ("2026-01-02 or so", "string"),
        (True, "boolean"),
        (1, "number"),
        ([], "array"),
        ({}, "object"),
        (None, "null"),
    ],
)
def test_values_have_the_type_that_people_expect(value: object, type_: str) -> None:
    assert type_of(value) == type_


def test_types_merge_in_any_order() -> None:
    assert merged_type("null", "number") == merged_type("number", "null") == "number"
    assert merged_type("number", "string") == merged_type("mixed", "string") == "mixed"


def test_a_very_long_text_costs_no_time(server: Any, client: httpx2.Client, source: Source) -> None:
    post(client, source, {"event": "E", "properties": {"text": "x" * 32_000, "k" * 200: "@" * 100}})
    assert server.ingest.wait_absorbed(1)


def test_verdicts_are_counted_by_the_hour(server: Any, client: httpx2.Client, source: Source) -> None:
    post(client, source, {"event": "E"}, {"event": ""})
    server.ingest.wait_absorbed()
    by_hour = server.catalogue.verdicts_by_hour(source.id, 0)
    assert [hour % 3_600_000 for hour in by_hour] == [0]
    assert list(by_hour.values()) == [{"accepted": 1, "event_not_defined": 1}]
