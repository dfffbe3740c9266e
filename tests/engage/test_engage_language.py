"""The query language: what it takes, where it says that something is wrong, and printing back."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engage.strategies import audiences, computed_traits

from cliffwatch.engage.language import Definition, InvalidQuery, parse_audience, parse_trait, show
from cliffwatch.engage.language.model import Condition, Reduce
from cliffwatch.errors import CliffwatchError

DOCUMENTED = (
    "event('Shoes Bought').where( property('price') >= 100 ).within(7 days).count() >= 1",
    """event('Shoes Bought').where(
        property('price') >= trait('avg_spend')
        AND
        event('Shoes Returned').within(parent: 5 days).count() >= 1
    ).within(30 days).count() >= 1""",
    "NOT ( event('Shoes Bought').count() >= 1 AND trait('total_spend') > 200 )",
    "event('A').between(7 days, 10 days).count().at_least(2) OR trait('k').one_of('a', 'b')",
    "event('A').sources({exclude: ['x', 'y']}).unique(property('sku')).count() = 3",
    "event('A').where(event('B').where(property('sku') = property(parent: 'sku')).count() = 0).count() > 0",
)
DOCUMENTED_TRAITS = (
    "event('Shoes Bought').within(30 days).avg(property('spend'))",
    "event('Shoes Bought').where( property('price') > 100 AND property('brand') = 'My Brand' ).min(property('spend'))",
    "event('Shoes Bought').within(30 days).mode(property('spend'), 2)",
    "event('Shoes Bought').max(property('spend') as string)",
    "event('Page Viewed').expires_after(1 hour).last(context('page.url'))",
)


@pytest.mark.parametrize("text", DOCUMENTED)
def test_a_documented_audience_is_taken_and_printed_back_with_the_same_meaning(text: str) -> None:
    definition = parse_audience(text)
    assert parse_audience(show(definition)) == definition


@pytest.mark.parametrize("text", DOCUMENTED_TRAITS)
def test_a_documented_computed_trait_is_taken_and_printed_back_with_the_same_meaning(text: str) -> None:
    definition = parse_trait(text)
    assert parse_trait(show(definition)) == definition


@settings(max_examples=100, deadline=None)
@given(audiences)
def test_any_audience_printed_and_parsed_again_is_the_same(definition: Condition) -> None:
    assert parse_audience(show(definition)) == definition


@settings(max_examples=100, deadline=None)
@given(computed_traits)
def test_any_computed_trait_printed_and_parsed_again_is_the_same(definition: Reduce) -> None:
    assert parse_trait(show(definition)) == definition


PIECES = (
    *("event('A')", "trait('k')", "property('p')", "context('page.url')", ".where(", ")", ".within(", "7", "days", ","),
    *(".count()", ">=", "<=", "=", "!=", ">", "1", "2.5", "AND", "OR", "NOT", "(", ".exists()", ".one_of('a'", "'b')"),
    *(".between(", ".sources({exclude:", "['x']})", ".unique(", ".avg(", ".mode(", "as", "string", "parent:", "{"),
)


@settings(max_examples=150, deadline=None)
@given(
    st.text(max_size=60) | st.lists(st.sampled_from(PIECES), max_size=20).map(" ".join),
    st.sampled_from([parse_audience, parse_trait]),
)
def test_any_text_is_a_query_or_a_clear_error(text: str, parse: Callable[[str], Definition]) -> None:
    try:
        definition = parse(text)
    except CliffwatchError:
        return
    assert parse(show(definition)) == definition


def test_and_binds_tighter_than_or() -> None:
    a, b, c = (f"trait('{key}').exists()" for key in "abc")
    assert parse_audience(f"{a} OR {b} AND {c}") == parse_audience(f"{a} OR ({b} AND {c})")


@pytest.mark.parametrize(
    ("text", "wrong", "says"),
    [
        ("", "", "expected here, not the end"),
        ("event('A')", None, "a reducer such as .count() is missing"),
        ("event('A').count()", None, "a comparison such as >= 1"),
        ("event(A).count() > 1", "A)", "the name of an event in quotes"),
        ("event('A').count() > 'x'", "'x'", "a number is expected"),
        ("event('A').within(7 weeks).count() > 1", "weeks", "hours or days"),
        ("event('A').within(0 days).count() > 1", "0 days", "a length of time"),
        ("event('A').counts() > 1", "counts", "a filter or a reducer"),
        ("event('A').where(property('p') = 1.count() > 1", "1.count", "not a number"),
        ("trait('a').exists() trait('b').exists()", "trait('b')", "“AND” or “OR” is expected"),
        ("property('a') = 1", "property", "stands within where"),
        ("ANY event('A').count() > 1", "ANY", "asks about accounts"),
        ("trait('a').before_date('tomorrow')", "'tomorrow'", "a date is a time with its zone"),
        ("event('A').where(event('B').within(5 days).count() > 0).count() > 0", "5 days", "begins with “parent:”"),
        ("event('A').within(parent: 5 days).count() > 0", "parent", "within an event that is within"),
        ("trait('a') = ‘x’", "‘x’", "quotes are straight"),
        ("trait('a", "'a", "no closing quote"),
        ("trait('a..b').exists()", "'a..b'", "names joined by dots"),
        ("trait('a') > ", None, "expected here, not the end"),
        ("event('A').where(property('a..b') = 1).count() > 0", "'a..b'", "names joined by dots"),
    ],
)
def test_an_error_points_at_the_very_place(text: str, wrong: str | None, says: str) -> None:
    with pytest.raises(InvalidQuery, match=re.escape(says)) as raised:
        parse_audience(text)
    assert raised.value.position == (len(text) if wrong is None else text.index(wrong))


def test_more_than_fifty_expressions_are_refused_at_the_one_too_many() -> None:
    text = " OR ".join(["trait('a').exists()"] * 51)
    with pytest.raises(InvalidQuery, match="at most 50") as raised:
        parse_audience(text)
    assert raised.value.position == text.rindex("trait")


def test_a_computed_trait_is_not_a_comparison() -> None:
    with pytest.raises(InvalidQuery, match="one value, without a comparison") as raised:
        parse_trait("event('A').count() > 1")
    assert raised.value.position == len("event('A').count() ")
