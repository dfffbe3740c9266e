"""Why a measure moved, end to end over a real event store: small shops whose answer can be checked by hand.

Each of the four weeks before, the hour from T0 had the same events; `now` is that hour of this week.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from cliffwatch.errors import InvalidInput
from cliffwatch.explain import Reason
from cliffwatch.pipeline.causes import Answer, Forecast, Stretch, explain_stretch, to_document, to_sentence
from cliffwatch.pipeline.periods import Base
from cliffwatch.store import EventStore, FactBatch, open_store
from cliffwatch.streams import Slice, Stream, StreamState, Window, parse

MINUTE, HOUR = 60_000, 3_600_000
DAY = 24 * HOUR
WEEK = 7 * DAY
T0 = 1_795_392_000_000  # 2026-11-23 00:00 UTC, a Monday
WEEKS = range(1, 5)

Event = tuple[str, str, int, float]  # country, version, user, milliseconds


@pytest.fixture
def store() -> Iterator[EventStore]:
    store = open_store(None)
    yield store
    store.close()


def stream(*measures: dict[str, object]) -> Stream:
    definition = parse(
        {
            "spec_type": "track",
            "events": ["Loaded"],
            "dimensions": [{"path": "properties.country"}, {"path": "properties.version"}],
            "measures": [*measures, {"aggregation": "count"}, {"aggregation": "p95", "path": "properties.ms"}],
            "schedule": {"frequency_minutes": 60},
        }
    )
    return Stream(1, 1, 1, "Pages", definition, StreamState.ACTIVE, 1, 1, 0, 0)


def put(store: EventStore, at_ms: int, events: Sequence[Event]) -> None:
    rows = len(events)
    rng = np.random.default_rng(at_ms // 1000)
    store.write(
        None,
        FactBatch(
            stream_id=np.ones(rows, np.int64),
            ts_ms=np.sort(rng.integers(at_ms, at_ms + HOUR, rows)),
            message_hash=rng.integers(1 << 60, size=rows),
            actor_hash=np.array([user for _, _, user, _ in events], np.int64),
            dims=[["Loaded", country, version] for country, version, _, _ in events],
            nums=[[ms] for *_, ms in events],
        ),
    )


def usual(users_from: int = 0, *, slow: bool = False) -> list[Event]:
    """DE 60 and FR 40 pages in two versions, one person each, 1 ms to 100 ms."""
    countries = ["DE"] * 60 + ["FR"] * 40
    return [
        (country, ("4.2", "4.1")[i % 2], users_from + i, 1.0 + i if not slow else 1.0 + (7 * i) % 100)
        for i, country in enumerate(countries)
    ]


def history(store: EventStore, events: Sequence[Event] | None = None) -> None:
    for week in WEEKS:
        put(store, T0 - week * WEEK, usual(slow=True) if events is None else events)


def why(
    store: EventStore, key: str, *measures: dict[str, object], forecast: Forecast | None = None, **more: object
) -> Answer:
    return explain_stretch(store, stretch_of(key, *measures, **more), forecast)


def stretch_of(key: str, *measures: dict[str, object], slice_: Slice = (), **more: object) -> Stretch:
    home = stream(*measures)
    return Stretch(home, home.definition.measure(key), slice_, T0, T0 + HOUR, **more)  # type: ignore[arg-type]


def slices(answer: Answer) -> list[dict[str, str]]:
    return [
        {path.rpartition(".")[2]: value for path, value in cause.slice_items} for cause in answer.explanation.causes
    ]


def test_a_count_that_fell_names_the_slice_that_fell_and_its_share(store: EventStore) -> None:
    history(store)
    put(store, T0, [event for event in usual() if event[:2] != ("DE", "4.2")])
    answer = why(store, "count()")
    assert slices(answer) == [{"country": "DE", "version": "4.2"}]
    (cause,) = answer.explanation.causes
    assert (cause.actual, round(cause.expected), round(cause.share, 2)) == (0, 30, 1.0)
    assert (answer.actual, answer.expected) == (70, 100)


def test_an_hour_with_no_event_at_all_is_told_as_an_even_fall(store: EventStore) -> None:
    history(store)
    answer = why(store, "count()")
    assert (answer.actual, answer.expected) == (0, 100)
    assert answer.explanation.reason is Reason.EVENLY


def test_a_slice_that_fell_evenly_is_named_where_no_slice_within_it_stands_out(store: EventStore) -> None:
    history(store)
    put(store, T0, [event for event in usual() if event[0] != "DE"])
    stretch = stretch_of("count()", slice_=(("properties.country", "DE"),))
    answer = explain_stretch(store, stretch)
    names = {"properties.country": "", "properties.version": "version"}
    told = "All of DE changed alike; within it no slice stands out."
    assert to_document(answer, stretch, names)["note"] == told
    assert to_sentence(answer, stretch, names).endswith(told)


def test_a_value_that_is_new_is_a_cause_of_which_nothing_was_expected(store: EventStore) -> None:
    history(store)
    put(store, T0, usual() + [("DE", "5.0", 900 + i, 5.0) for i in range(50)])
    answer = why(store, "count()")
    assert slices(answer)[0]["version"] == "5.0"
    assert answer.explanation.causes[0].expected == 0


def test_a_value_that_vanished_is_a_cause_of_which_nothing_came(store: EventStore) -> None:
    history(store)
    put(store, T0, [event for event in usual() if event[0] != "FR"])
    answer = why(store, "count()")
    assert slices(answer) == [{"country": "FR"}]
    assert answer.explanation.causes[0].actual == 0


def test_a_percentile_is_explained_by_what_is_above_its_expected_value_not_by_the_mean(store: EventStore) -> None:
    """France's pages take 40 ms each instead of 1 to 100: its mean falls. Germany's version 4.2 becomes slow in one of
    five, at 400 ms: that is what the 95th percentile shows."""
    history(store)
    now = []
    for i, (country, version, user, ms) in enumerate(usual(slow=True)):
        slow = (country, version) == ("DE", "4.2") and i % 10 in (0, 2, 4)
        now.append((country, version, user, 400.0 if slow else 40.0 if country == "FR" else ms))
    put(store, T0, now)
    answer = why(store, "p95(properties.ms)")
    assert slices(answer) == [{"country": "DE", "version": "4.2"}]
    assert answer.expected == pytest.approx(95, abs=1)
    assert answer.actual == pytest.approx(400)
    document = to_document(answer, Stretch(stream(), stream().definition.measures[1], (), T0, T0 + HOUR), {})
    driver = document["driver"]
    assert isinstance(driver, dict)
    assert driver["threshold"] == pytest.approx(95, abs=1)
    assert driver["expected"] == pytest.approx(0.05, abs=0.01)


def test_a_percentile_s_sentence_speaks_of_the_percentile(store: EventStore) -> None:
    history(store)
    put(store, T0, [(c, v, u, 400.0 if (c, v) == ("DE", "4.2") else ms) for c, v, u, ms in usual(slow=True)])
    told = to_sentence(why(store, "p95(properties.ms)"), stretch_of("p95(properties.ms)"), {"properties.country": ""})
    assert told == "P95 of ms is 4.2 times what is expected; all of it is properties.version 4.2 in DE."


def test_unique_users_are_counted_in_each_slice_and_not_added_up(store: EventStore) -> None:
    """The same 40 people load pages in both versions; 20 more use Germany's 4.2 alone, and stay away now."""
    both = [("DE", version, user, 1.0) for user in range(40) for version in ("4.1", "4.2")]
    alone = [("DE", "4.2", 100 + user, 1.0) for user in range(40)] + [("FR", "4.1", 200 + u, 1.0) for u in range(30)]
    history(store, both + alone)
    put(store, T0, both + [event for event in alone if event[0] == "FR"])
    answer = why(store, "users()", {"aggregation": "users"})
    assert (answer.actual, answer.expected) == (70, 110)
    (cause,) = answer.explanation.causes
    assert dict(cause.slice_items)["properties.version"] == "4.2"
    assert (cause.actual, cause.expected) == (40, 80)
    assert cause.share == pytest.approx(1.0)


def test_users_over_several_windows_take_the_relative_change_of_the_forecast(store: EventStore) -> None:
    history(store)
    put(store, T0, usual()[:50])
    answer = why(store, "users()", {"aggregation": "users"}, forecast=Forecast(actual=10, expected=20))
    assert (answer.actual, answer.expected) == (50, 100)


def test_a_maximum_is_explained_by_the_events_beyond_it(store: EventStore) -> None:
    history(store)
    put(store, T0, usual(slow=True) + [("FR", "4.1", 900 + i, 5_000.0) for i in range(12)])
    answer = why(store, "max(properties.ms)", {"aggregation": "max", "path": "properties.ms"})
    assert slices(answer) == [{"country": "FR", "version": "4.1"}]
    assert (answer.actual, answer.expected) == (5_000, 100)


def test_a_minimum_is_explained_by_the_events_below_it(store: EventStore) -> None:
    floor = [(country, version, user, ms + 100) for country, version, user, ms in usual()]
    history(store, floor)
    put(store, T0, floor + [("FR", "4.1", 900 + i, 2.0) for i in range(12)])
    answer = why(store, "min(properties.ms)", {"aggregation": "min", "path": "properties.ms"})
    assert slices(answer) == [{"country": "FR", "version": "4.1"}]


def test_without_weeks_of_history_the_stretches_just_before_are_the_base_line(store: EventStore) -> None:
    for back in range(1, 4):
        put(store, T0 - back * HOUR, usual())
    put(store, T0, [event for event in usual() if event[0] != "FR"])
    answer = why(store, "count()")
    assert [T0 - period.start_ms for period in answer.periods] == [HOUR, 2 * HOUR, 3 * HOUR]
    assert slices(answer) == [{"country": "FR"}]


def test_without_any_history_the_reason_says_so(store: EventStore) -> None:
    put(store, T0, usual())
    answer = why(store, "count()")
    assert answer.explanation.reason is Reason.NO_HISTORY
    assert math.isnan(answer.expected)


def test_a_person_may_compare_with_the_period_before_or_with_one_of_their_choice(store: EventStore) -> None:
    history(store)
    put(store, T0 - HOUR, usual()[:60])
    put(store, T0, usual()[:60])
    assert why(store, "count()").expected == 100
    assert why(store, "count()", base=Base.PREVIOUS).expected == 60
    chosen = Window(T0 - WEEK, T0 - WEEK + 2 * HOUR)  # twice as long: its amounts are halved
    assert why(store, "count()", base=Base.PERIOD, chosen=chosen).expected == 50


@pytest.mark.parametrize("chosen", [None, Window(T0 - HOUR, T0 + MINUTE), Window(T0, T0)])
def test_a_chosen_base_line_must_lie_beside_the_stretch(store: EventStore, chosen: Window | None) -> None:
    put(store, T0 - HOUR, usual())
    with pytest.raises(InvalidInput, match="base line"):
        why(store, "count()", base=Base.PERIOD, chosen=chosen)


def test_the_same_hours_are_those_of_the_wall_clock_through_a_clock_change(store: EventStore) -> None:
    """Europe left summer time on 25 October 2026: 10:00 in Berlin was 08:00 UTC before and 09:00 UTC after."""
    home = stream()
    definition = parse(
        {
            "spec_type": "track",
            "events": ["Loaded"],
            "dimensions": [{"path": "properties.country"}, {"path": "properties.version"}],
            "schedule": {"frequency_minutes": 60, "time_zone": "Europe/Berlin"},
        }
    )
    home = Stream(1, 1, 1, "Pages", definition, StreamState.ACTIVE, 1, 1, 0, 0)
    start = 1_793_091_600_000  # 27 October 2026, 09:00 UTC
    put(store, start - WEEK - HOUR, usual())
    answer = explain_stretch(store, Stretch(home, definition.measures[0], (), start, start + HOUR))
    assert [start - period.start_ms for period in answer.periods] == [WEEK + HOUR]
