"""Whatever runs find, in whatever order people act: what must always hold."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest
from tests.incidents.conftest import HOUR, REVENUE, T0, World, cause, of, report

from cliffwatch.db.incidents import AnomalyRow
from cliffwatch.incidents import AnomalyReport, IncidentState, QuietReason, TransitionKind

SERIES = [(), of(country="DE"), of(country="FR"), of(country="DE", plan="pro")]


@pytest.mark.parametrize("seed", range(3))
def test_invariants_hold_over_forty_random_runs(world: World, seed: int) -> None:
    draw = random.Random(seed)
    standing: dict[int, AnomalyReport] = {}
    for hour in range(1, 41):
        end = T0 + hour * HOUR
        advance(draw, standing, end)
        reports = list(standing.values())
        rescored = draw.choice([None, None, end - 3 * HOUR])
        because = cause({"properties.country": draw.choice(["DE", "FR"])})
        before = {incident.number: incident for incident in world.incidents.list(1)}
        transitions = world.take(reports, end=end, because=because, rescored=rescored)
        check_transitions(before, transitions)
        check_rows(world)
        assert world.take(reports, end=end, because=because, rescored=rescored) == []
        if draw.random() < 0.15:
            act(draw, world, end)
    assert world.incidents.list(1)


def advance(draw: random.Random, standing: dict[int, AnomalyReport], end: int) -> None:
    """Each series breaks out, goes on, ends, or is taken back."""
    for i, slice_ in enumerate(SERIES):
        current = standing.get(i)
        if current is None:
            if draw.random() < 0.2:
                standing[i] = report(slice=slice_, start_ms=end - HOUR, end_ms=end, direction=draw.choice([-1, 1]))
        elif not current.ongoing or draw.random() < 0.1:
            del standing[i]
        elif draw.random() < 0.3:
            standing[i] = replace(current, ongoing=False)
        else:
            grown = {
                "end_ms": end,
                "actual": current.actual + draw.uniform(0, 900),
                "expected": current.expected + 1000,
            }
            standing[i] = replace(current, **grown)


def act(draw: random.Random, world: World, end: int) -> None:
    newest = world.incidents.list(1)[:1]
    if newest and newest[0].state.live:
        step = draw.choice(["false_alarm", "expected", "resolve"])
        getattr(world.incidents, step)(1, newest[0].number, world.person, end)


def check_transitions(before, transitions) -> None:
    per_incident = Counter(transition.incident.number for transition in transitions)
    for transition in transitions:
        number = transition.incident.number
        assert (number not in before) or transition.kind is not TransitionKind.OPENED
        assert per_incident[number] == 1 or transition.kind in (TransitionKind.OPENED, TransitionKind.RESOLVED)
        if number in before:
            assert transition.incident.revision > before[number].revision


def check_rows(world: World) -> None:
    with world.database.read() as session:
        rows = session.query(AnomalyRow).filter_by(stream_id=REVENUE).all()
    keys = Counter((row.measure, row.slice, row.start_ms) for row in rows)
    assert max(keys.values(), default=1) == 1
    for row in rows:
        assert (row.incident_id is None) == (row.quiet_reason != "")
        if row.quiet_reason:
            QuietReason(row.quiet_reason)
    going = {row.incident_id for row in rows if row.ongoing and row.withdrawn_ms is None}
    for incident in world.incidents.list(1):
        if incident.state is IncidentState.RESOLVED and incident.ended_ms is not None:
            assert incident.id not in going
        if incident.state.live:
            assert incident.id in going
