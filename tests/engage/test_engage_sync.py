"""Audiences and traits that are computed and sent, on a clock that the test moves."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from tests.databases import Backend
from tests.engage.house import DAY, HOUR, House
from tests.owners import owned

from cliffwatch.engage import Asked, ComputationKind, Engage, Mode
from cliffwatch.pipeline.preview import Cancelled
from cliffwatch.store import Person

RECENT = "event('Order Completed').within(30 days).count() >= 1"
NAME = "Order Completed Last 30days"
KEY = "order_completed_last_30days"


def test_the_seeds_example_is_true_on_entering_and_false_when_thirty_days_are_over(house: House) -> None:
    house.ordered("ann")
    house.ordered("bob", at=house.clock.now - 20 * DAY)
    made = house.audience(NAME, RECENT)
    assert made.key == KEY
    assert made.every_minutes == 120
    house.to_source(made)
    house.step()
    assert house.told(KEY) == {"ann": [True], "bob": [True]}
    house.step(9 * DAY)
    assert house.told(KEY) == {"ann": [True], "bob": [True]}
    house.step(DAY + 2 * HOUR)
    assert house.told(KEY) == {"ann": [True], "bob": [True, False]}
    house.ordered("bob")
    house.step(20 * DAY)
    assert house.told(KEY) == {"ann": [True, False], "bob": [True, False, True]}
    assert house.members(made) == {"bob"}


def test_only_differences_are_sent_after_the_first_sync(house: House) -> None:
    for user in "abc":
        house.ordered(user)
    house.to_source(house.audience("Buyers", "event('Order Completed').count() >= 1"))
    house.step()
    house.ordered("d")
    house.ordered("a")
    house.step(HOUR)
    assert house.told("buyers") == {user: [True] for user in "abcd"}


def test_an_event_has_the_context_of_segments_engage(house: House) -> None:
    house.ordered("ann")
    made = house.audience("Buyers", "event('Order Completed').count() >= 1")
    house.to_source(made)
    house.step()
    (event,) = house.arrived()
    personas = event["context"]["personas"]
    assert personas["computation_class"] == "audience"
    assert personas["computation_id"] == made.computation_id
    assert personas["computation_id"].startswith("aud_")
    assert personas["computation_key"] == "buyers"
    assert personas["namespace"] == personas["space_id"]
    assert event["traits"] == {"buyers": True}


def test_track_mode_says_entered_and_exited(house: House) -> None:
    house.ordered("ann")
    house.to_source(house.audience(NAME, RECENT), Mode.TRACK)
    house.step()
    house.step(31 * DAY)
    assert [(event["event"], event["properties"]) for event in house.arrived()] == [
        ("Audience Entered", {"audience_key": KEY, KEY: True}),
        ("Audience Exited", {"audience_key": KEY, KEY: False}),
    ]


def test_both_modes_send_two_calls_for_one_transition(house: House) -> None:
    house.ordered("ann")
    house.to_source(house.audience("Buyers", "event('Order Completed').count() >= 1"), Mode.BOTH)
    house.step()
    assert sorted(event["type"] for event in house.arrived()) == ["identify", "track"]


def test_a_computed_trait_is_sent_when_its_value_changes_and_not_otherwise(house: House) -> None:
    house.ordered("ann", total=10)
    made = house.trait("Total Spent", "event('Order Completed').sum(property('total'))")
    assert made.computation_id.startswith("tra_")
    house.to_source(made)
    house.step()
    house.ordered("ann")
    house.step(HOUR)
    house.ordered("ann", total=2.5)
    house.step(HOUR)
    assert house.told("total_spent") == {"ann": [10, 12.5]}


def test_an_anonymous_buyer_counts_once_it_is_known_who_that_is(house: House) -> None:
    house.take({"type": "track", "event": "Order Completed", "anonymousId": "x", "properties": {}})
    made = house.audience("Buyers", "event('Order Completed').count() >= 1")
    house.to_source(made)
    house.step()
    assert house.told("buyers") == {}
    house.take({"type": "identify", "anonymousId": "x", "userId": "ann", "traits": {"plan": "pro"}})
    house.step(HOUR)
    assert house.told("buyers") == {"ann": [True]}


def test_people_who_become_one_do_not_leave_as_the_other(house: House) -> None:
    house.ordered("ann")
    house.ordered("annie")
    made = house.audience("Buyers", "event('Order Completed').count() >= 1")
    house.to_source(made)
    house.step()
    house.take({"type": "alias", "userId": "ann", "previousId": "annie"})
    house.step(HOUR)
    assert house.told("buyers") == {"ann": [True], "annie": [True]}
    assert house.services.engage.computations.get(house.workspace, made.id).size == 1


def test_an_audience_can_refer_to_another_by_its_key(house: House) -> None:
    for user in "ab":
        house.ordered(user)
    house.take({"type": "track", "event": "Complained", "userId": "a"})
    house.audience("Buyers", "event('Order Completed').count() >= 1")
    made = house.audience("Happy", "trait('buyers') = true AND NOT event('Complained').count() > 0")
    house.step()
    assert house.members(made) == {"b"}


def test_a_trait_in_an_events_filter_is_what_identifies_said_even_where_it_is_a_computation_too(house: House) -> None:
    house.take({"type": "identify", "userId": "ann", "traits": {"avg_spent": 5}})
    house.ordered("ann", total=9)
    house.trait("Avg Spent", "event('Order Completed').avg(property('total'))")
    query = "event('Order Completed').where(property('total') > trait('avg_spent')).count() >= 1"
    made = house.audience("Above", query)
    house.step()
    assert house.members(made) == {"ann"}


def test_a_changed_query_sends_what_differs_from_what_was_told(house: House) -> None:
    house.ordered("ann", total=10)
    house.ordered("bob", total=90)
    made = house.audience("Buyers", "event('Order Completed').count() >= 1")
    house.to_source(made)
    house.step()
    house.services.engage.computations.update(
        house.workspace,
        made.id,
        house.clock.now,
        query="event('Order Completed').where(property('total') > 50).count() >= 1",
    )
    house.step(HOUR)
    assert house.told("buyers") == {"ann": [True, False], "bob": [True]}


def test_a_preview_says_how_far_it_is_and_can_be_given_up(house: House) -> None:
    for user in "ab":
        house.ordered(user, at=house.clock.now - DAY)
        house.clock.now += 2 * HOUR
    asked = Asked(house.workspace, ComputationKind.AUDIENCE, "event('Order Completed').count() >= 1")
    heard: list[tuple[int, int]] = []
    found = house.services.engage.preview(asked, lambda done, total: heard.append((done, total)))
    assert (found.size, found.everybody, {one.label for one in found.sample}) == (2, 2, {"a", "b"})
    assert heard
    assert heard == sorted(heard)
    assert all(total == 1000 for _, total in heard)

    def unwanted(done: int, total: int) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        house.services.engage.preview(replace(asked, query="event('Other').count() = 0"), unwanted)
    assert house.services.engage.computations.claim(house.workspace, house.clock.now, 1) is not None  # nobody holds it


def test_a_paused_sync_goes_on_where_it_stopped(house: House) -> None:
    house.take(*({"type": "track", "event": "Order Completed", "userId": f"u{n}"} for n in range(1_200)))
    made = house.audience("Buyers", "event('Order Completed').count() >= 1")
    sync = house.to_source(made)
    engage = house.services.engage
    engage.compute()
    assert engage.sender.step()
    engage.syncs.change(made.id, sync, paused=True)
    assert not engage.sender.step()
    (run,) = engage.syncs.runs(sync)
    assert (run.first, run.sent, run.total, run.finished_ms) == (True, 500, 1_200, None)
    engage.syncs.change(made.id, sync, paused=False)
    house.step()
    (run,) = engage.syncs.runs(sync)
    assert (run.sent, run.total, run.progress) == (1_200, 1_200, 1.0)
    assert len(house.told("buyers")) == 1_200


def test_the_rate_limit_spreads_a_sync_over_time(house: House) -> None:
    house.take(*({"type": "track", "event": "Order Completed", "userId": f"u{n}"} for n in range(25)))
    house.to_source(house.audience("Buyers", "event('Order Completed').count() >= 1"), per_second=10)
    engage = house.services.engage
    engage.compute()
    sent = []
    for _ in range(4):
        while engage.sender.step():
            pass
        house.services.ingest.wait_absorbed(60)
        sent.append(len(house.arrived()))
        house.clock.now += 1_000
    assert sent == [10, 20, 25, 25]


def test_a_deleted_audience_is_not_sent_and_comes_back_with_undo(house: House) -> None:
    house.ordered("ann")
    made = house.audience("Buyers", "event('Order Completed').count() >= 1")
    house.to_source(made)
    computations = house.services.engage.computations
    computations.delete(house.workspace, made.id, house.clock.now)
    house.step()
    assert house.arrived() == []
    computations.restore(house.workspace, made.id, house.clock.now)
    house.step(HOUR)
    assert house.told("buyers") == {"ann": [True]}


def test_a_forgotten_person_is_in_no_audience_any_more(house: House) -> None:
    house.ordered("ann")
    house.ordered("bob")
    made = house.audience("Buyers", "event('Order Completed').count() >= 1")
    house.step()

    house.services.store.delete_person(Person([house.source().id], [], ["ann"], [], []))
    house.step(HOUR)
    assert house.members(made) == {"bob"}


def test_two_nodes_send_each_transition_once(house: House) -> None:
    house.take(*({"type": "track", "event": "Order Completed", "userId": f"u{n}"} for n in range(3_000)))
    house.to_source(house.audience("Buyers", "event('Order Completed').count() >= 1"))
    services = house.services
    nodes = [
        Engage(
            database=services.database,
            store=services.store,
            sources=services.sources,
            streams=services.streams,
            ingest=services.ingest,
            clock=services.clock,
            allow_private=True,
        )
        for _ in range(2)
    ]
    steps = [0, 0]

    def work(which: int) -> None:
        for _ in range(40):
            nodes[which].compute()
            steps[which] += nodes[which].sender.step()
            house.clock.now += 30

    threads = [threading.Thread(target=work, args=(which,)) for which in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    house.step(HOUR)
    identities = [event["messageId"] for event in house.arrived()]
    assert len(identities) == len(set(identities)) == 3_000
    assert house.told("buyers") == {f"u{n}": [True] for n in range(3_000)}


Killed = dict[str, dict[str, list[bool]]]
"""Kill point -> what was told of each user after a restart."""
POINTS = ["before fill", *(f"after {what}" for what in ("fill", "commit", "fix", "take", "settle", "finish"))]
OF_THE_DATABASE = ["after commit", "after fix", "after settle", "after finish"]
"""Steps that are a transaction of the metadata database."""


def killed_at(points: list[str], folder: Path, backend: Backend) -> Killed:
    (folder / "prepared").mkdir()
    url = backend.copy(owned, folder / "prepared")
    given = [] if backend.name == "sqlite" else [url, *points]
    done = subprocess.run(
        [sys.executable, str(Path(__file__).parent / "kill_points.py"), str(folder), *given],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    found: Killed = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory, sqlite: Backend) -> Killed:
    return killed_at(POINTS, tmp_path_factory.mktemp("killed"), sqlite)


@pytest.fixture(scope="module")
def killed_on_postgresql(tmp_path_factory: pytest.TempPathFactory, databases: Backend) -> Killed:
    return killed_at(OF_THE_DATABASE, tmp_path_factory.mktemp("killed"), databases)


ONCE = {"ann": [True, False], "bob": [True, False], "cid": [True]}


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_at_any_step_leaves_each_transition_told_exactly_once(killed: Killed, point: str) -> None:
    assert killed[point] == ONCE


@pytest.mark.parametrize("point", OF_THE_DATABASE)
def test_so_does_a_kill_where_the_metadata_is_on_postgresql(killed_on_postgresql: Killed, point: str) -> None:
    assert killed_on_postgresql[point] == ONCE
