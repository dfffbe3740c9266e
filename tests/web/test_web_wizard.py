"""The wizard's draft: what was typed travels unharmed, becomes a definition, and each problem finds its field."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cliffwatch.spec.fql_form import OPERATORS, Condition
from cliffwatch.streams import parse, version_tag
from cliffwatch.streams.definition import InvalidDefinition
from cliffwatch.streams.model import Stream, StreamState
from cliffwatch.web.forms import Posted
from cliffwatch.web.views import problems, wizard
from cliffwatch.web.views.filter_form import FilterDraft, mark
from cliffwatch.web.views.wizard import Draft, MeasureDraft, PartDraft

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Z"]), max_size=12)
PARTS = st.builds(PartDraft, st.sampled_from(["count", "sum"]), WORDS, WORDS)
MEASURES = st.builds(MeasureDraft, st.sampled_from(["count", "sum", "ratio"]), WORDS, WORDS, WORDS, WORDS, PARTS, PARTS)
CONDITIONS = st.builds(Condition, WORDS, st.sampled_from([name for name, _ in OPERATORS]), WORDS)
FILTERS = st.builds(
    FilterDraft,
    st.sampled_from(["rows", "text"]),
    WORDS,
    st.sampled_from(["and", "or"]),
    st.lists(CONDITIONS, max_size=3).map(tuple),
)
TOPS = st.sampled_from(["5", "10", "x"])
DRAFTS = st.builds(
    lambda rows, **more: Draft(dimensions=tuple(path for path, _ in rows), tops=tuple(top for _, top in rows), **more),
    st.lists(st.tuples(WORDS, TOPS), max_size=3),
    source=st.none() | st.integers(1, 10**6),
    spec_type=st.sampled_from(["track", "page", "identify"]),
    events=st.lists(WORDS, max_size=3).map(tuple),
    custom=st.booleans(),
    measures=st.lists(MEASURES, max_size=3).map(tuple),
    filter=FILTERS,
    frequency=st.sampled_from(["60", "custom"]),
    every=WORDS.filter(bool),
    unit=st.sampled_from(["minutes", "hours", "days"]),
    anchor=WORDS.filter(bool),
    name=WORDS,
    base=st.none() | st.integers(1, 10**6),
    version=WORDS,
)


@given(DRAFTS)
def test_a_draft_travels_through_the_address_unharmed(draft: Draft) -> None:
    pairs = parse_qsl(draft.query("review"), keep_blank_values=True)
    assert wizard.read(Posted.of(pairs)) == draft


def test_rows_left_empty_do_not_count() -> None:
    draft = Draft(events=("", "Order Completed", ""), dimensions=("", "properties.country"))
    definition = parse(draft.definition("Europe/Berlin"))
    assert definition.events == ("Order Completed",)
    assert [dimension.path for dimension in definition.dimensions] == ["properties.country"]


def test_without_customising_events_are_counted() -> None:
    draft = Draft(events=("A",), custom=False, measures=(MeasureDraft("sum", "properties.revenue"),))
    assert [measure.key for measure in parse(draft.definition("UTC")).measures] == ["count()"]


def test_a_ratio_needs_no_path_of_its_own() -> None:
    measure = MeasureDraft("ratio", path="left over", numerator=PartDraft("sum", "properties.revenue"))
    draft = Draft(events=("A",), custom=True, measures=(measure,))
    assert parse(draft.definition("UTC")).measures[0].key == "ratio(sum(properties.revenue)/count())"


def test_identify_has_no_event_names() -> None:
    assert parse(Draft(spec_type="identify", events=("left over",)).definition("UTC")).events == ()


@pytest.mark.parametrize(
    ("draft", "minutes"),
    [
        (Draft(frequency="180"), 180),
        (Draft(frequency="custom", every="2", unit="days"), 2880),
        (Draft(frequency="custom", every="seven"), None),
        (Draft(frequency="custom", every="-3"), None),
    ],
)
def test_a_frequency_is_minutes_or_not_a_number(draft: Draft, minutes: int | None) -> None:
    assert draft.minutes == minutes


def test_editing_starts_from_the_stream_as_it_is() -> None:
    draft = Draft(
        source=3,
        events=("Order Completed",),
        dimensions=("properties.country",),
        tops=("25",),
        custom=True,
        measures=(MeasureDraft("sum", "properties.revenue", label="Revenue", unit="EUR"),),
        filter=FilterDraft.of("properties.revenue > 0"),
        frequency="custom",
        every="90",
        unit="minutes",
        anchor="09:00",
        name="Revenue",
    )
    definition = parse(draft.definition("Europe/Berlin"))
    stream = Stream(1, 1, 3, "Revenue", definition, StreamState.ACTIVE, 1, 1, 0, 0)
    assert wizard.of_stream(stream) == replace(draft, base=1, version=version_tag(stream))


def test_what_the_wizard_does_not_ask_stays_as_it_was() -> None:
    base = {
        "spec_type": "track",
        "dimensions": [{"path": "properties.country", "top": 3, "share": 0.1}],
        "schedule": {"frequency_minutes": 60, "anchor": "00:00", "time_zone": "Asia/Tokyo"},
        "sensitivity": "high",
    }
    draft = Draft(events=("A",), dimensions=("properties.plan", "properties.country"), tops=("5", "20"))
    found = draft.definition("UTC", base)
    assert found["sensitivity"] == "high"
    assert found["schedule"]["time_zone"] == "Asia/Tokyo"
    assert found["dimensions"] == [
        {"path": "properties.plan", "top": 5},
        {"path": "properties.country", "top": 20, "share": 0.1},
    ]


def problems_of(draft: Draft) -> dict[str, str]:
    with pytest.raises(InvalidDefinition) as raised:
        parse(draft.definition("Europe/Berlin"))
    return problems.placed(raised.value.fields, draft)


def test_a_bad_path_is_named_in_its_own_row() -> None:
    found = problems_of(Draft(events=("A",), dimensions=("", "properties.ok", "a..b")))
    assert found == {"dimension-2": "A path is names joined by dots, such as properties.plan."}


def test_a_missing_path_is_named_in_its_measure() -> None:
    found = problems_of(Draft(events=("A",), custom=True, measures=(MeasureDraft(), MeasureDraft("sum"))))
    assert list(found) == ["m_path-1"]
    assert found["m_path-1"].startswith("Sum needs the path of a number")


def test_a_track_stream_without_events_says_so_at_the_events() -> None:
    assert problems_of(Draft()) == {"events": "A Track stream needs at least one event name."}


def test_a_bad_filter_is_named_at_the_filter() -> None:
    found = problems_of(Draft(events=("A",), filter=FilterDraft("text", "properties.plan =")))
    assert list(found) == ["filter"]


@pytest.mark.parametrize(
    ("draft", "field"),
    [
        (Draft(events=("A",), frequency="custom", every="0"), "every"),
        (Draft(events=("A",), frequency="90000"), "frequency"),
        (Draft(events=("A",), anchor="25:00"), "anchor"),
    ],
)
def test_a_bad_schedule_is_named_on_the_second_page(draft: Draft, field: str) -> None:
    found = problems_of(draft)
    assert list(found) == [field]
    assert problems.step_of(found) == problems.SCHEDULE


def test_problems_of_both_pages_lead_to_the_first() -> None:
    assert problems.step_of({"anchor": "?", "events": "?"}) == problems.CONFIGURE


@pytest.mark.parametrize(
    ("minutes", "words"), [(60, "every hour"), (300, "every 5 hours"), (7, "every 7 minutes"), (2880, "every 2 days")]
)
def test_a_frequency_is_told_in_words(minutes: int, words: str) -> None:
    assert wizard.frequency_words(minutes) == words


def rows(*conditions: Condition, join: str = "and") -> FilterDraft:
    return FilterDraft("rows", "", join, conditions)


def test_a_filter_in_an_address_opens_as_rows_where_rows_can_say_it() -> None:
    simple = FilterDraft.read(Posted.of([("filter", 'properties.plan = "pro"')]))
    assert simple == rows(Condition("properties.plan", "is", "pro"))
    assert FilterDraft.read(Posted.of([("filter", "length(a) > 3")])) == FilterDraft("text", "length(a) > 3")


def test_rows_are_the_filter_and_empty_ones_do_not_count() -> None:
    typed = rows(Condition(""), Condition("properties.plan", "is", "pro"), Condition("event", "exists"), join="or")
    assert typed.fql() == 'properties.plan = "pro" or event != null'
    assert typed.errors() == {}


def test_a_row_that_is_not_complete_is_named() -> None:
    typed = rows(Condition("properties.plan", "is", "pro"), Condition("properties.plan", "is", ""))
    assert typed.errors() == {"condition-1": "Needs a value."}


def test_rows_become_text_and_come_back() -> None:
    typed = rows(Condition("properties.plan", "one_of", "pro, team"))
    written, note = typed.switched("text")
    assert (written.mode, written.text, note) == ("text", 'properties.plan in ["pro", "team"]', "")
    assert written.switched("rows") == (typed, "")


def test_text_that_says_more_than_rows_stays_text_and_says_why() -> None:
    written = FilterDraft("text", "(a = 1 or b = 2) and c = 3")
    same, note = written.switched("rows")
    assert same == written
    assert "says more than rows can" in note


def test_the_place_of_a_mistake_is_marked() -> None:
    assert mark("a = 1 && b = 2") == ("a = 1 ", "&", "& b = 2")
    assert mark("a =") == ("a =", " ", "")
    assert mark("a = 1") is None
