"""The wizard's draft: what was typed travels unharmed, becomes a definition, and each problem finds its field."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cliffwatch.streams import parse
from cliffwatch.streams.definition import InvalidDefinition
from cliffwatch.streams.model import Stream, StreamState
from cliffwatch.web.forms import Posted
from cliffwatch.web.views import estimate, problems, wizard
from cliffwatch.web.views.wizard import Draft, MeasureDraft, PartDraft

WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Z"]), max_size=12)
PARTS = st.builds(PartDraft, st.sampled_from(["count", "sum"]), WORDS, WORDS)
MEASURES = st.builds(MeasureDraft, st.sampled_from(["count", "sum", "ratio"]), WORDS, WORDS, WORDS, WORDS, PARTS, PARTS)
DRAFTS = st.builds(
    Draft,
    source=st.none() | st.integers(1, 10**6),
    spec_type=st.sampled_from(["track", "page", "identify"]),
    events=st.lists(WORDS, max_size=3).map(tuple),
    dimensions=st.lists(WORDS, max_size=3).map(tuple),
    custom=st.booleans(),
    measures=st.lists(MEASURES, max_size=3).map(tuple),
    filter=WORDS,
    frequency=st.sampled_from(["60", "custom"]),
    every=WORDS.filter(bool),
    unit=st.sampled_from(["minutes", "hours", "days"]),
    anchor=WORDS.filter(bool),
    name=WORDS,
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
        custom=True,
        measures=(MeasureDraft("sum", "properties.revenue", label="Revenue", unit="EUR"),),
        filter="properties.revenue > 0",
        frequency="custom",
        every="90",
        unit="minutes",
        anchor="09:00",
        name="Revenue",
    )
    definition = parse(draft.definition("Europe/Berlin"))
    stream = Stream(1, 1, 3, "Revenue", definition, StreamState.ACTIVE, 1, 1, 0, 0)
    assert wizard.of_stream(stream) == draft


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
    found = problems_of(Draft(events=("A",), filter="properties.plan ="))
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


def test_series_are_estimated_from_what_was_seen() -> None:
    definition = parse(Draft(events=("A",), dimensions=("properties.country",)).definition("UTC"))
    sample = [{"properties": {"country": country}} for country in ("DE", "FR", "DE", None)]
    found = estimate.estimate(definition, sample, 4)
    assert (found.series, found.exact) == (4, True)  # the total, DE, FR, (not set)


def test_without_events_the_estimate_is_an_upper_bound() -> None:
    definition = parse(Draft(events=("A",), dimensions=("properties.country",)).definition("UTC"))
    assert estimate.tiles(estimate.estimate(definition, [], 0), definition)[0][1] == "up to 12"


def test_a_dimension_with_one_value_is_worth_a_warning() -> None:
    definition = parse(Draft(events=("A",), dimensions=("properties.plan",)).definition("UTC"))
    found = estimate.estimate(definition, [{"properties": {"plan": "free"}}] * 3, 3)
    assert "properties.plan has one value only" in estimate.warning(found)
