"""Acting from a message: the page asks once, the button acts in the reader's name."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient
from tests.web.conftest import NOW, House

from cliffwatch.accounts import Identity, Person
from cliffwatch.incidents import Incident, IncidentState


@pytest.fixture
def client(house: House) -> Iterator[TestClient]:
    """Somebody who is not signed in; other tests find the incident as it was."""
    yield house.client(None)
    if incident(house).state is not IncidentState.OPEN:
        house.services.incidents.reopen(owner(house).workspace.id, 1, robin(house), NOW)


def owner(house: House) -> Identity:
    assert house.owner is not None
    return house.owner


def robin(house: House) -> Person:
    person = owner(house).person
    assert person is not None
    return person


def incident(house: House) -> Incident:
    return house.services.incidents.get(owner(house).workspace.id, 1)


def link(house: House, label: str, *, own: bool = True) -> str:
    """A link about the house's incident, from its owner's mail or from a channel's."""
    person_id = robin(house).id if own else None
    with house.services.database.write() as session:
        urls = house.services.links.urls(
            session,
            workspace_id=owner(house).workspace.id,
            number=1,
            person_id=person_id,
            channel="Team inbox",
            now=NOW,
        )
    return f"/act/{dict(urls)[label].rpartition('/')[2]}"


def test_opening_a_link_changes_nothing(house: House, client: TestClient) -> None:
    page = client.get(link(house, "Acknowledge"))
    assert page.status_code == 200
    assert "Acknowledge</button>" in page.text
    assert incident(house).state is IncidentState.OPEN


def test_its_button_acts_in_the_readers_name(house: House, client: TestClient) -> None:
    assert client.post(link(house, "Acknowledge")).status_code == 200
    assert (incident(house).state, incident(house).acknowledged_by) == (IncidentState.ACKNOWLEDGED, "Robin Weber")


def test_a_link_from_a_shared_channel_acts_in_the_channels_name(house: House, client: TestClient) -> None:
    assert client.post(link(house, "Snooze", own=False), data={"hours": "4"}).status_code == 200
    assert incident(house).snoozed_until_ms == NOW + 4 * 3_600_000
    assert "Team inbox" in house.services.incidents.timeline(incident(house).id)[-1].text


def test_a_link_works_once_and_then_says_so(house: House, client: TestClient) -> None:
    address = link(house, "False alarm")
    assert client.post(address).status_code == 200
    again = client.post(address)
    assert again.status_code == 409
    assert "works once" in again.text


def test_a_made_up_link_does_not_exist(client: TestClient) -> None:
    assert client.get("/act/made.up").status_code == 404
