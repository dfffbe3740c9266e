"""Property paths: how they are written, what they find, and what a value becomes."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cliffwatch.errors import InvalidInput
from cliffwatch.ingest.discover import paths_of
from cliffwatch.spec.model import JsonValue
from cliffwatch.spec.paths import Reader, as_dimension, as_number, compile_path, join_path, split_path

EVENT: dict[str, JsonValue] = {
    "type": "track",
    "userId": "u1",
    "anonymousId": None,
    "properties": {
        "plan": "pro",
        "name": "in properties",
        "total billed": 12.5,
        "a.b": "dotted",
        "naïve “key”": "odd",
        "nested": {"deep": {"x": "yes"}},
        "products": [{"price": 3, "brand": "A"}, {"price": 4.5, "brand": "B"}, {"brand": "A"}],
        "tags": ["new", "sale", "new"],
    },
    "context": {"page": {"path": "/pricing"}, "traits": {"email": "a@b.example"}, "groupId": "g1"},
}


def find(path: str, event: dict[str, JsonValue] = EVENT) -> JsonValue:
    return compile_path(path)(event)


def test_names_are_joined_by_dots() -> None:
    assert split_path("context.page.path") == ("context", "page", "path")


def test_a_backslash_takes_the_next_character_literally() -> None:
    assert split_path(r"properties.a\.b") == ("properties", "a.b")
    assert split_path(r"properties.total\ billed") == ("properties", "total billed")


@given(st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=5))
def test_a_joined_path_splits_into_the_same_names(names: list[str]) -> None:
    assert split_path(join_path(names)) == tuple(names)


@pytest.mark.parametrize("path", ["", ".", "a.", ".a", "a..b", "a\\"])
def test_a_path_with_an_empty_name_is_refused(path: str) -> None:
    with pytest.raises(InvalidInput, match="names joined by dots"):
        split_path(path)


def test_nested_values_are_found() -> None:
    assert find("properties.plan") == "pro"
    assert find("context.page.path") == "/pricing"
    assert find("properties.nested.deep.x") == "yes"
    assert find("userId") == "u1"
    assert find(r"properties.naïve\ \“key\”") == "odd"


@pytest.mark.parametrize("path", ["missing", "properties.missing", "properties.plan.deeper", "userId.x", "a.b.c.d"])
def test_what_is_not_there_is_none(path: str) -> None:
    assert find(path) is None


def test_every_path_that_the_catalogue_offers_is_found() -> None:
    for path, _, _ in paths_of(EVENT):
        assert find(path) is not None


def test_a_name_is_taken_from_the_top_level_first() -> None:
    assert find("name", {"name": "Home", "properties": {"name": "copy"}}) == "Home"
    assert find("name", {"name": None, "properties": {"name": "copy"}}) == "copy"
    assert find("name", {"properties": None}) is None


def test_traits_of_a_track_are_those_of_its_context() -> None:
    assert find("traits.email") == "a@b.example"
    assert find("traits.email", {"traits": {"email": "own"}, "context": {"traits": {"email": "old"}}}) == "own"
    assert find("groupId") == "g1"


def test_a_path_through_an_array_hits_every_element() -> None:
    assert find("properties.products.price") == [3, 4.5]
    assert find("properties.products.brand") == ["A", "B", "A"]
    assert find("properties.products.colour") is None


def test_a_number_picks_one_element() -> None:
    assert find("properties.products.1.price") == 4.5
    assert find("properties.products.7.price") is None
    assert find("properties.products.99999999999999999999") is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("DE", "DE"),
        (None, ""),
        (True, "true"),
        (False, "false"),
        (3, "3"),
        (3.0, "3"),
        (-0.0, "0"),
        (3.25, "3.25"),
        (1e300, "1e+300"),
        (["a", "b", "a", None, 2.0], "a, b, 2"),
        ({"a": 1}, ""),
        ("x" * 500, "x" * 200),
    ],
)
def test_a_value_becomes_text(value: JsonValue, text: str) -> None:
    assert as_dimension(value) == text


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (19.99, 19.99),
        (3, 3.0),
        ("19.99", 19.99),
        (" -1e3 ", -1000.0),
        (True, 1.0),
        (False, 0.0),
        ([1, "2", None, 3.5], 6.5),
    ],
)
def test_a_value_becomes_a_number(value: JsonValue, number: float) -> None:
    assert as_number(value) == number


@pytest.mark.parametrize(
    "value", [None, "", "abc", "1_000", "1,5", "nan", "inf", "1e999", "١٢", [], ["x"], {}, 10**400]
)
def test_what_is_no_finite_number_is_missing(value: JsonValue) -> None:
    assert math.isnan(as_number(value))


def test_paths_read_together_are_those_read_one_by_one() -> None:
    paths = ["userId", "properties.plan", "traits.email", "context.page.path", "context.groupId", "properties.missing"]
    paths += ["name", r"properties.a\.b", "properties.products.brand", "properties.plan"]
    reader = Reader(paths)
    assert sorted(reader.paths) == sorted(set(paths))
    for event in (EVENT, {}, {"properties": None, "context": None}):
        assert reader.read(event) == [find(path, event) for path in reader.paths]
