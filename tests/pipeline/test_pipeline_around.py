"""What is said around an incident: its verdict and what else happened, over real stores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select
from tests.pipeline.shop import DEFINITION, HOUR, MONDAY, Shop, opened

from cliffwatch.db.incidents import DeliveryRow
from cliffwatch.explain.verdict import Finding
from cliffwatch.guidance import Annotation, AnnotationKind
from cliffwatch.incidents import Anomaly, Incident, Subject
from cliffwatch.ingest.arrivals import Seen
from cliffwatch.notify.message import load
from cliffwatch.pipeline.around import Surroundings, library_of
from cliffwatch.pipeline.near import NearKind, of_annotation, of_anomaly, ranked, slice_fit
from cliffwatch.spec.sender import NOBODY
from cliffwatch.spec.verdict import Verdict
from cliffwatch.streams import parse

START = 24 * 14
DE, FR = (("properties.country", "DE"),), (("properties.country", "FR"),)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """Two weeks of orders and carts. Then orders fall to a third for four hours, carts go on: an open incident."""
    with opened(tmp_path) as shop:
        carts = parse(
            DEFINITION | {"events": ["Cart Viewed"], "measures": [{"aggregation": "count", "label": "Carts"}]}
        )
        second = shop.services.streams.create(shop.workspace_id, shop.stream.source_id, "Carts", carts, MONDAY)
        replace(shop, stream=second).sell(0, START + 4, 90.0, seed=5)
        shop.sell(0, START)
        shop.run(START)
        shop.sell(START, START + 4, 20.0)
        shop.run(START + 4)
        yield shop


def incident(shop: Shop) -> Incident:
    (found,) = shop.services.incidents.list(shop.workspace_id)
    return found


def look(shop: Shop) -> Surroundings:
    return shop.services.around.look(incident(shop))


def said(around: Surroundings) -> list[str]:
    assert around.verdict is not None
    return [one.text for one in around.verdict.evidence]


def reject(shop: Shop, hours_and_counts: dict[int, int]) -> None:
    counts = {
        (shop.stream.source_id, MONDAY + hour * HOUR, Verdict.EVENT_NOT_DEFINED, NOBODY): count
        for hour, count in hours_and_counts.items()
    }
    with shop.services.database.write() as session:
        shop.services.catalogue.write(session, {}, counts)


def arrive(shop: Shop, hours: range, each: int) -> None:
    minutes = Counter({(shop.stream.source_id, MONDAY + hour * HOUR): each for hour in hours})
    with shop.services.database.write() as session:
        shop.services.arrivals.write(session, Seen(minutes=minutes))


def test_the_evidence_names_what_the_people_and_the_other_events_of_the_source_did(shop: Shop) -> None:
    texts = said(look(shop))
    assert any(text.startswith("Fewer people did it (") for text in texts)
    assert "Only this fell: Carts came as usual." in texts


def test_messages_that_are_rejected_all_at_once_make_the_verdict_tracking_and_stand_beside_it(shop: Shop) -> None:
    reject(shop, {START - 50: 2, START: 90, START + 1: 85})
    around = look(shop)
    assert around.verdict is not None
    assert around.verdict.finding is Finding.TRACKING
    assert said(around)[0] == "175 messages of the source were rejected, 0 are usual."
    assert around.near[0].kind is NearKind.SOURCE


def test_a_source_from_which_hardly_anything_arrives_is_told_as_silent(shop: Shop) -> None:
    arrive(shop, range(START), 1_000)
    arrive(shop, range(START, START + 4), 5)
    around = look(shop)
    assert said(around)[0].startswith("The source is silent: 20 instead of about 4,000")
    assert around.verdict is not None
    assert around.verdict.finding is Finding.TRACKING


def test_arrivals_that_were_not_counted_before_prove_nothing(shop: Shop) -> None:
    arrive(shop, range(START, START + 4), 5)
    assert not any("source" in text for text in said(look(shop)))


def test_a_release_just_before_stands_first(shop: Shop) -> None:
    create = shop.services.guidance.annotations.create
    for title, minutes in (("4.2.1", 10), ("4.2.0", 240)):
        at = MONDAY + START * HOUR - minutes * 60_000
        create(shop.workspace_id, AnnotationKind.RELEASE, title, at, None, by="Robin", now=shop.clock.now)
    near = look(shop).near
    assert near[0].text == "Release: 4.2.1"
    assert near[0].fit > 2 * next(one.fit for one in near if one.text == "Release: 4.2.0")


def lateness(shop: Shop, day: int, bucket: int, events: int) -> None:
    at = MONDAY + day * 24 * HOUR
    with shop.services.database.write() as session:
        seen = Seen(lateness=Counter({(shop.stream.source_id, at, bucket): events}))
        seen.minutes[shop.stream.source_id, at] = events
        shop.services.arrivals.write(session, seen)


def test_events_that_arrive_late_are_told_where_it_is_known_what_is_usual(shop: Shop) -> None:
    lateness(shop, START // 24, 60, 500)  # about an hour
    assert not any("late" in one.text for one in look(shop).near)
    lateness(shop, START // 24 - 1, 10, 5_000)  # less than a second
    assert any(one.text.startswith("Events arrive late: one in twenty waited 5") for one in look(shop).near)


def told(**changes: object) -> Incident:
    plain = Incident(
        id=1,
        workspace_id=1,
        number=1,
        stream_id=1,
        measure="count()",
        slice=(),
        subjects={(1, "count()"): Subject("Orders", None, True, "Orders")},
        state=None,  # type: ignore[arg-type] # not looked at
        kind="dip",
        direction=-1,
        headline="",
        cause="",
        explanation={},
        actual=10,
        expected=20,
        score=-6,
        started_ms=MONDAY,
        ended_ms=None,
        last_window_ms=MONDAY + 4 * HOUR,
        opened_ms=MONDAY,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def anomaly(start_ms: int, slice_: tuple[tuple[str, str], ...], score: float = -6.0) -> Anomaly:
    return Anomaly(
        id=1,
        incident_id=None,
        workspace_id=1,
        stream_id=2,
        measure="count()",
        slice=slice_,
        kind="dip",
        direction=-1,
        start_ms=start_ms,
        end_ms=start_ms + HOUR,
        ongoing=True,
        actual=5,
        expected=10,
        impact=-5,
        score=score,
        detected_ms=start_ms,
        withdrawn_ms=None,
        quiet_reason="",
    )


def test_what_began_with_it_in_the_same_slice_fits_best() -> None:
    about = [(), DE]
    fits = [
        of_anomaly(one, "Carts", "Carts", told(), about).fit
        for one in (anomaly(MONDAY, DE), anomaly(MONDAY, ()), anomaly(MONDAY + 3 * HOUR, DE), anomaly(MONDAY, FR))
    ]
    assert fits == sorted(fits, reverse=True)
    assert slice_fit((("traits.country", "DE"),), about) == 1.0


def test_an_own_event_after_the_onset_is_hardly_a_cause() -> None:
    before, after = (
        of_annotation(Annotation(1, 1, AnnotationKind.CAMPAIGN, "Mail", at, at + HOUR), told(), [()])
        for at in (MONDAY - HOUR, MONDAY + 3 * HOUR)
    )
    assert before.fit > 5 * after.fit
    assert ranked([after, before])[0] is before


@pytest.mark.parametrize(
    ("body", "library"),
    [
        ('{"context": {"library": {"name": "analytics-ios", "version": "4.1.2"}}}', "analytics-ios 4.1.2"),
        ('{"context": {}}', ""),
        ('{"context": {"library": "odd"}}', ""),
        ("[]", ""),
        ("not JSON", ""),
    ],
)
def test_a_library_is_read_from_an_event_of_any_shape(body: str, library: str) -> None:
    assert library_of(body) == library


def test_the_message_about_a_drop_begins_with_its_verdict(tmp_path: Path) -> None:
    with opened(tmp_path) as shop:
        shop.services.channels.create(shop.workspace_id, "email", "Team", {"to": "a@x.example"}, shop.clock.now)
        shop.sell(0, START)
        shop.run(START)
        reject(shop, {START - 50: 2, START: 90, START + 1: 85})
        arrive(shop, range(START), 1_000)
        arrive(shop, range(START, START + 4), 5)
        shop.sell(START, START + 4, 20.0)
        shop.run(START + 4)
        with shop.services.database.read() as session:
            first = session.scalars(select(DeliveryRow).order_by(DeliveryRow.id)).first()
        assert first is not None
        assert load(first.payload["message"]).first_line.startswith("Tracking probably broke: ")
        assert first.payload["message"]["data"]["incident"]["verdict"] == "tracking_broke"


def with_failures(shop: Shop) -> Shop:
    """A second stream of the same source, of an event that is rare."""
    one = {"aggregation": "count", "label": "Failed checkouts"}
    failures = parse(DEFINITION | {"events": ["Checkout Failed"], "measures": [one]})
    created = shop.services.streams.create(shop.workspace_id, shop.stream.source_id, "Failures", failures, MONDAY)
    return replace(shop, stream=created)


def told_verdict(shop: Shop, incident: Incident) -> str:
    with shop.services.database.read() as session:
        letters = session.scalars(select(DeliveryRow).order_by(DeliveryRow.id)).all()
    told = [letter.payload["message"]["data"]["incident"] for letter in letters]
    return next(str(one["verdict"]) for one in told if one["number"] == incident.number)


def test_what_rose_in_the_same_run_speaks_in_the_message_as_on_the_page(tmp_path: Path) -> None:
    with opened(tmp_path) as shop:
        shop.services.channels.create(shop.workspace_id, "email", "Team", {"to": "a@x.example"}, shop.clock.now)
        failures = with_failures(shop)
        shop.sell(0, START)
        failures.sell(0, START, 5.0, seed=5)
        shop.run(START)
        shop.sell(START, START + 1, 20.0)
        failures.sell(START, START + 1, 70.0, seed=6)
        shop.run(START + 1)
        fall = next(one for one in shop.services.incidents.list(shop.workspace_id) if one.direction < 0)
        around = shop.services.around.look(fall)
        assert around.verdict is not None
        assert "Failed checkouts rose at the same time: people came, and were counted." in said(around)
        assert told_verdict(shop, fall) == around.verdict.finding == Finding.BUSINESS


def test_no_verdict_is_told_while_another_stream_of_the_source_is_being_filled(tmp_path: Path) -> None:
    with opened(tmp_path) as shop:
        shop.services.channels.create(shop.workspace_id, "email", "Team", {"to": "a@x.example"}, shop.clock.now)
        shop.sell(0, START)
        shop.run(START)
        reject(shop, {START - 50: 2, START: 90})
        shop.sell(START, START + 1, 20.0)
        shop.run(START + 1)
        (found,) = shop.services.incidents.list(shop.workspace_id)
        assert shop.services.around.verdict(found) == Finding.TRACKING
        with_failures(shop)
        assert shop.services.around.verdict(found) == ""
