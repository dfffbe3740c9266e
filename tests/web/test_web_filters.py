"""Saved filters of the list of incidents: private or shared, by link, with undo."""

from __future__ import annotations

import re

import pytest
from starlette.testclient import TestClient
from tests.web.conftest import VIEWER, Browse, House

from cliffwatch.incidents import SavedFilter


def saved(busy: House, name: str) -> SavedFilter:
    assert busy.owner is not None
    assert busy.owner.person is not None
    return next(one for one in busy.services.filters.list(1, busy.owner.person.id) if one.name == name)


def keep(busy: House, name: str, **fields: str) -> SavedFilter:
    busy.client().post("/incidents/filters", data={"name": name, **fields})
    return saved(busy, name)


def numbers(text: str) -> list[int]:
    return [int(one) for one in re.findall(r'class="cover" href="/incidents/(\d+)"', text)]


def followed(client: TestClient, path: str) -> str:
    return client.get(path, follow_redirects=True).text


def test_a_saved_filter_opens_the_list_as_it_was(busy: House) -> None:
    client = busy.client()
    assert busy.stream is not None
    wanted = {"show": "all", "stream": str(busy.stream.id), "owner": "nobody"}
    made = keep(busy, "Nobody's money", **wanted)
    there = client.get("/incidents", params=wanted).text
    assert numbers(followed(client, f"/incidents/filters/{made.id}")) == numbers(there)
    assert "Nobody&#39;s money" in there


def test_owner_and_stream_narrow_the_list(busy: House) -> None:
    client = busy.client()
    assert busy.owner is not None
    assert busy.owner.person is not None
    person = busy.owner.person
    busy.services.incidents.assign(1, 4, person, 1, person.id)
    mine = numbers(client.get("/incidents?show=all&owner=me").text)
    nobodys = numbers(client.get("/incidents?show=all&owner=nobody").text)
    busy.services.incidents.assign(1, 4, person, 1, None)
    assert 4 in mine
    assert 4 not in nobodys
    assert nobodys


def test_a_private_filter_is_seen_by_nobody_else_and_a_shared_one_by_all(busy: House) -> None:
    made, viewer = keep(busy, "Only mine", show="resolved"), busy.client(VIEWER)
    assert "Only mine" not in viewer.get("/incidents").text
    assert viewer.get(f"/incidents/filters/{made.id}").status_code == 404
    busy.client().post(f"/incidents/filters/{made.id}/share", data={"shared": "yes"})
    assert "Only mine" in viewer.get("/incidents").text
    assert viewer.get(f"/incidents/filters/{made.id}", follow_redirects=False).headers["location"].endswith("resolved")


def test_who_only_reads_changes_no_filter(busy: House) -> None:
    made, viewer = keep(busy, "Everybody's", show="all", shared="yes"), busy.client(VIEWER)
    for step in ("share", "delete", "restore"):
        assert viewer.post(f"/incidents/filters/{made.id}/{step}").status_code == 403


def test_a_deleted_filter_comes_back(busy: House) -> None:
    client, made = busy.client(), keep(busy, "Gone", show="all")
    assert "The filter was deleted." in client.post(f"/incidents/filters/{made.id}/delete", follow_redirects=True).text
    assert client.get(f"/incidents/filters/{made.id}").status_code == 404
    client.post(f"/incidents/filters/{made.id}/restore")
    assert saved(busy, "Gone") == made


def test_saving_under_a_name_again_replaces_it(busy: House) -> None:
    first, second = keep(busy, "Same", show="all"), keep(busy, "Same", show="live")
    assert (first.id, second.query) == (second.id, "show=live")


@pytest.mark.parametrize("name", ["", "x" * 201])
def test_a_filter_needs_a_name(busy: House, name: str) -> None:
    answer = busy.client().post("/incidents/filters", data={"name": name, "show": "all"}, follow_redirects=True)
    assert "must have 1 to 200 characters" in answer.text


def test_keys_pressed_in_a_field_are_text(busy: House, browse_busy: Browse) -> None:
    page = browse_busy()
    page.goto(f"{busy.address}/incidents")
    page.get_by_text("Saved filters", exact=True).click()
    page.locator("#filter-name").press_sequentially("asfer jkx?")
    assert page.locator("#filter-name").input_value() == "asfer jkx?"
    assert page.locator("#keys").is_hidden()
    assert page.locator("[data-choose]:checked").count() == 0
    assert page.url.endswith("/incidents")


def test_the_menu_of_saved_filters_fits_a_phone(busy: House, browse_busy: Browse) -> None:
    page = browse_busy("light", 390)
    page.goto(f"{busy.address}/incidents")
    page.locator("summary", has_text="Saved filters").click()
    box = page.locator(".saved-menu").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390
