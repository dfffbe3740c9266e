"""What people do with an incident, on a real database."""

from __future__ import annotations

import pytest
from tests.incidents.conftest import CHECKOUT, HOUR, REVENUE, T0, World, report

from cliffwatch.errors import Conflict, InvalidInput, NotFound
from cliffwatch.incidents import IncidentState, TransitionKind

NOW = T0 + 2 * HOUR


@pytest.fixture
def opened(world: World) -> World:
    world.take([report()])
    return world


def test_an_acknowledged_incident_names_who_took_it_on(opened: World) -> None:
    incident, (transition,) = opened.incidents.acknowledge(1, 1, opened.person, NOW)
    assert incident == opened.incidents.get(1, 1)
    assert (incident.state, incident.acknowledged_by) == (IncidentState.ACKNOWLEDGED, "Robin")
    assert (transition.kind, transition.significant) == (TransitionKind.ACKNOWLEDGED, False)
    assert opened.incidents.open_count(1) == 0


def test_an_acknowledged_incident_still_resolves_by_itself(opened: World) -> None:
    opened.incidents.acknowledge(1, 1, opened.person, NOW)
    (resolved,) = opened.take([], end=T0 + 2 * HOUR)
    assert resolved.kind is TransitionKind.RESOLVED
    assert resolved.incident.acknowledged_by == "Robin"


def test_it_cannot_be_acknowledged_twice(opened: World) -> None:
    opened.incidents.acknowledge(1, 1, opened.person, NOW)
    with pytest.raises(Conflict, match="is acknowledged"):
        opened.incidents.acknowledge(1, 1, opened.person, NOW)


def test_a_snooze_must_end_in_the_future(opened: World) -> None:
    with pytest.raises(InvalidInput, match="future"):
        opened.incidents.snooze(1, 1, opened.person, NOW, NOW)
    assert opened.incidents.get(1, 1).state is IncidentState.OPEN


def test_a_snoozed_incident_knows_until_when(opened: World) -> None:
    incident, _ = opened.incidents.snooze(1, 1, opened.person, NOW, NOW + HOUR)
    assert (incident.state, incident.snoozed_until_ms) == (IncidentState.SNOOZED, NOW + HOUR)


def test_resolving_by_hand_is_told_with_the_persons_name(opened: World) -> None:
    incident, (transition,) = opened.incidents.resolve(1, 1, opened.person, NOW)
    assert (incident.state, incident.resolved_ms) == (IncidentState.RESOLVED, NOW)
    assert (transition.significant, transition.note) == (True, "Robin resolved it.")
    with pytest.raises(Conflict, match="Reopen it first"):
        opened.incidents.resolve(1, 1, opened.person, NOW)


def test_a_false_alarm_can_become_expected_but_not_a_false_alarm_again(opened: World) -> None:
    opened.incidents.false_alarm(1, 1, opened.person, NOW)
    with pytest.raises(Conflict, match="already marked as false alarm"):
        opened.incidents.false_alarm(1, 1, opened.person, NOW)
    incident, _ = opened.incidents.expected(1, 1, opened.person, NOW)
    assert incident.state is IncidentState.EXPECTED


def test_a_reopened_incident_forgets_who_acknowledged_it(opened: World) -> None:
    opened.incidents.acknowledge(1, 1, opened.person, NOW)
    opened.incidents.resolve(1, 1, opened.person, NOW)
    opened.incidents.reopen(1, 1, opened.person, NOW)
    incident = opened.incidents.get(1, 1)
    assert (incident.state, incident.acknowledged_by, incident.resolved_ms) == (IncidentState.OPEN, None, None)
    with pytest.raises(Conflict, match="open already"):
        opened.incidents.reopen(1, 1, opened.person, NOW)


def test_comments_stand_in_the_timeline_in_order_with_their_authors(opened: World) -> None:
    opened.incidents.comment(1, 1, opened.person, NOW, "  Looks like the release.  ")
    opened.incidents.acknowledge(1, 1, opened.person, NOW + 1)
    lines = opened.incidents.timeline(opened.incidents.get(1, 1).id)
    assert [(line.action, line.person) for line in lines] == [
        ("opened", None),
        ("commented", "Robin"),
        ("acknowledged", "Robin"),
    ]
    assert lines[1].text == "Looks like the release."


@pytest.mark.parametrize("text", ["", "   ", "x" * 10_001])
def test_an_empty_or_endless_comment_is_refused(opened: World, text: str) -> None:
    with pytest.raises(InvalidInput, match="comment"):
        opened.incidents.comment(1, 1, opened.person, NOW, text)


def test_it_can_be_given_to_a_member_and_taken_back(opened: World) -> None:
    incident, _ = opened.incidents.assign(1, 1, opened.person, NOW, 1)
    assert (incident.owner_id, incident.owner) == (1, "Robin")
    incident, _ = opened.incidents.assign(1, 1, opened.person, NOW, None)
    assert incident.owner is None


def test_it_cannot_be_given_to_a_stranger(opened: World) -> None:
    with pytest.raises(InvalidInput, match="member"):
        opened.incidents.assign(1, 1, opened.person, NOW, 99)


def test_another_workspaces_incident_does_not_exist_here(opened: World) -> None:
    with pytest.raises(NotFound):
        opened.incidents.acknowledge(2, 1, opened.person, NOW)
    assert opened.incidents.list(2) == []


def test_incidents_are_listed_by_state_the_newest_first(opened: World) -> None:
    later = T0 + 48 * HOUR
    opened.take([], end=T0 + 2 * HOUR)
    opened.take([report(start_ms=later, end_ms=later + HOUR)], end=later + HOUR)
    assert [incident.number for incident in opened.incidents.list(1)] == [2, 1]
    assert [incident.number for incident in opened.incidents.list(1, states=[IncidentState.RESOLVED])] == [1]
    assert [incident.number for incident in opened.incidents.list(1, limit=1)] == [2]
    assert opened.incidents.open_count(1) == 1


def test_every_workspace_has_one_default_monitor_however_often_it_is_asked_for(world: World) -> None:
    first = world.incidents.ensure_default_monitor(1, NOW)
    assert world.incidents.ensure_default_monitor(1, NOW) == first
    assert world.incidents.monitors(1) == [first]
    assert (first.is_default, first.enabled, first.rule.directions) == (True, True, (-1, 1))


def test_a_workspace_without_a_monitor_loses_nothing(world: World) -> None:
    assert world.incidents.monitors(1) == []
    world.take([report()])
    assert len(world.incidents.monitors(1)) == 1
    assert len(world.incidents.list(1)) == 1


def test_a_snoozed_incident_wakes_when_its_time_has_come_without_a_run(opened: World) -> None:
    opened.incidents.snooze(1, 1, opened.person, NOW, NOW + HOUR)
    with opened.database.write() as session:
        assert opened.incidents.wake(session, NOW + HOUR - 1) == []
        (awake,) = opened.incidents.wake(session, NOW + HOUR)
    assert (awake.kind, awake.significant) == (TransitionKind.UPDATED, True)
    assert opened.incidents.get(1, 1).state is IncidentState.OPEN
    with opened.database.write() as session:
        assert opened.incidents.wake(session, NOW + 2 * HOUR) == []


def test_what_goes_on_in_a_stream_that_is_not_watched_any_more_is_closed_quietly(opened: World) -> None:
    with opened.database.write() as session:
        (closed,) = opened.incidents.stop_watching(session, REVENUE, NOW)
    assert (closed.kind, closed.significant) == (TransitionKind.RESOLVED, False)
    assert opened.incidents.get(1, 1).state is IncidentState.RESOLVED
    assert opened.incidents.timeline(1)[-1].text == "Its stream is not watched any more."


def test_an_incident_that_goes_on_in_another_stream_stays_open(opened: World) -> None:
    elsewhere = report(stream_id=CHECKOUT, stream_name="Checkout", kind="silence", actual=0.0)
    opened.take([elsewhere], stream=CHECKOUT)
    with opened.database.write() as session:
        assert opened.incidents.stop_watching(session, REVENUE, NOW) == []
        assert len(opened.incidents.stop_watching(session, CHECKOUT, NOW)) == 1


def test_a_step_whose_message_cannot_be_written_was_not_taken(opened: World) -> None:
    class Full(Exception):
        pass

    def full(*_: object) -> None:
        raise Full

    opened.incidents.tells(full)
    with pytest.raises(Full):
        opened.incidents.resolve(1, 1, opened.person, NOW)
    assert opened.incidents.get(1, 1).state is IncidentState.OPEN
    opened.incidents.tells(lambda *_: None)
    assert opened.incidents.resolve(1, 1, opened.person, NOW)[0].state is IncidentState.RESOLVED
