"""A root cause as pages show it: table, tree, and of what its figures speak."""

from __future__ import annotations

from typing import Any

from cliffwatch.streams.model import Slice
from cliffwatch.web.views.why import Branch, Why, why_of

VERSION, COUNTRY = "properties.app_version", "properties.country"


def cause(share: float, actual: float = 10, expected: float = 100, **slice_: str) -> dict[str, Any]:
    paths = {"version": VERSION, "country": COUNTRY}
    named = {paths[name]: value for name, value in slice_.items()}
    return {
        "slice": named,
        "actual": actual,
        "expected": expected,
        "share": share,
        "confidence": 0.95,
        "kind": "volume",
    }


def why(*causes: dict[str, Any], within: Slice = (), unit: str | None = None, **more: Any) -> Why:
    document = {"causes": list(causes), "actual": 10.0, "expected": 100.0, "unexplained": 0.1, **more}
    return why_of(document, "", unit, within, lambda slice_: "/" + "+".join(value for _, value in slice_))


def outline(branches: tuple[Branch, ...]) -> list[Any]:
    return [(branch.value, branch.share, outline(branch.branches)) for branch in branches]


def test_what_several_causes_share_stands_above_them_in_the_tree() -> None:
    told = why(
        cause(0.5, country="DE", version="4.2"), cause(0.3, country="DE", version="4.1"), cause(0.1, country="FR")
    )
    assert outline(told.tree) == [("DE", "80 %", [("4.2", "50 %", []), ("4.1", "30 %", [])]), ("FR", "10 %", [])]
    assert told.unexplained == "10 %"


def test_each_branch_leads_to_its_slice_within_what_was_explained() -> None:
    told = why(cause(0.5, version="4.2"), within=((COUNTRY, "DE"),))
    assert told.tree[0].href == told.causes[0].href == "/4.2+DE"
    assert told.within == "country DE"


def test_a_cause_against_the_change_has_its_sign() -> None:
    told = why(cause(1.2, country="DE"), cause(-0.2, actual=120, country="FR"))
    assert [row.share for row in told.causes] == ["120 %", "−20 %"]
    assert [branch.direction for branch in told.tree] == [-1, 1]


def test_the_slices_of_a_percentile_are_told_in_shares_of_events_above_it() -> None:
    driver = {"kind": "above", "threshold": 240.0, "rate": True, "actual": 0.14, "expected": 0.05}
    told = why(cause(0.9, 0.38, 0.05, version="4.2"), unit="ms", driver=driver, rate_effect=0.08, mix_effect=0.01)
    assert (told.causes[0].actual, told.causes[0].expected) == ("38 %", "5 %")
    assert "shares of events above 240 ms" in told.unit_note
    assert told.effects[0][1] == "+160 %"


def test_the_slices_of_a_maximum_are_told_in_events_beyond_it() -> None:
    driver = {"kind": "above", "threshold": 9_000.0, "rate": False, "actual": 12.0, "expected": 0.0}
    told = why(cause(1.0, 12, 0, version="4.2"), unit="EUR", driver=driver)
    assert (told.causes[0].actual, told.causes[0].change) == ("12", "new")
    assert "events above €9,000" in told.unit_note


def test_the_drivers_of_a_mix_are_told_by_their_weight() -> None:
    row = cause(0.4, 40, 20, country="DE") | {"kind": "mix", "actual_weight": 2_000.0, "expected_weight": 1_000.0}
    told = why(mix=[row])
    assert (told.mix[0].actual, told.mix[0].expected, told.mix[0].change) == ("2,000", "1,000", "+100 %")
    assert told.unexplained == ""


def test_what_moved_the_other_way_is_told_as_such() -> None:
    cause = {"slice": {"properties.app_version": "4.2.1"}, "actual": 1, "expected": 2, "share": 1.18, "kind": "volume"}
    told = why_of({"causes": [cause], "actual": 1, "expected": 2, "unexplained": 0.18}, "Why.", None, ())
    assert (told.unexplained, told.rest) == ("−18 %", "Everything else together moved the other way.")
