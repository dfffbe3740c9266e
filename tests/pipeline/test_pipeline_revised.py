"""Late, repeated, shuffled and future events, a clock that jumps: points equal those of one clean pass."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.pipeline.plant import HOUR, MINUTE, MONDAY, Plant, opened
from tests.streams.conftest import archive_of, make_event

from cliffwatch.spec import Event, Events
from cliffwatch.store import PointQuery
from cliffwatch.streams import Stream
from cliffwatch.streams.revised import RevisedPoints

HOURS = 8


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    with opened(tmp_path, MONDAY) as made:
        yield made


def events_of(plant: Plant) -> list[Event]:
    chance = random.Random(3)
    return [
        make_event(
            MONDAY + chance.randrange(HOURS * HOUR),
            source_id=plant.source_id,
            message=f"m{number}",
            country=chance.choice(["DE", "FR"]),
        )
        for number in range(600)
    ]


def arrive(plant: Plant, events: list[Event]) -> None:
    projector = plant.services.pipeline._projector
    projector.refresh()
    plant.services.store.write(archive_of(events), projector.project(Events.of(events)))
    projector.stored()


def points(plant: Plant, stream: Stream) -> dict[tuple[str, int], float]:
    found = plant.services.store.read_points(PointQuery(stream.id, MONDAY, MONDAY + HOURS * HOUR))
    return dict(zip(zip(found.slice, found.window_start_ms.tolist(), strict=True), found.value.tolist(), strict=True))


def clean_pass(folder: Path) -> dict[tuple[str, int], float]:
    folder.mkdir()
    with opened(folder, MONDAY) as plant:
        stream = plant.stream()
        arrive(plant, events_of(plant))
        plant.tick(MONDAY + (HOURS + 1) * HOUR, 30 * MINUTE)
        return points(plant, stream)


def test_late_repeated_and_shuffled_events_give_the_points_of_a_clean_pass(plant: Plant, tmp_path: Path) -> None:
    stream = plant.stream()
    events = events_of(plant)
    chance = random.Random(5)
    chance.shuffle(events)
    batches = np.array_split(np.arange(len(events)), 12)
    moments = [MONDAY + (hour + 1) * 40 * MINUTE for hour in range(12)]
    moments[6] -= 3 * HOUR  # the clock jumps back, and on again
    for moment, places in zip(moments, batches, strict=True):  # many come hours late, and many long before their time
        plant.now = moment
        batch = [events[place] for place in places.tolist()]
        arrive(plant, batch + batch[:10])
        arrive(plant, batch[5:15])
        plant.work()
    plant.tick(MONDAY + (HOURS + 1) * HOUR, 30 * MINUTE)
    plant.tick(plant.now + MINUTE)
    found = points(plant, stream)
    assert found == clean_pass(tmp_path / "clean")
    by_hand = Counter(event.ts_ms - event.ts_ms % HOUR for event in events)
    del by_hand[MONDAY]  # the window of the first event is not complete
    assert {start: value for (slice_, start), value in found.items() if slice_ == "{}"} == by_hand


def test_what_late_events_changed_is_kept_with_what_it_was(plant: Plant) -> None:
    stream = plant.stream()
    arrive(plant, [make_event(MONDAY + i * MINUTE, source_id=plant.source_id) for i in range(50)])
    plant.tick(MONDAY + 2 * HOUR, 30 * MINUTE)
    for more in (7, 3):
        late = [make_event(MONDAY + 30 * MINUTE + i, source_id=plant.source_id) for i in range(more)]
        arrive(plant, late)
        plant.tick(plant.now + MINUTE)
    (revised,) = RevisedPoints(plant.services.database).find(stream.id, "count()", "{}", MONDAY)
    assert (revised.window_start_ms, revised.was, revised.became) == (MONDAY, 50, 60)
