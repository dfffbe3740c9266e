"""An outage in hundreds of series of one run is a few incidents."""

from __future__ import annotations

from tests.incidents.conftest import HOUR, T0, World, cause, of, report

MANY = 600


def test_an_outage_in_many_slices_is_one_incident_that_is_explained_once(world: World) -> None:
    reports = [report(), *(report(slice=of(city=f"city {i}"), actual=1.0 + i, expected=9.0 + i) for i in range(MANY))]
    world.take(reports, because=cause({"properties.country": "DE"}))
    (incident,) = world.incidents.list(1)
    assert len(world.incidents.anomalies(incident.id)) == MANY + 1
    assert len(world.explained) == 1


def test_every_series_of_it_ends_with_it(world: World) -> None:
    world.take([report(), *(report(slice=of(city=f"city {i}")) for i in range(MANY))])
    world.take([], end=T0 + 2 * HOUR)
    (incident,) = world.incidents.list(1)
    assert not incident.state.live
    assert not any(one.ongoing for one in world.incidents.anomalies(incident.id))
