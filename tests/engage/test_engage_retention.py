"""How long transitions and evaluations are kept."""

from __future__ import annotations

import pytest
from tests.engage.house import DAY, HOUR, House

from cliffwatch.engage import Computation, retention
from cliffwatch.errors import Conflict, NotFound


@pytest.fixture
def changed(house: House) -> Computation:
    """An audience that ann has left and bob came to afterwards; what the first evaluation found is no transition."""
    house.ordered("ann")
    made = house.audience("Recent", "event('Order Completed').within(30 days).count() >= 1")
    house.step()
    house.step(31 * DAY)
    house.ordered("bob")
    house.step(3 * HOUR)
    return made


def changes(house: House, one: Computation) -> list[bool]:
    """Newest first."""
    return [change.value is True for change in house.services.engage.computations.changes(one.id)]


def test_old_transitions_and_evaluations_are_let_go_of_and_the_newest_evaluation_stays(
    house: House, changed: Computation
) -> None:
    computations = house.services.engage.computations
    newest = computations.last_pass(changed.id)
    assert changes(house, changed) == [True, False]
    house.clock.now += 401 * DAY
    house.services.engage.compute()
    assert changes(house, changed) == [False]  # bob left in between
    assert computations.passes(changed.id)[0].id == newest
    assert house.members(changed) == set()


def test_of_very_many_transitions_the_newest_are_kept(
    house: House, changed: Computation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "KEPT_CHANGES", 1)
    retention.tidy(house.services.database, house.clock.now)
    assert changes(house, changed) == [True]


def test_what_somebody_deleted_meanwhile_is_not_changed(shop: House) -> None:
    made = shop.audience("Deleted meanwhile", "event('Order Completed').count() >= 1")
    shop.services.engage.delete(shop.workspace, made.id, shop.clock.now)
    with pytest.raises(NotFound, match="Bring it back, then change it"):
        shop.services.engage.computations.update(shop.workspace, made.id, shop.clock.now, name="Other")


def test_what_was_deleted_more_than_a_week_ago_stays_deleted(shop: House) -> None:
    made = shop.audience("Deleted long ago", "event('Order Completed').count() >= 1")
    shop.services.engage.delete(shop.workspace, made.id, shop.clock.now)
    with pytest.raises(Conflict, match="more than a week ago"):
        shop.services.engage.computations.restore(shop.workspace, made.id, shop.clock.now + 8 * DAY)
