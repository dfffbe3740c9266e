"""Cases small enough to be checked by hand. A shop of countries x plans; each number can be added up on paper."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from cliffwatch.errors import InvalidInput
from cliffwatch.explain import Cause, Explanation, Kind, Leaves, Reason, explain, sentence, to_json

COUNTRIES = ("DE", "FR", "GB", "US", "NL", "ES")
PLANS = ("free", "pro", "team", "max")
DEVICES = ("phone", "tablet", "desk")


def cube(level: float = 1000.0) -> tuple[dict[str, list[str]], np.ndarray]:
    """72 leaves of `level`, a few percent apart, so that nothing is exactly alike."""
    cells = list(itertools.product(COUNTRIES, PLANS, DEVICES))
    columns = {name: [cell[i] for cell in cells] for i, name in enumerate(("country", "plan", "device"))}
    return columns, level * (1 + 0.02 * np.sin(np.arange(len(cells))))


def where(columns: dict[str, list[str]], **values: str) -> np.ndarray:
    inside = np.ones(len(columns["country"]), bool)
    for name, value in values.items():
        inside &= np.array(columns[name]) == value
    return inside


def named(explanation: Explanation) -> list[dict[str, str]]:
    return [cause.slice for cause in explanation.causes]


def test_two_overlapping_causes_are_both_named_and_their_overlap_counts_once() -> None:
    """DE lost 90 %, free lost 40 % everywhere else: the leaf (DE, free) belongs to the surer one alone."""
    columns, expected = cube()
    actual = expected.copy()
    actual[where(columns, plan="free")] *= 0.6
    actual[where(columns, country="DE")] = 0.1 * expected[where(columns, country="DE")]
    explanation = explain(Leaves.from_columns(columns, actual, expected))
    assert sorted(map(str, named(explanation))) == ["{'country': 'DE'}", "{'plan': 'free'}"]
    assert sum(cause.share for cause in explanation.causes) == pytest.approx(1.0, abs=0.01)
    assert explanation.unexplained == pytest.approx(0.0, abs=0.01)


def test_opposite_signs_that_cancel_in_the_total_are_both_named() -> None:
    """DE gains what FR loses: the total stays, and each is half of all that moved."""
    columns, expected = cube(1000.0)
    actual = expected.copy()
    actual[where(columns, country="DE")] += 300
    actual[where(columns, country="FR")] -= 300
    explanation = explain(Leaves.from_columns(columns, actual, expected))
    assert named(explanation) == [{"country": "DE"}, {"country": "FR"}]
    assert [round(cause.share, 2) for cause in explanation.causes] == [0.5, -0.5]
    told = sentence(explanation, measure="Revenue")
    assert told == "Revenue is as expected in total; country DE is 30 % above and country FR is 30 % below."


def test_a_new_value_is_named_with_an_expectation_of_nothing() -> None:
    columns, expected = cube()
    actual = expected.copy()
    expected = np.where(where(columns, country="ES"), 0.0, expected)
    explanation = explain(Leaves.from_columns(columns, actual, expected))
    assert named(explanation) == [{"country": "ES"}]
    assert explanation.causes[0].expected == 0
    assert explanation.causes[0].share == pytest.approx(1.0)


def test_a_vanished_value_is_named_with_an_actual_of_nothing() -> None:
    columns, expected = cube()
    actual = np.where(where(columns, device="tablet"), 0.0, expected)
    explanation = explain(Leaves.from_columns(columns, actual, expected))
    assert named(explanation) == [{"device": "tablet"}]
    assert explanation.causes[0].actual == 0
    assert sentence(explanation, measure="Orders").endswith("; all of it is device tablet.")


def test_a_ratio_that_moved_by_mix_alone_names_no_rate_cause() -> None:
    """Simpson's paradox: phone converts 2 of 100 and desk 10 of 100, now as ever, but phones doubled."""
    columns = {"device": ["phone", "desk"] * 3, "country": ["DE", "DE", "FR", "FR", "GB", "GB"]}
    expected_weight, weight = np.array([1000.0, 1000] * 3), np.array([2000.0, 1000] * 3)
    rate = np.array([0.02, 0.10] * 3)
    explanation = explain(Leaves.from_columns(columns, rate * weight, rate * expected_weight, weight, expected_weight))
    assert explanation.expected_value == pytest.approx(0.06)
    assert explanation.actual_value == pytest.approx(0.14 / 3)
    assert explanation.causes == ()
    assert explanation.reason is Reason.MIX_ONLY
    assert explanation.rate_effect == pytest.approx(0.0, abs=2e-4)
    assert [cause.slice for cause in explanation.mix] == [{"device": "phone"}]
    assert explanation.mix[0].kind is Kind.MIX
    assert "more of device phone" in sentence(explanation, measure="Conversion")


def test_a_rate_that_rose_everywhere_while_the_total_fell_is_told_as_rate_and_mix_apart() -> None:
    """Simpson's paradox with a rate in it: every device converts better than expected (2 % -> 3 %, 10 % -> 12 %), and
    the total is worse, because four of five visits are on a phone now instead of one of two."""
    columns = {"device": ["phone", "desk"], "kind": ["small", "large"]}
    expected_weight, weight = np.array([50_000.0, 50_000.0]), np.array([80_000.0, 20_000.0])
    expected, actual = np.array([1_000.0, 5_000.0]), np.array([2_400.0, 2_400.0])
    explanation = explain(Leaves.from_columns(columns, actual, expected, weight, expected_weight))
    assert (explanation.expected_value, explanation.actual_value) == (0.06, 0.048)
    assert explanation.rate_effect == pytest.approx(0.8 * 0.01 + 0.2 * 0.02, abs=1e-4)
    assert explanation.mix_effect == pytest.approx(0.3 * 0.02 - 0.3 * 0.10, abs=1e-4)


def test_one_leaf_has_nothing_to_compare_with() -> None:
    explanation = explain(Leaves.from_columns({"country": ["DE"]}, [5.0], [100.0]))
    assert (explanation.causes, explanation.reason) == ((), Reason.ONE_LEAF)
    assert explanation.unexplained == 1.0


def test_no_dimension_is_said() -> None:
    explanation = explain(Leaves.from_columns({}, [5.0, 7.0], [100.0, 9.0]))
    assert explanation.reason is Reason.NO_DIMENSION


def test_no_leaf_is_said() -> None:
    assert explain(Leaves.from_columns({"country": []}, [], [])).reason is Reason.NO_LEAVES


def test_a_constant_that_stayed_changed_nowhere() -> None:
    columns, _ = cube()
    same = np.full(72, 7.0)
    explanation = explain(Leaves.from_columns(columns, same, same))
    assert (explanation.reason, explanation.unexplained) == (Reason.NO_CHANGE, 0.0)


def test_a_constant_of_which_one_leaf_moved_names_that_leaf() -> None:
    columns, _ = cube()
    expected = np.full(72, 400.0)
    leaf = where(columns, country="GB", plan="team", device="desk")
    explanation = explain(Leaves.from_columns(columns, np.where(leaf, 20.0, expected), expected))
    assert named(explanation) == [{"country": "GB", "plan": "team", "device": "desk"}]


def test_negative_values_such_as_refunds_are_explained_like_others() -> None:
    """Every leaf refunds 1,000; FR refunds 3,000: its sum is further below zero, by 24,000 of 72,000."""
    columns, level = cube()
    actual = -level * np.where(where(columns, country="FR"), 3.0, 1.0)
    explanation = explain(Leaves.from_columns(columns, actual, -level))
    assert named(explanation) == [{"country": "FR"}]
    assert explanation.causes[0].actual < explanation.causes[0].expected < 0
    assert explanation.causes[0].share == pytest.approx(1.0)
    assert "33 % below expected" in sentence(explanation, measure="Balance")


def test_one_of_300_values_is_found_among_them() -> None:
    cells = list(itertools.product([f"city {i}" for i in range(300)], DEVICES))
    columns = {"city": [cell[0] for cell in cells], "device": [cell[1] for cell in cells]}
    expected = 200 * (1 + 0.02 * np.sin(np.arange(900)))
    actual = np.where(np.array(columns["city"]) == "city 137", 0.5, 1.0) * expected
    explanation = explain(Leaves.from_columns(columns, actual, expected))
    assert named(explanation) == [{"city": "city 137"}]


def test_everything_that_halved_is_no_slice_s_fault() -> None:
    columns, expected = cube()
    explanation = explain(Leaves.from_columns(columns, expected / 2, expected))
    assert (explanation.causes, explanation.reason) == ((), Reason.EVENLY)
    assert explanation.everywhere == pytest.approx(1.0)


def test_children_that_moved_alike_become_their_parent_and_a_lone_child_stays_itself() -> None:
    columns, expected = cube()
    alike = where(columns, country="US")
    alone = where(columns, country="NL", plan="pro")
    actual = expected * np.where(alike, 0.5, np.where(alone, 0.2, 1.0))
    explanation = explain(Leaves.from_columns(columns, actual, expected))
    assert named(explanation) == [{"country": "US"}, {"country": "NL", "plan": "pro"}]


def test_failures_that_appear_in_two_slices_are_named_though_none_was_ever_expected() -> None:
    columns, _ = cube()
    actual = np.zeros(72)
    actual[where(columns, country="DE", plan="free")] = 6.0
    actual[where(columns, country="US", plan="max")] = 6.0
    explanation = explain(Leaves.from_columns(columns, actual, np.zeros(72)))
    found = sorted(str(slice_) for slice_ in named(explanation))
    assert found == ["{'country': 'DE', 'plan': 'free'}", "{'country': 'US', 'plan': 'max'}"]


def test_a_number_that_is_none_is_refused_with_its_leaf() -> None:
    with pytest.raises(InvalidInput, match="leaf 2"):
        explain(Leaves.from_columns({"country": ["DE", "FR"]}, [1.0, float("nan")], [1.0, 1.0]))


def test_the_order_of_leaves_and_dimensions_does_not_matter() -> None:
    columns, expected = cube()
    actual = expected * np.where(where(columns, country="US", device="desk"), 0.5, 1.0)
    order = np.random.default_rng(4).permutation(72)
    turned = {name: [columns[name][i] for i in order] for name in reversed(columns)}
    first = explain(Leaves.from_columns(columns, actual, expected))
    second = explain(Leaves.from_columns(turned, actual[order], expected[order]))
    assert [cause.slice for cause in first.causes] == [cause.slice for cause in second.causes]


def test_an_explanation_is_plain_json() -> None:
    columns, expected = cube()
    document = to_json(explain(Leaves.from_columns(columns, expected * 0.5, expected)))
    assert json.loads(json.dumps(document)) == document


def test_one_cause_that_lost_more_than_the_whole_did_is_all_of_it_in_words() -> None:
    cause = Cause((("app", "4.2.1"),), 10.0, 128.0, 1.18, 0.99, Kind.VOLUME)
    told = sentence(Explanation((cause,), 100.0, 200.0, 0.0), measure="Orders")
    assert told == "Orders is 50 % below expected; all of it is app 4.2.1."
