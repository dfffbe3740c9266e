"""Goals through the real pipeline: a month goes by, and the right people hear of it once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select
from tests.pipeline.plant import DAY, MINUTE, Plant, opened

from cliffwatch.db.incidents import DeliveryRow
from cliffwatch.goals import Goal, GoalGiven, Repeat
from cliffwatch.incidents import Incident, IncidentState
from cliffwatch.incidents.goals import warned_of
from cliffwatch.notify import ChartData
from cliffwatch.notify.burn_up import burn_up
from cliffwatch.notify.chart import png, svg
from cliffwatch.store import PointBatch, PointQuery
from cliffwatch.store.duckdb import DuckDBStore
from cliffwatch.streams import Stream

UTC = ZoneInfo("UTC")
NOVEMBER = 1_793_491_200_000  # Sun 1 Nov 2026, 00:00 UTC
DAILY = {"frequency_minutes": 1440, "anchor": "00:00", "time_zone": "UTC"}
PER_MINUTE = 0.1  # 144 a day, 4,320 in November


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    with opened(tmp_path, NOVEMBER - 5 * MINUTE) as made:
        yield made


def begun(plant: Plant, target: float) -> tuple[Stream, Goal]:
    """A stream with ten weeks behind it, and a goal for November."""
    stream = plant.stream(schedule=DAILY)
    plant.traffic(stream, NOVEMBER - 70 * DAY, NOVEMBER, PER_MINUTE)
    plant.now = NOVEMBER + 30 * MINUTE
    plant.judge(stream, NOVEMBER - 70 * DAY)
    given = GoalGiven("Orders of the month", stream.id, "count()", target)
    return stream, plant.services.goals.create(stream, given, UTC, by="Robin", now=plant.now)


def days(plant: Plant, stream: Stream, first: int, end: int, per_minute: float, *, step: int = 2) -> None:
    """Days of November go by with their orders and runs; goals are looked at every `step` of them."""
    for day in range(first, end, step):
        after = min(day + step, end)
        plant.traffic(stream, NOVEMBER + day * DAY, NOVEMBER + after * DAY, per_minute)
        plant.now = NOVEMBER + after * DAY + 30 * MINUTE
        plant.work()
        plant.services.pipeline.goals.look(plant.now)
        plant.services.pipeline.goals.look(plant.now)  # looking again says nothing twice


def warnings(plant: Plant) -> list[Incident]:
    found = plant.services.incidents.list(plant.workspace_id)
    return sorted((one for one in found if one.kind == "goal"), key=lambda one: one.number)


def letters(plant: Plant) -> list[tuple[str, str, str]]:
    """What was said of goals: purpose, headline, note."""
    ids = [one.id for one in warnings(plant)]
    with plant.services.database.read() as session:
        rows = session.scalars(
            select(DeliveryRow.payload).where(DeliveryRow.incident_id.in_(ids)).order_by(DeliveryRow.id)
        )
        messages = [row["message"] for row in rows]
    return [(one["purpose"], one["headline"], one["note"]) for one in messages]


def test_a_month_that_keeps_its_pace_says_nothing_and_ends_as_reached(plant: Plant) -> None:
    stream, goal = begun(plant, 4_000)
    days(plant, stream, 0, 31, PER_MINUTE, step=3)
    assert warnings(plant) == []
    now = plant.services.goals.get(plant.workspace_id, goal.id)
    assert now.period_start_ms == NOVEMBER + 30 * DAY  # December is followed
    assert now.pace is not None
    assert now.pace.span.name == "December 2026"


def test_a_drop_is_warned_of_once_weeks_before_the_end_and_the_miss_is_told(plant: Plant) -> None:
    stream, _ = begun(plant, 3_900)
    days(plant, stream, 0, 8, PER_MINUTE)
    assert warnings(plant) == []
    days(plant, stream, 8, 16, 0.4 * PER_MINUTE)
    (warning,) = warnings(plant)
    assert warning.state is IncidentState.OPEN
    assert warning.headline.startswith("Goal “Orders of the month” is at risk: at least 3,900 in November 2026 is ")
    assert warning.cause.split(";")[0].endswith("so far")
    assert warning.opened_ms < NOVEMBER + 17 * DAY
    days(plant, stream, 16, 30, 0.4 * PER_MINUTE, step=7)
    assert [purpose for purpose, _, _ in letters(plant)] == ["opened", "resolved"]
    (over,) = warnings(plant)
    assert over.state is IncidentState.RESOLVED
    assert over.headline.startswith("Goal “Orders of the month” was missed: ")


def test_a_warning_carries_the_way_to_the_target_as_its_page_draws_it(plant: Plant) -> None:
    stream, goal = begun(plant, 9_000)
    days(plant, stream, 0, 4, PER_MINUTE)
    (warning,) = warnings(plant)
    with plant.services.database.read() as session:
        rows = session.scalars(select(DeliveryRow.payload).where(DeliveryRow.incident_id == warning.id))
        chart = ChartData.load(rows.first()["message"]["chart"])  # type: ignore[index]
    told = warned_of(warning)
    assert told is not None
    _, found = told
    assert found == plant.services.goals.get(plant.workspace_id, goal.id).pace  # what /goals shows
    first = next(at for at, value in enumerate(chart.expected) if value is not None)
    assert (chart.target, chart.starts_ms[0], chart.actual[0]) == (9_000, NOVEMBER, 0.0)
    assert chart.expected[first] == chart.actual[first]
    assert len(chart.starts_ms) == 31  # the beginning, and the end of each of thirty days
    now = burn_up(warning, "UTC")
    assert now is not None
    assert (now.expected[-1], now.lower[-1], now.upper[-1]) == (found.landing, found.low, found.high)
    document = svg(now)
    assert 'class="cw-target"' in document
    assert "Target</text>" in document
    assert png(document).startswith(b"\x89PNG")


def test_a_recovery_takes_the_warning_back_with_a_note(plant: Plant) -> None:
    stream, _ = begun(plant, 3_900)
    days(plant, stream, 0, 6, PER_MINUTE)
    days(plant, stream, 6, 12, 0.4 * PER_MINUTE)
    assert [one.state for one in warnings(plant)] == [IncidentState.OPEN]
    days(plant, stream, 12, 20, 2.5 * PER_MINUTE)
    assert [one.state for one in warnings(plant)] == [IncidentState.RESOLVED]
    purposes = [(purpose, note.partition(":")[0]) for purpose, _, note in letters(plant)]
    assert purposes[-1] == ("resolved", "Goal “Orders of the month” is on pace again")


def test_what_a_person_closed_is_told_no_more_in_this_period(plant: Plant) -> None:
    stream, _ = begun(plant, 9_000)
    days(plant, stream, 0, 2, PER_MINUTE)
    (warning,) = warnings(plant)
    owner = plant.services.accounts.members(plant.workspace_id)[0].person
    plant.services.incidents.expected(plant.workspace_id, warning.number, owner, plant.now)
    days(plant, stream, 2, 12, PER_MINUTE, step=5)
    assert [one.state for one in warnings(plant)] == [IncidentState.EXPECTED]
    assert [purpose for purpose, _, _ in letters(plant)] == ["opened"]


def test_the_next_period_is_warned_of_anew(plant: Plant) -> None:
    stream, _ = begun(plant, 9_000)
    days(plant, stream, 0, 33, PER_MINUTE, step=11)
    first, second = warnings(plant)
    assert first.state is IncidentState.RESOLVED
    assert second.state is IncidentState.OPEN
    assert "December 2026" in second.headline


def test_anomalies_of_the_stream_stay_incidents_of_their_own(plant: Plant) -> None:
    stream, _ = begun(plant, 9_000)
    days(plant, stream, 0, 3, PER_MINUTE)
    days(plant, stream, 3, 5, 0.0)
    found = plant.services.incidents.list(plant.workspace_id)
    kinds = sorted(one.kind == "goal" for one in found)
    assert kinds == [False, True], [one.headline for one in found]
    assert plant.services.incidents.anomalies(warnings(plant)[0].id) == []


def test_a_warning_of_a_deleted_goal_is_closed(plant: Plant) -> None:
    stream, goal = begun(plant, 9_000)
    days(plant, stream, 0, 2, PER_MINUTE)
    gone = plant.services.goals.delete(plant.workspace_id, goal.id, plant.now)
    assert gone.incident_id == warnings(plant)[0].id
    plant.services.pipeline.goals.stop(gone, plant.now)
    assert [one.state for one in warnings(plant)] == [IncidentState.RESOLVED]


def test_a_monitor_that_does_not_watch_the_series_is_not_told(plant: Plant) -> None:
    stream, _ = begun(plant, 9_000)
    monitors = plant.services.monitors
    mine = monitors.create(
        plant.workspace_id, name="Others", rule={"measures": ["users()"]}, policy_id=None, now=plant.now
    )
    strict = monitors.create(
        plant.workspace_id, name="Large ones", rule={"min_relative": 0.9, "directions": [1]}, policy_id=None, now=1
    )
    days(plant, stream, 0, 2, PER_MINUTE)
    (warning,) = warnings(plant)
    assert mine.id not in warning.monitors
    assert strict.id in warning.monitors  # how large an anomaly must be is not asked of a goal


class Asked(DuckDBStore):
    """A real store that keeps what it was asked for."""

    queries: list[PointQuery]

    def read_points(self, query: PointQuery) -> PointBatch:
        self.queries.append(query)
        return super().read_points(query)


def test_goals_whose_streams_have_not_run_since_cost_no_reading(tmp_path: Path) -> None:
    store = Asked.open(None)
    assert isinstance(store, Asked)
    store.queries = []
    with opened(tmp_path, NOVEMBER - 5 * MINUTE, store) as plant:
        stream, goal = begun(plant, 4_000)
        plant.services.goals.create(stream, replace(goal.given, name="Another"), UTC, by="Robin", now=plant.now)
        plant.services.pipeline.goals.look(plant.now)
        days(plant, stream, 0, 1, PER_MINUTE)
        store.queries.clear()
        for minute in range(10):
            plant.services.pipeline.goals.look(plant.now + minute * MINUTE)
        assert store.queries == []


def test_one_goal_is_looked_at_without_the_others(plant: Plant) -> None:
    stream, goal = begun(plant, 4_000)
    other = plant.services.goals.create(stream, goal.given, UTC, by="Robin", now=plant.now)
    changed = replace(goal.given, first="", repeat=Repeat.QUARTER)
    goal = plant.services.goals.change(stream, goal.id, changed, UTC, plant.now)
    assert plant.services.pipeline.goals.look_at(goal, plant.now).pace is not None
    assert plant.services.goals.get(plant.workspace_id, other.id).pace is None


def test_a_goal_that_is_there_once_is_told_at_its_end_and_then_left_alone(plant: Plant) -> None:
    stream, goal = begun(plant, 4_000)
    once = replace(
        goal.given, name="First week", target=9_000, repeat=Repeat.ONCE, first="2026-11-01", last="2026-11-07"
    )
    plant.services.goals.change(stream, goal.id, once, UTC, plant.now)
    days(plant, stream, 0, 11, PER_MINUTE, step=11)
    (over,) = warnings(plant)
    assert over.state is IncidentState.RESOLVED
    assert over.headline.startswith("Goal “First week” was missed: ")
    days(plant, stream, 11, 13, PER_MINUTE)
    assert plant.services.goals.get(plant.workspace_id, goal.id).looked_ms == NOVEMBER + 7 * DAY
    assert [purpose for purpose, _, _ in letters(plant)] == ["opened"]
