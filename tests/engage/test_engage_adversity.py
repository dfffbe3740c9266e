"""What must not stop audiences: a server that hangs, a clock that steps back, names nobody has heard of, one id in two
workspaces."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.databases import Backend
from tests.engage.conftest import opened
from tests.engage.house import DAY, HOUR, MINUTE, House

from cliffwatch.engage import Mode
from cliffwatch.errors import Conflict
from cliffwatch.store import Person

QUERY = "event('Order Completed').count() >= 1"


@pytest.fixture
def house(tmp_path: Path, sqlite: Backend) -> Iterator[House]:
    with opened(tmp_path, sqlite) as made:
        yield made


@pytest.fixture
def silent() -> Iterator[tuple[str, Callable[[], int]]]:
    """A server that takes connections and never answers; its address, and how many it has."""
    held: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        listener.settimeout(0.2)
        over = threading.Event()

        def take() -> None:
            while not over.is_set():
                try:
                    held.append(listener.accept()[0])
                except TimeoutError:
                    continue

        thread = threading.Thread(target=take)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1", lambda: len(held)
        over.set()
        thread.join()
        for connection in held:
            connection.close()


def eventually(holds: Callable[[], bool], seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_servers_that_never_answer_hold_up_neither_other_syncs_nor_the_computation(
    house: House, silent: tuple[str, Callable[[], int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cliffwatch.engage.sender.TIMEOUT_SECONDS", 300.0)  # longer than the test
    address, taken = silent
    house.ordered("ann")
    made, engage = house.audience("Buyers", QUERY), house.services.engage
    to = {"endpoint": address, "write_key": "wk"}
    for _ in range(2):
        engage.send_to(made, "segment", to, Mode.IDENTIFY, house.clock.now)
    engage.compute()
    for name in ("sync-1", "sync-2"):
        threading.Thread(target=engage.lanes[name], daemon=True).start()
    assert eventually(lambda: taken() == 2)
    house.to_source(made)
    house.ordered("bob")
    house.clock.now += MINUTE // 2  # shorter than the lease of what hangs
    engage.compute()
    assert house.members(made) == {"ann", "bob"}
    while engage.lanes["sync-3"]():
        house.clock.now += 10
    assert house.services.ingest.wait_absorbed(60)
    assert set(house.told("buyers")) == {"ann", "bob"}


def test_a_clock_that_steps_back_loses_nobody_and_waits_for_nothing(house: House) -> None:
    house.clock.now += DAY
    house.ordered("ann")
    made = house.audience("Buyers", "event('Order Completed').within(30 days).count() >= 1")
    house.to_source(made, per_second=1)  # the next chunk waits for the second that comes
    house.step()
    house.clock.now -= 5 * HOUR
    house.ordered("bob")
    house.step()
    assert house.members(made) == {"ann", "bob"}
    house.step(MINUTE)
    assert house.told("buyers") == {"ann": [True], "bob": [True]}
    for later in (30 * DAY + 6 * HOUR, MINUTE):  # one person a second
        house.step(later)
    assert house.told("buyers") == {"ann": [True, False], "bob": [True, False]}


def test_an_event_that_never_came_is_nobody_until_it_comes(house: House) -> None:
    house.ordered("ann")
    came = house.audience("Came", "event('Never Heard Of').count() >= 1")
    missed = house.audience("Missed", "event('Never Heard Of').count() = 0")
    house.step()
    assert (house.members(came), house.members(missed)) == (set(), {"ann"})
    house.take({"type": "track", "event": "Never Heard Of", "userId": "ann"})
    house.step(3 * HOUR)
    assert (house.members(came), house.members(missed)) == ({"ann"}, set())


def test_a_name_whose_key_is_taken_is_refused_also_when_that_one_was_renamed_or_deleted(house: House) -> None:
    made = house.audience("Big Spenders", QUERY)
    computations = house.services.engage.computations
    for change in (
        lambda: computations.update(house.workspace, made.id, house.clock.now, name="Others"),
        lambda: computations.delete(house.workspace, made.id, house.clock.now),
    ):
        for name in ("big_spenders", "BIG  spenders", "Big-Spenders"):
            with pytest.raises(Conflict, match="gives the key big_spenders, which is used already"):
                house.trait(name, "event('Order Completed').count()")
        change()


def test_one_user_id_in_two_workspaces_is_two_people(house: House) -> None:
    services, engage = house.services, house.services.engage
    (owner,) = services.accounts.members(house.workspace)
    other = services.accounts.create_workspace(
        name="Bakery", time_zone="UTC", country=None, owner_id=owner.person.id, now=house.clock.now
    )
    theirs = replace(house, workspace=other.id)
    house.ordered("ann")
    for each in (house, theirs):
        each.trait("Orders", "event('Order Completed').count()")
    house.ordered("bob")
    theirs.take({"type": "track", "event": "Order Completed", "userId": "ann"}, source="Bakery")
    theirs.take({"type": "track", "event": "Order Completed", "userId": "ann"}, source="Bakery")
    house.step(MINUTE)

    def values(of: House) -> dict[str, object]:
        (one,) = engage.computations.list(of.workspace)
        return {member.label: member.value for member in engage.members(one)}

    assert (values(house), values(theirs)) == ({"ann": 1, "bob": 1}, {"ann": 2})
    services.store.delete_person(Person([house.source().id], [], ["ann"], [], []))
    house.step(HOUR)
    assert (values(house), values(theirs)) == ({"bob": 1}, {"ann": 2})
