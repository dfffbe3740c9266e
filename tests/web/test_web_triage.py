"""Triage of the list: by keyboard, many at once, with undo; and paging that shows nothing twice."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from tests.web.conftest import HOUR, NOW, VIEWER, Browse, Heard, House, revenue_dip, take_report

from cliffwatch.incidents import IncidentState


def state(busy: House, number: int) -> IncidentState:
    return busy.services.incidents.get(1, number).state


def test_keys_move_choose_and_act_and_undo_takes_it_back(busy: House, browse_busy: Browse) -> None:
    page = browse_busy()
    heard = Heard(page)
    page.goto(f"{busy.address}/incidents")
    page.keyboard.press("j")
    first = page.evaluate("document.activeElement.getAttribute('href')")
    page.keyboard.press("x")
    page.keyboard.press("j")
    page.keyboard.press("x")
    second = page.evaluate("document.activeElement.getAttribute('href')")
    numbers = [int(one.rsplit("/", 1)[1]) for one in (first, second)]
    assert len(set(numbers)) == 2
    page.keyboard.press("a")
    page.get_by_text("2 incidents acknowledged").wait_for()
    assert [state(busy, one) for one in numbers] == [IncidentState.ACKNOWLEDGED] * 2
    page.get_by_role("button", name="Undo").click()
    page.get_by_text("as before").wait_for()
    assert [state(busy, one) for one in numbers] == [IncidentState.OPEN] * 2
    assert heard.complaints == []


def test_the_question_mark_shows_the_keys(busy: House, browse_busy: Browse) -> None:
    page = browse_busy()
    page.goto(f"{busy.address}/incidents")
    page.keyboard.press("?")
    assert page.locator("#keys").is_visible()
    page.keyboard.press("a")
    assert page.url.endswith("/incidents")


def test_what_somebody_touched_since_stays_when_a_step_is_taken_back(busy: House) -> None:
    client = busy.client()
    client.post("/incidents/triage", data={"number": ["4", "5"], "step": "snooze"})
    busy.services.incidents.comment(1, 5, busy.owner.person, NOW, "Looking.")  # type: ignore[union-attr, arg-type]
    with busy.services.database.engine.connect() as connection:
        (last,) = connection.exec_driver_sql("select max(id) from incident_triage").one()
    client.post(f"/incidents/triage/{last}/undo")
    assert (state(busy, 4), state(busy, 5)) == (IncidentState.OPEN, IncidentState.SNOOZED)
    client.post("/incidents/5/acknowledge")
    client.post("/incidents/5/reopen")


def test_a_viewer_cannot_triage(busy: House) -> None:
    assert busy.client(VIEWER).post("/incidents/triage", data={"number": "4", "step": "resolve"}).status_code == 403
    assert "data-triage" not in busy.client(VIEWER).get("/incidents").text


@pytest.mark.parametrize("step", ["explode", ""])
def test_an_unknown_step_changes_nothing(busy: House, step: str) -> None:
    busy.client().post("/incidents/triage", data={"number": "4", "step": step})
    assert state(busy, 4) is IncidentState.OPEN


def test_paging_shows_nothing_twice_while_new_incidents_come_in(busy: House) -> None:
    client = busy.client()

    def numbers(text: str) -> list[int]:
        return [int(one) for one in re.findall(r'class="cover" href="/incidents/(\d+)"', text)]

    first = client.get("/incidents?show=all&size=4").text
    assert busy.owner is not None
    assert busy.stream is not None
    start = NOW - NOW % HOUR - HOUR
    late = replace(revenue_dip(busy.owner, busy.stream), slice=(("properties.country", "ZA"),), start_ms=start)
    take_report(busy, busy.stream, late)
    seen = numbers(first)
    follow = re.search(r'href="(/incidents\?[^"]*before=[^"]*)"', first)
    while follow is not None:
        text = client.get(follow[1].replace("&amp;", "&")).text
        seen += numbers(text)
        follow = re.search(r'href="(/incidents\?[^"]*before=[^"]*)"', text)
    assert len(seen) == len(set(seen))
    assert set(seen) >= set(range(1, 9))


def test_all_on_every_page_take_a_step_but_for_what_came_in_since(busy: House, browse_busy: Browse) -> None:
    client, incidents = busy.client(), busy.services.incidents
    assert busy.owner is not None
    assert busy.owner.person is not None
    mine = [4, 5, 6]
    for number in mine:
        incidents.assign(1, number, busy.owner.person, NOW, busy.owner.person.id)
    page = browse_busy()
    page.goto(f"{busy.address}/incidents?show=live&owner=me&size=2")
    page.get_by_label("All 3, on every page").check()
    assert page.locator("[data-count]").inner_text() == "3 chosen"
    page.keyboard.press("s")
    page.get_by_text("3 incidents snoozed").wait_for()
    assert {state(busy, one) for one in mine} == {IncidentState.SNOOZED}
    page.get_by_role("button", name="Undo").click()
    page.get_by_text("3 incidents as before").wait_for()
    early = {"step": "snooze", "all": "yes", "show": "live", "owner": "me", "seen": "1"}
    client.post("/incidents/triage", data=early)
    assert {state(busy, one) for one in mine} == {IncidentState.OPEN}
    for number in mine:
        incidents.assign(1, number, busy.owner.person, NOW, None)
