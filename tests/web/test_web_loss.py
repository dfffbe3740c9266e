"""The loss of an incident is what the points of its chart add up to, also after late events and once it is over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient
from tests.pipeline.plant import DAY, HOUR, MINUTE, MONDAY, Plant, opened

from cliffwatch.accounts import SESSION_COOKIE
from cliffwatch.incidents import Incident, IncidentState, numbers
from cliffwatch.streams import Stream
from cliffwatch.web import create_pages

PASSWORD = "a quiet little bakery"


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    with opened(tmp_path, MONDAY) as made:
        yield made


def difference_of_the_points(plant: Plant, stream: Stream, incident: Incident) -> float:
    """What the page's chart shows from the first surprising window to the last one: actual minus expected, added up."""
    pages = create_pages(plant.services)
    token = plant.services.accounts.sign_in("robin@shop.example", PASSWORD, address="", user_agent="", now=plant.now)
    with TestClient(pages, cookies={SESSION_COOKIE: token}) as client:
        query = {"measure": incident.measure, "start": MONDAY, "end": plant.now}
        shown = client.get(f"/streams/{stream.id}/series.json", params=query).json()
    start, end = incident.started_ms // 1000, incident.last_window_ms // 1000
    return sum(
        actual - expected
        for at, actual, expected in zip(shown["start"], shown["actual"], shown["expected"], strict=True)
        if start <= at < end
    )


def story(plant: Plant) -> Incident:
    (found,) = plant.incidents()
    return found


def test_the_loss_is_the_sum_of_the_points_shown(plant: Plant) -> None:
    stream = plant.stream()
    outage = MONDAY + 15 * DAY
    plant.traffic(stream, MONDAY, outage, 1.0)
    plant.now = outage
    plant.judge(stream, MONDAY)
    plant.traffic(stream, outage, outage + 3 * HOUR, 0.2)
    plant.tick(outage + 3 * HOUR + 20 * MINUTE, 10 * MINUTE)
    early = story(plant)
    assert early.state is IncidentState.OPEN
    assert numbers(early).loss == pytest.approx(difference_of_the_points(plant, stream, early), abs=1e-3)
    plant.facts(stream, np.arange(outage, outage + HOUR, HOUR // 12))  # a dozen that come hours late
    plant.judge(stream, outage)
    late = story(plant)
    assert numbers(late).loss != pytest.approx(numbers(early).loss, abs=5)
    assert numbers(late).loss == pytest.approx(difference_of_the_points(plant, stream, late), abs=1e-3)
    plant.traffic(stream, outage + 3 * HOUR, outage + 7 * HOUR, 1.0)
    plant.tick(outage + 7 * HOUR + 20 * MINUTE, 10 * MINUTE)
    over = story(plant)
    assert over.state is IncidentState.RESOLVED
    assert numbers(over).loss == pytest.approx(difference_of_the_points(plant, stream, over), abs=1e-3)
