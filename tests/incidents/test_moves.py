"""Merge and split by hand, and undo, on a real database."""

from __future__ import annotations

import pytest
from sqlalchemy import update
from tests.incidents.conftest import CHECKOUT, HOUR, T0, World, cause, of, report

from cliffwatch.db.incidents import IncidentMoveRow
from cliffwatch.errors import Conflict, InvalidInput
from cliffwatch.incidents import AnomalyReport, Incident, IncidentState, Moves, Transition, TransitionKind

NOW = T0 + 2 * HOUR
ERRORS = report(
    stream_id=CHECKOUT,
    measure="count()",
    measure_name="Failed checkouts",
    unit=None,
    slice=of(country="FR"),
    kind="spike",
    direction=1,
    actual=90.0,
    expected=10.0,
    score=9.0,
    stream_name="Checkout",
)
GERMANY = report(slice=of(country="DE"), actual=100.0, expected=300.0)


@pytest.fixture
def two(world: World) -> World:
    """#1: revenue in total and in Germany; #2: failed checkouts in France."""
    world.take([report(), GERMANY], because=cause({"properties.country": "DE"}))
    world.take([ERRORS], stream=CHECKOUT, because=cause({"properties.country": "FR"}))
    assert [one.number for one in world.incidents.list(1)] == [2, 1]
    return world


def merge(world: World, number: int = 2, into: int = 1) -> list[Transition]:
    with world.database.write() as session:
        return Moves(world.database).merge(session, 1, number, into, world.person, NOW)


def split(world: World, number: int, *series: AnomalyReport) -> tuple[Incident, list[Transition]]:
    wanted = {one.series for one in series}
    found = world.incidents.anomalies(world.incidents.get(1, number).id)
    ids = [one.id for one in found if one.series in wanted]
    with world.database.write() as session:
        return Moves(world.database).split(session, 1, number, ids, world.person, NOW)


def undo(world: World, number: int) -> list[Transition]:
    moves = Moves(world.database)
    with world.database.write() as session:
        return moves.undo(session, 1, moves.of(world.incidents.get(1, number))[0].id, world.person, NOW)


def series_of(world: World, number: int) -> set[object]:
    return {one.series for one in world.incidents.anomalies(world.incidents.get(1, number).id)}


def test_a_merged_incident_gives_its_anomalies_to_the_other(two: World) -> None:
    merge(two)
    assert series_of(two, 1) == {report().series, GERMANY.series, ERRORS.series}
    assert series_of(two, 2) == set()
    gone = two.incidents.get(1, 2)
    assert (gone.state, gone.merged_into) == (IncidentState.MERGED, 1)
    assert [one.number for one in two.incidents.list(1)] == [1]


def test_the_timelines_say_who_merged_what(two: World) -> None:
    merge(two)
    first, second = (two.incidents.timeline(two.incidents.get(1, number).id)[-1] for number in (1, 2))
    assert (first.action, first.person) == ("merged", "Robin")
    assert first.text.startswith("#2: Failed checkouts (country FR)")
    assert (second.action, second.person) == ("merged", "Robin")
    assert second.text.startswith("Into #1: Revenue is 31 % below")


def test_what_a_merged_series_does_next_is_told_by_the_surviving_incident(two: World) -> None:
    merge(two)
    grown = report(**{**fields(ERRORS), "end_ms": T0 + 2 * HOUR, "actual": 200.0, "expected": 20.0})
    assert [one.incident.number for one in two.take([grown], end=T0 + 2 * HOUR, stream=CHECKOUT)] in ([], [1])
    assert two.incidents.get(1, 2).state is IncidentState.MERGED
    assert ERRORS.series in series_of(two, 1)


def test_a_new_series_of_the_merged_story_joins_the_surviving_incident(two: World) -> None:
    merge(two)
    later = report(**{**fields(ERRORS), "slice": of(country="FR", plan="pro"), "start_ms": T0 + 5 * HOUR})
    later = report(**{**fields(later), "end_ms": T0 + 6 * HOUR})
    still = report(**{**fields(ERRORS), "end_ms": T0 + 6 * HOUR})
    two.take([still, later], end=T0 + 6 * HOUR, stream=CHECKOUT)
    assert later.series in series_of(two, 1)
    assert len(two.incidents.list(1)) == 1


def test_the_surviving_incident_is_over_only_when_both_stories_are(two: World) -> None:
    merge(two)
    assert two.take([], end=T0 + 2 * HOUR) == [] or two.incidents.get(1, 1).state.live
    two.take([], end=T0 + 3 * HOUR, stream=CHECKOUT)
    assert two.incidents.get(1, 1).state is IncidentState.RESOLVED


def test_what_is_done_to_a_merged_incident_is_done_to_the_surviving_one(two: World) -> None:
    merge(two)
    incident, _ = two.incidents.acknowledge(1, 2, two.person, NOW)
    assert incident.number == 1
    assert two.incidents.get(1, 1).state is IncidentState.ACKNOWLEDGED


def test_a_merge_is_no_news_of_the_surviving_incident(two: World) -> None:
    gone, step = merge(two)
    assert (gone.kind, gone.incident.number) == (TransitionKind.MERGED, 2)
    assert (step.incident.number, step.significant) == (1, False)


def test_undoing_a_merge_puts_everything_back(two: World) -> None:
    before = [two.incidents.get(1, number) for number in (1, 2)]
    merge(two)
    undo(two, 1)
    for old in before:
        new = two.incidents.get(1, old.number)
        told = ("state", "headline", "cause", "actual", "expected", "monitors", "also_about", "merged_into")
        assert [getattr(new, one) for one in told] == [getattr(old, one) for one in told]
    assert series_of(two, 2) == {ERRORS.series}
    assert two.incidents.timeline(before[0].id)[-1].text == "#2 is on its own again."


def test_a_merge_is_undone_once(two: World) -> None:
    merge(two)
    undo(two, 1)
    with pytest.raises(Conflict, match="taken back already"):
        undo(two, 1)


def test_a_merge_that_does_not_say_what_was_before_is_left_as_it_is(two: World) -> None:
    merge(two)
    with two.database.write() as session:
        session.execute(update(IncidentMoveRow).values(before={}))
    with pytest.raises(Conflict, match="does not say what was before it"):
        undo(two, 1)
    assert two.incidents.get(1, 2).merged_into == 1


def test_an_incident_that_goes_on_is_not_merged_into_a_closed_one(two: World) -> None:
    two.incidents.resolve(1, 1, two.person, NOW)
    with pytest.raises(Conflict, match="Reopen it first"):
        merge(two)


def test_an_incident_is_not_merged_into_itself(two: World) -> None:
    with pytest.raises(InvalidInput, match="two incidents"):
        merge(two, 1, 1)


def test_a_refused_merge_leaves_nothing_half_done(two: World) -> None:
    merge(two)
    with pytest.raises(Conflict, match="part of #1"):
        merge(two, 2, 1)
    assert series_of(two, 1) == {report().series, GERMANY.series, ERRORS.series}


def test_a_split_opens_an_incident_of_the_chosen_series(two: World) -> None:
    new, (opening, rest) = split(two, 1, GERMANY)
    assert (new.number, new.slice, new.actual) == (3, of(country="DE"), 100.0)
    assert series_of(two, 1) == {report().series}
    assert (opening.kind, opening.significant, opening.note) == (
        TransitionKind.OPENED,
        True,
        "Robin split it off from #1.",
    )
    assert (rest.kind, rest.significant) == (TransitionKind.SPLIT, False)


def test_after_a_split_each_incident_takes_what_continues_it(two: World) -> None:
    split(two, 1, GERMANY)
    end = T0 + 2 * HOUR
    deeper = report(slice=of(country="DE", plan="pro"), start_ms=T0 + HOUR, end_ms=end)
    two.take([report(end_ms=end), report(**{**fields(GERMANY), "end_ms": end}), deeper], end=end)
    assert deeper.series in series_of(two, 3)
    assert series_of(two, 1) == {report().series}


def test_a_split_must_leave_something(two: World) -> None:
    with pytest.raises(InvalidInput, match="must leave"):
        split(two, 1, report(), GERMANY)
    with pytest.raises(InvalidInput, match="Choose one"):
        split(two, 1)


def test_undoing_a_split_puts_the_series_back_and_ends_the_new_incident(two: World) -> None:
    split(two, 1, GERMANY)
    undo(two, 3)
    assert series_of(two, 1) == {report().series, GERMANY.series}
    assert two.incidents.get(1, 3).merged_into == 1


def test_what_is_left_of_a_split_resolves_when_only_the_other_part_goes_on(world: World) -> None:
    world.take([report(), GERMANY])
    world.take([GERMANY], end=T0 + 2 * HOUR)
    _, (_, rest) = split(world, 1, GERMANY)
    assert (rest.kind, rest.significant) == (TransitionKind.RESOLVED, True)


def fields(one: AnomalyReport) -> dict[str, object]:
    return {name: getattr(one, name) for name in AnomalyReport.__slots__}
