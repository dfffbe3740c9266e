"""Any period against any base line: what an address means, and the page that answers it."""

from __future__ import annotations

from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import pytest
from tests.web.conftest import NOW, REVENUE, Browse, Heard, House

from cliffwatch.pipeline.periods import Base
from cliffwatch.streams.model import Schedule, Window
from cliffwatch.web.views import workbench

BERLIN = ZoneInfo("Europe/Berlin")
HOURLY = Schedule(60, time_zone="Europe/Berlin")
HOUR = 3_600_000
DAY = 24 * HOUR


def test_an_address_without_a_period_is_the_newest_day_of_whole_windows() -> None:
    asked = workbench.asked({}, HOURLY, BERLIN, NOW)
    assert asked.period == Window(NOW - HOUR // 2 - DAY, NOW - HOUR // 2)
    assert (asked.start, asked.end, asked.base) == ("2026-11-23T15:00", "2026-11-24T15:00", Base.WEEKS)


def test_times_of_an_address_are_those_of_the_workspace_s_clock() -> None:
    asked = workbench.asked({"start": "2026-11-24T10:00", "end": "2026-11-24T12:00"}, HOURLY, BERLIN, NOW)
    assert asked.period == Window(NOW - 5 * HOUR - HOUR // 2, NOW - 3 * HOUR - HOUR // 2)


def test_a_chosen_base_line_begins_as_the_period_before() -> None:
    query = {"start": "2026-11-24T10:00", "end": "2026-11-24T12:00", "base": "period"}
    asked = workbench.asked(query, HOURLY, BERLIN, NOW)
    assert (asked.base_start, asked.base_end) == ("2026-11-24T08:00", "2026-11-24T10:00")
    assert asked.errors == {}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"start": "soon"}, "start"),
        ({"end": "2026-13-45T00:00"}, "end"),
        ({"start": "2026-11-24T12:00", "end": "2026-11-24T12:00"}, "end"),
        ({"start": "2025-01-01T00:00"}, "end"),
        ({"start": "2027-01-01T00:00", "end": "2027-01-02T00:00"}, "start"),
        ({"base": "period", "base_start": "2026-11-24T10:00", "base_end": "2026-11-24T12:00"}, "base_start"),
    ],
)
def test_a_period_that_cannot_be_explained_is_refused_at_its_field(query: dict[str, str], field: str) -> None:
    assert list(workbench.asked(query, HOURLY, BERLIN, NOW).errors) == [field]


@pytest.mark.parametrize("base", ["weeks", "previous", "period"])
def test_the_page_tells_what_was_what_was_expected_and_against_what(base: str, house: House) -> None:
    assert house.stream is not None
    query = urlencode({"measure": REVENUE, "base": base, "start": "2026-11-23T00:00", "end": "2026-11-24T00:00"})
    page = house.client().get(f"/streams/{house.stream.id}/explain?{query}")
    assert page.status_code == 200
    assert "Revenue is" in page.text
    assert "Compared with" in page.text
    assert "Mon 16 Nov" in page.text if base == "weeks" else "Sun 22 Nov" in page.text


def test_a_combination_of_values_leads_to_its_own_explanation(house: House) -> None:
    assert house.stream is not None
    page = house.client().get("/incidents/1").text
    assert f'href="/streams/{house.stream.id}/explain?measure=sum' in page
    assert "As numbers" in page


@pytest.mark.browser
def test_a_stretch_that_is_dragged_over_a_chart_is_what_the_explain_page_is_asked_for(
    house: House, browse: Browse
) -> None:
    assert house.stream is not None
    page = browse()
    heard = Heard(page)
    page.goto(f"{house.address}/streams/{house.stream.id}?range=7d")
    page.locator(".chart canvas").wait_for()
    box = page.locator(".chart .u-over").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.75, box["y"] + 60, steps=4)
    page.mouse.up()
    page.get_by_role("link", name="Find the cause").click()
    page.wait_for_url("**/explain?**start=2026-11-2*")
    days = page.evaluate(
        "(new Date(document.querySelector('#end').value) - new Date(document.querySelector('#start').value)) / 864e5"
    )
    assert 1.2 < days < 2.3  # a quarter of seven days
    assert page.get_by_text("Compared with").count() == 1
    assert heard.complaints == []
