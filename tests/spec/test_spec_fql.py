"""FQL: what filters mean, and where a bad one goes wrong."""

from __future__ import annotations

import json
import time
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cliffwatch.errors import CliffwatchError, InvalidInput
from cliffwatch.spec.fql import InvalidFilter, compile_filter, filter_roots
from cliffwatch.spec.fql_functions import glob

HERE = Path(__file__).parent
EVENTS: dict[str, dict[str, Any]] = json.loads((HERE / "fql_oracle_events.json").read_text("utf-8"))
ORACLE = [json.loads(line) for line in (HERE / "fql_oracle.jsonl").read_text("utf-8").splitlines()]

ORACLE_IS_WRONG = {
    # The recorded library evaluates mapping triggers, a subset of FQL; here it departs from the documented language.
    "type = 'track'": "single quotes are never understood",
    'match(event, "*der*")': "two stars are not understood",
    'match(event, "O?der*")': "interior marks are not understood",
    'match(event, "[A-Z]*")': "sets are not understood",
    'type = "track" or type = "page" and name = "Nope"': "the last operator wins",
    '!(type = "track")': "the negation is lost",
    '!contains(properties.missing, "x")': "contains(null, x) is false, so its negation is true",
    '!match(event, "Order*")': "match(null, x) is false, so its negation is true",
    '!contains(properties.email, "@segment.com")': "contains(null, x) is false, so its negation is true",
    "properties.revenue != 1": "a missing value differs from every number",
    'event = "Order Completed" and': "half a filter is accepted",
    "all": "not supported",
    "": "not supported",
    '"a" in properties.tags': "not supported",
    "length(userId) > 0": "not supported",
    "length( userId ) < 1": "not supported",
    'lowercase(event) = "order completed"': "not supported",
    'typeof(userId) = "string"': "not supported",
    'type in ["track","page"]': "not supported",
    'anonymousId = "a1"': "not supported",
    "messageId != null": "not supported",
    'event = "Order \\"Q\\" Completed"': "not supported",
}


def holds(text: str, event: dict[str, Any] | None = None) -> bool:
    return compile_filter(text)(EVENTS["track"] if event is None else event)


@pytest.mark.parametrize(
    "line", [line for line in ORACLE if line["fql"] not in ORACLE_IS_WRONG], ids=lambda x: x["fql"]
)
def test_filters_agree_with_segments_own_library(line: dict[str, Any]) -> None:
    for name, expected in line["result"].items():
        try:
            assert compile_filter(line["fql"])(EVENTS[name]) is expected
        except InvalidFilter:
            assert line["error"] is not None


def test_every_excluded_line_of_the_library_is_one_that_it_recorded() -> None:
    assert set(ORACLE_IS_WRONG) <= {line["fql"] for line in ORACLE}


@pytest.mark.parametrize(
    ("text", "matching"),
    [
        ("type = 'track'", "track anon"),
        ('match(event, "*der*")', "track"),
        ('match(event, "O?der*")', "track"),
        ('match(event, "[A-Z]*")', "track anon"),
        ('type = "track" or type = "page" and name = "Nope"', "track anon"),
        ('!(type = "track")', "identify page"),
        ('!contains(properties.missing, "x")', "track identify page anon"),
        ('!match(event, "Order*")', "identify page anon"),
        ("properties.revenue != 1", "track identify page anon"),
        ("all", "track identify page anon"),
        ("", "track identify page anon"),
        ('"a" in properties.tags', "track"),
        ("length(userId) > 0", "track identify"),
        ('lowercase(event) = "order completed"', "track"),
        ('typeof(userId) = "string"', "track identify"),
        ('typeof(userId) = "null"', "page anon"),
        ('type in ["track", "page"]', "track page anon"),
        ("type in ('identify')", "identify"),
        ('anonymousId = "a1"', "track"),
        ("messageId = null", "track identify page anon"),
        ("properties.vip", "track"),
        ("!properties.vip", "identify page anon"),
        ("!( type in ['track', 'identify'] )", "page"),
        ("properties.revenue > 19 AND properties.qty <= 3", "track"),
        ("not type = 'track'", "identify page"),
    ],
)
def test_filters_mean_what_the_reference_says(text: str, matching: str) -> None:
    assert " ".join(name for name, event in EVENTS.items() if holds(text, event)) == matching


@pytest.mark.parametrize(
    "text",
    [
        "event = 'Button Clicked'",
        "type = 'identify' or type = 'track'",
        "match( context.library.version, '1.*' )",
        "type = 'track' and ( event = 'Click' or match( event, 'Button *' ) )",
        "'dark-mode' in properties.features",
        "contains(properties.features, 'discounts')",
        "length(properties.features) = 2",
        "!contains( context.library.name, 'xs' )",
        "properties.features = ['discounts', 'dark-mode']",
    ],
)
def test_the_references_own_examples_hold(text: str) -> None:
    event = {
        "event": "Button Clicked",
        "type": "track",
        "context": {"library": {"name": "analytics.js", "version": "1.0"}},
        "properties": {"features": ["discounts", "dark-mode"]},
    }
    assert holds(text, event)


@pytest.mark.parametrize(
    "text", ["event = 'Screen Tapped'", "context.path.path = '/login'", "'blink' in properties.tags"]
)
def test_the_references_own_counterexamples_do_not_hold(text: str) -> None:
    assert not holds(text)


def test_a_key_with_spaces_is_escaped() -> None:
    assert holds(r"properties.product\ 1.price = '19.99'", {"properties": {"product 1": {"price": "19.99"}}})


@pytest.mark.parametrize(
    "text",
    [
        "contains(null, 'x') = false",
        "length(null) = 0",
        "lowercase(null) = null",
        "typeof(null) = 'null'",
        "match(null, '*') = false",
        "number('abc') = null",
        "string(null) = null",
        "null = properties.missing",
    ],
)
def test_null_has_sensible_defaults(text: str) -> None:
    assert holds(text)


@pytest.mark.parametrize(
    "text",
    [
        "uppercase(event) = 'ORDER COMPLETED'",
        "snakecase(event) = 'order_completed'",
        "kebabcase('OrderCompleted now') = 'order-completed-now'",
        "titlecase('test string') = 'Test String'",
        "titlecase('ärger_über HTTPServer') = 'Ärger Über Http Server'",
        "length('ア') = 3",
        "typeof(properties.tags) = 'list'",
        "typeof(properties.vip) = 'bool'",
        "typeof(properties.qty) = 'number'",
        "typeof(properties.nested) = 'object'",
        "bool('yes') and !bool('') and !bool(0) and bool(properties.tags)",
        "string(properties.qty) = '3'",
        "number(properties.str) = 3",
        "number('4.5') > 4",
    ],
)
def test_functions_give_what_is_documented(text: str) -> None:
    assert holds(text)


@pytest.mark.parametrize(
    ("pattern", "text", "expected"),
    [
        ("a*d", "abcd", True),
        ("*", "", True),
        ("ab", "abc", False),
        ("a??d", "abcd", True),
        ("*d", "abcd", True),
        (r"ab\*d", "ab*d", True),
        (r"ab\*d", "abcd", False),
        ("ab[cC]d", "abCd", True),
        ("ab[a-z]d", "abcd", True),
        ("ab[A-Z]d", "abcd", False),
        ("[z-a]", "m", False),
        ("[", "[", True),
        ("[-a]", "-", True),
        ("a**b", "ab", True),
        ("*a*b*c", "xxaxbxbc", True),
        ("*a*b*c", "xxaxbxb", False),
        ("a.c", "abc", False),
        ("Ä*", "Äpfel", True),
        ("?", "", False),
        ("a\nb*", "a\nbc", True),
    ],
)
def test_globs_match_whole_texts(pattern: str, text: str, expected: bool) -> None:
    assert glob(pattern)(text) is expected


@given(st.text(alphabet="ab*?", max_size=8), st.text(alphabet="ab", max_size=8))
def test_globs_agree_with_the_shells(pattern: str, text: str) -> None:
    assert glob(pattern)(text) is fnmatchcase(text, pattern)


def test_a_pattern_of_many_stars_takes_no_time() -> None:
    predicate = compile_filter(f"match(event, '{'a*' * 40}b')")
    started = time.perf_counter()
    assert not predicate({"event": "a" * 5_000})
    assert time.perf_counter() - started < 2


@pytest.mark.parametrize(
    ("text", "position", "rule"),
    [
        ("event =", 7, "a path or a value is missing"),
        ("foo bar baz", 4, "comparison|expected"),
        ("event = 'unterminated", 8, "no closing quote"),
        ('event = oops"', 12, "no closing quote"),
        ("event == 'x'", 7, "one ="),
        ("a = 1 && b = 2", 6, "and"),
        ("(a = 1", 6, "“\\)” is expected"),
        ("a = 1)", 5, "“and” or “or”"),
        ("a = 1 b = 2", 6, "“and” or “or”"),
        ("and a = 1", 0, "needs a comparison before"),
        ("wrong(a) = 1", 0, "no function “wrong”"),
        ("length(a, b) = 1", 0, "takes 1 value"),
        ("contains(a)", 0, "takes 2 values"),
        ("length(a)", 9, "comparison"),
        ("'text'", 6, "comparison"),
        ("properties.revenue > 30.30.30", 21, "not a number"),
        ("a = #", 4, "not part of a filter"),
        ("a in", 4, "missing"),
        ("type in ['a' 'b']", 13, "“,” is expected"),
        ("a..b = 1", 1, "not part of a filter"),
    ],
)
def test_a_bad_filter_shows_the_place(text: str, position: int, rule: str) -> None:
    with pytest.raises(InvalidFilter, match=rule) as caught:
        compile_filter(text)
    assert caught.value.position == position
    assert str(caught.value).endswith(f"\n  {text}\n  {' ' * position}^")


def test_nesting_without_end_is_refused() -> None:
    with pytest.raises(InvalidFilter, match="nested more than 50 deep"):
        compile_filter("(" * 200 + "a = 1" + ")" * 200)
    with pytest.raises(InvalidFilter, match="nested more than 50 deep"):
        compile_filter("length(" * 200 + "a" + ")" * 200 + "= 1")


def test_a_long_text_is_refused() -> None:
    with pytest.raises(InvalidInput, match="5,000 characters"):
        compile_filter("a = 1 and " * 1_000 + "b = 2")


WORDS = ["a", "=", "'x'", "1", "and", "or", "!", "(", ")", "in", "[", "]", ",", "length", "null"]


@given(st.text(max_size=40) | st.lists(st.sampled_from(WORDS)).map(" ".join))
def test_any_text_is_a_filter_or_a_clear_error(text: str) -> None:
    try:
        predicate = compile_filter(text)
    except CliffwatchError:
        return
    assert predicate({"a": "x"}) in (True, False)


def test_the_fields_that_a_filter_looks_into_are_known() -> None:
    assert filter_roots("") == frozenset()
    assert filter_roots("length(userId) > 0 and type in ['track', properties.kind] or name = 'x'") == {
        "userId", "type", "properties", "name",
    }  # fmt: skip
    assert filter_roots("traits.email = null") == {"traits", "context"}
