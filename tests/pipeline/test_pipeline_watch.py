"""Open windows are watched: a break is told in two minutes, and confirmed or taken back when the window closes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.pipeline.plant import DAY, HOUR, MINUTE, MONDAY, SECOND, Plant, opened

from cliffwatch.api.incidents import fields
from cliffwatch.incidents import IncidentState
from cliffwatch.ingest.arrivals import Seen
from cliffwatch.notify.message import data_of
from cliffwatch.streams import Stream

HISTORY = 7 * DAY
FIVE_HOURS = {"frequency_minutes": 300, "anchor": "00:00", "time_zone": "UTC"}
PER_MINUTE = 25.0


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    with opened(tmp_path, MONDAY) as made:
        yield made


def five_hourly(plant: Plant) -> Stream:
    """A stream that runs every five hours, with a week behind it; its window opened half an hour ago."""
    stream = plant.stream(schedule=FIVE_HOURS)
    plant.traffic(stream, MONDAY - HISTORY, MONDAY, PER_MINUTE)
    plant.judge(stream, MONDAY - HISTORY)
    plant.traffic(stream, MONDAY, MONDAY + 30 * MINUTE, PER_MINUTE)
    plant.now = MONDAY + 30 * MINUTE
    return stream


def live(plant: Plant, stream: Stream, until_ms: int, per_minute: float = PER_MINUTE) -> None:
    """Traffic that arrives while time passes."""
    while plant.now < until_ms:
        plant.traffic(stream, plant.now, plant.now + MINUTE, per_minute)
        plant.tick(plant.now + MINUTE)


def test_an_outage_of_a_stream_that_runs_every_five_hours_is_told_within_two_minutes(plant: Plant) -> None:
    stream = five_hourly(plant)
    live(plant, stream, MONDAY + 34 * MINUTE)
    assert plant.incidents() == []
    plant.tick(MONDAY + 36 * MINUTE)
    (incident,) = plant.incidents()
    assert (incident.provisional, incident.kind, incident.slice) == (True, "silence", ())
    assert abs(incident.started_ms - (MONDAY + 34 * MINUTE)) <= 20 * SECOND
    ((purpose, headline),) = plant.told()
    assert purpose == "opened"
    assert headline.startswith("Events went silent: 0 instead of about 1,"), headline
    assert ", so far" in headline


def test_a_stream_of_one_event_a_minute_is_told_to_be_silent_within_half_an_hour_and_not_before_twelve(
    plant: Plant,
) -> None:
    stream = plant.stream(schedule=FIVE_HOURS)
    plant.traffic(stream, MONDAY - HISTORY, MONDAY + 40 * MINUTE, 1.0)
    plant.now = MONDAY + 40 * MINUTE
    plant.tick(MONDAY + 52 * MINUTE, MINUTE)
    assert plant.incidents() == []
    plant.tick(MONDAY + 67 * MINUTE, MINUTE)
    assert {(incident.kind, incident.slice) for incident in plant.incidents()} == {("silence", ())}


@pytest.mark.parametrize(
    ("others", "words"),
    [(9, "; other events of its source still arrive"), (0, "; nothing at all arrives from its source")],
)
def test_a_silence_tells_nobody_did_it_from_nothing_arrived(plant: Plant, others: int, words: str) -> None:
    stream = five_hourly(plant)
    live(plant, stream, MONDAY + 34 * MINUTE)
    minutes = range(MONDAY, MONDAY + 34 * MINUTE, MINUTE)
    counted = Counter({(plant.source_id, at): 25 for at in minutes})
    counted.update({(plant.source_id, MONDAY + minute * MINUTE): others for minute in (35, 36)})
    with plant.services.database.write() as session:
        plant.services.arrivals.write(session, Seen(minutes=counted))
    plant.tick(MONDAY + 36 * MINUTE)
    ((_, headline),) = plant.told()
    assert headline.endswith(words), headline


def test_an_outage_that_lasts_is_confirmed_when_the_window_closes_without_another_message(plant: Plant) -> None:
    stream = five_hourly(plant)
    live(plant, stream, MONDAY + 34 * MINUTE)
    plant.tick(MONDAY + 37 * MINUTE)
    plant.tick(MONDAY + 5 * HOUR + 3 * MINUTE, 20 * MINUTE)
    (incident,) = plant.incidents()
    assert (incident.provisional, incident.state) == (False, IncidentState.OPEN)
    assert incident.started_ms == MONDAY
    assert [purpose for purpose, _ in plant.told()] == ["opened"]
    notes = [entry.text for entry in plant.services.incidents.timeline(incident.id)]
    assert any(note.startswith("Its window has closed: it is confirmed.") for note in notes), notes


def test_programs_are_told_that_a_window_is_still_open_and_that_it_closed(plant: Plant) -> None:
    stream = five_hourly(plant)
    live(plant, stream, MONDAY + 34 * MINUTE)
    said = []
    for until in (MONDAY + 37 * MINUTE, MONDAY + 5 * HOUR + 3 * MINUTE):
        plant.tick(until, 20 * MINUTE)
        (incident,) = plant.incidents()
        hook = data_of(incident, "Shop", "https://cliffwatch.example", "")["incident"]
        said.append((hook["provisional"], fields(incident)["provisional"]))
    assert said == [(True, True), (False, False)]


def test_a_break_that_is_made_up_for_is_taken_back_when_the_window_closes(plant: Plant) -> None:
    stream = five_hourly(plant)
    live(plant, stream, MONDAY + 34 * MINUTE)
    plant.tick(MONDAY + 36 * MINUTE)
    assert [incident.provisional for incident in plant.incidents()] == [True]
    plant.traffic(stream, MONDAY + 34 * MINUTE, MONDAY + 5 * HOUR + 5 * MINUTE, PER_MINUTE)
    plant.tick(MONDAY + 5 * HOUR + 3 * MINUTE, 20 * MINUTE)
    (incident,) = plant.incidents()
    assert incident.state is IncidentState.RESOLVED
    assert [purpose for purpose, _ in plant.told()] == ["opened", "retracted"]


def test_an_outage_across_the_close_of_a_window_is_told_once(plant: Plant) -> None:
    stream = five_hourly(plant)
    plant.traffic(stream, plant.now, MONDAY + 5 * HOUR - 90 * SECOND, PER_MINUTE)
    plant.now = MONDAY + 5 * HOUR - 90 * SECOND
    plant.tick(MONDAY + 5 * HOUR + 7 * MINUTE)
    assert [purpose for purpose, _ in plant.told()] == ["opened"]
    (incident,) = plant.incidents()
    assert (incident.state, incident.provisional) == (IncidentState.OPEN, True)


def test_a_clear_spike_is_told_while_its_window_is_open(plant: Plant) -> None:
    stream = five_hourly(plant)
    live(plant, stream, MONDAY + 33 * MINUTE)
    live(plant, stream, MONDAY + 35 * MINUTE, 5 * PER_MINUTE)
    (incident,) = plant.incidents()
    assert (incident.provisional, incident.kind, incident.direction) == (True, "spike", 1)


def test_an_outage_of_one_country_is_told_as_that_of_the_country(plant: Plant) -> None:
    stream = five_hourly(plant)
    while plant.now < MONDAY + 35 * MINUTE:
        for country, every in (("FR", 8_000), ("US", 12_000), ("DE", 4_800)):
            if country != "DE" or plant.now < MONDAY + 32 * MINUTE:
                plant.facts(stream, np.arange(plant.now, plant.now + MINUTE, every), country)
        plant.tick(plant.now + MINUTE)
    assert {incident.slice for incident in plant.incidents()} == {(("properties.country", "DE"),)}


def test_ordinary_traffic_raises_nothing(plant: Plant) -> None:
    stream = five_hourly(plant)
    live(plant, stream, MONDAY + 50 * MINUTE)
    assert plant.incidents() == []


def test_a_stream_without_enough_days_behind_it_is_not_watched(plant: Plant) -> None:
    stream = plant.stream(schedule=FIVE_HOURS)
    plant.traffic(stream, MONDAY - 2 * DAY, MONDAY, PER_MINUTE)
    plant.tick(MONDAY + 10 * MINUTE, MINUTE)
    assert plant.incidents() == []
