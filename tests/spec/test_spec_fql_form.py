"""A filter as rows of a form: what rows say is what the text says, there and back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cliffwatch.spec.fql import compile_filter
from cliffwatch.spec.fql_form import OPERATORS, VALUELESS, Condition, Form, InvalidCondition, from_fql, to_fql

PATHS = st.sampled_from(
    ["properties.plan", "context.app.version", "traits.e-mail", "properties.total\\ billed", "event"]
)
VALUES = st.one_of(
    st.text(min_size=1, max_size=12).filter(str.strip),
    st.sampled_from(["5", "-2.5", "true", "null", '"5"', '"a, b"', "a,b", 'say "hi"', "*", "a\\", "[x]", "1e3", "x y"]),
)
NAMES = [name for name, _ in OPERATORS]
CONDITIONS = st.builds(Condition, PATHS, st.sampled_from(NAMES), VALUES)
FORMS = st.builds(Form, st.sampled_from(["and", "or"]), st.lists(CONDITIONS, min_size=1, max_size=4).map(tuple))


@given(FORMS)
def test_rows_become_text_and_come_back_saying_the_same(form: Form) -> None:
    text = to_fql(form)
    compile_filter(text)
    again = from_fql(text)
    assert again is not None
    assert to_fql(again) == text
    assert [one.operator for one in again.conditions] == [one.operator for one in form.conditions]


@given(st.sampled_from(NAMES), VALUES, st.one_of(st.text(max_size=6), st.integers(-5, 5), st.none(), st.booleans()))
def test_a_row_means_what_it_says(operator: str, value: str, actual: object) -> None:
    keeps = compile_filter(to_fql(Form("and", (Condition("properties.x", operator, value),))))
    event = {"properties": {"x": actual}}
    opposites = {"is": "is_not", "contains": "contains_not", "exists": "exists_not"}
    if operator in opposites:
        other = compile_filter(to_fql(Form("and", (Condition("properties.x", opposites[operator], value),))))
        assert keeps(event) is not other(event)
    if operator == "exists":
        assert keeps(event) is (actual is not None)
    if operator in ("starts", "ends") and isinstance(actual, str) and not value.startswith('"'):
        wanted = value.strip()
        assert keeps(event) is (actual.startswith(wanted) if operator == "starts" else actual.endswith(wanted))


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("", []),
        ("all", []),
        ('properties.plan = "pro"', [Condition("properties.plan", "is", "pro")]),
        ("properties.plan = 'pro'", [Condition("properties.plan", "is", "pro")]),
        ('properties.code = "5"', [Condition("properties.code", "is", '"5"')]),
        ("properties.vip = TRUE", [Condition("properties.vip", "is", "true")]),
        ("properties.revenue >= 10", [Condition("properties.revenue", "at_least", "10")]),
        ('properties.plan in ["a", "b, c", 3]', [Condition("properties.plan", "one_of", 'a, "b, c", 3')]),
        ("traits.email != null", [Condition("traits.email", "exists")]),
        ('!contains(traits.email, "@test")', [Condition("traits.email", "contains_not", "@test")]),
        ('match(properties.sku, "AB*")', [Condition("properties.sku", "starts", "AB")]),
        ('match(properties.file, "*.pdf")', [Condition("properties.file", "ends", ".pdf")]),
    ],
)
def test_a_filter_that_rows_can_say_is_read(text: str, rows: list[Condition]) -> None:
    form = from_fql(text)
    assert form is not None
    assert list(form.conditions) == rows


def test_conditions_keep_how_they_are_joined() -> None:
    form = from_fql("a = 1 or b = 2 or c = 3")
    assert form is not None
    assert (form.join, len(form.conditions)) == ("or", 3)


@pytest.mark.parametrize(
    "text",
    [
        "a = 1 and b = 2 or c = 3",
        "(a = 1 or b = 2) and c = 3",
        "!(a = 1)",
        "a = b",
        "length(a) > 3",
        'match(a, "x?y*")',
        'match(a, "*x*")',
        "properties.vip",
        "a in b",
        "a > null",
        "a =",
        "a = 1 and",
    ],
)
def test_a_filter_that_says_more_than_rows_stays_text(text: str) -> None:
    assert from_fql(text) is None


@pytest.mark.parametrize(
    ("condition", "rule"),
    [
        (Condition("", "is", "x"), "needs a path"),
        (Condition("a b", "is", "x"), "needs a path"),
        (Condition("null", "is", "x"), "needs a path"),
        (Condition("a..b", "is", "x"), "needs a path"),
        (Condition("properties.plan", "is", " "), "needs a value"),
        (Condition("properties.plan", "resembles", "x"), "not known"),
    ],
)
def test_a_row_that_makes_no_filter_is_named(condition: Condition, rule: str) -> None:
    with pytest.raises(InvalidCondition, match=rule) as raised:
        to_fql(Form("and", (Condition("event", "is", "A"), condition)))
    assert raised.value.row == 1


@pytest.mark.parametrize("operator", VALUELESS)
def test_existence_needs_no_value(operator: str) -> None:
    assert compile_filter(to_fql(Form("and", (Condition("properties.plan", operator, ""),))))
