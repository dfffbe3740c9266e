"""The wizard on a fresh workspace, from the first click to the finished chart, with nothing but the keyboard."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect
from tests.owners import set_up_owner
from tests.web.conftest import HOUR, NOW, OWNER, PASSWORD, Heard, House, order
from tests.web.test_web_journeys import tab_to, type_into
from tests.web.test_web_pages import sideways, violations

from cliffwatch.accounts import SESSION_COOKIE
from cliffwatch.streams.model import Aggregation

pytestmark = pytest.mark.browser


def furnished(house: House) -> None:
    """An owner, a source, and ten days of orders and checkouts; no stream yet."""
    services = house.services
    owner = set_up_owner(
        services.accounts,
        NOW,
        email=OWNER,
        name="Robin Weber",
        password=PASSWORD,
        time_zone="Europe/Berlin",
        country="DE",
    )
    source = services.sources.create(owner.workspace.id, "Website", NOW)
    rng = np.random.default_rng(4)
    for day in range(10, 0, -1):
        times = np.sort(rng.integers(0, 24 * HOUR, 80)) + NOW - day * 24 * HOUR
        batch = [order(int(ms), rng) | ({"event": "Checkout Started"} if rng.random() < 0.6 else {}) for ms in times]
        body = json.dumps({"batch": batch})
        assert house.client(None).post("/v1/batch", auth=(source.write_key, ""), content=body).status_code == 200
    assert services.ingest.wait_absorbed(20)


def suggested(page: Page, text: str) -> None:
    """Type, and take the first suggestion."""
    type_into(page, text)
    expect(page.locator(".combo-list:not([hidden]) li").first).to_be_visible(timeout=30_000)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")


def looked_over(page: Page) -> None:
    """Nothing that axe-core finds; no scrolling to the side on a phone."""
    assert violations(page) == []
    page.set_viewport_size({"width": 390, "height": 844})
    assert sideways(page) == 0
    page.set_viewport_size({"width": 1440, "height": 900})


def test_on_a_phone_suggestions_are_as_wide_as_the_row_of_their_field(new_house: House, chromium: Browser) -> None:
    furnished(new_house)
    context = chromium.new_context(viewport={"width": 390, "height": 844}, reduced_motion="reduce")
    context.add_cookies([{"name": SESSION_COOKIE, "value": new_house.cookie(), "url": new_house.address}])
    page = context.new_page()
    page.goto(f"{new_house.address}/streams/new")
    field = page.get_by_role("combobox", name="Dimension 1")
    field.fill("properties")
    shown = page.locator(".combo-list:not([hidden])")
    expect(shown).to_be_visible(timeout=30_000)
    row, beside, found = (one.bounding_box() for one in (page.locator(".row", has=field), field, shown))
    assert row is not None
    assert beside is not None
    assert found is not None
    assert (found["x"], found["width"]) == (row["x"], row["width"])
    assert found["width"] > beside["width"] + 100
    assert found["y"] >= beside["y"] + beside["height"]
    assert sideways(page) == 0
    context.close()


def test_a_fresh_workspace_gets_its_first_stream_by_keyboard_alone(new_house: House, chromium: Browser) -> None:
    furnished(new_house)
    context = chromium.new_context(viewport={"width": 1440, "height": 900}, reduced_motion="reduce")
    context.set_default_timeout(30_000)
    context.add_cookies([{"name": SESSION_COOKIE, "value": new_house.cookie(), "url": new_house.address}])
    page = context.new_page()
    heard = Heard(page)
    page.goto(f"{new_house.address}/streams")
    tab_to(page, "New data stream")
    page.keyboard.press("Enter")

    # what is measured
    expect(
        page.get_by_role("heading", name="Configure the stream by selecting the measures and dimensions below")
    ).to_be_visible()
    expect(page.get_by_role("heading", name="Start from what your events can tell")).to_be_visible()
    looked_over(page)
    tab_to(page, "Event 1")
    suggested(page, "order")
    tab_to(page, "Add event")
    page.keyboard.press("Enter")
    suggested(page, "check")
    tab_to(page, "Dimension 1")
    suggested(page, "country")
    expect(page.locator("#preview")).to_contain_text("this stream would have sent", timeout=60_000)
    tab_to(page, "NoCount the events")
    page.keyboard.press("ArrowRight")
    tab_to(page, "Aggregation of measure 1")
    type_into(page, "Ratio")
    tab_to(page, "Numerator, event, of measure 1")
    suggested(page, "order")
    tab_to(page, "Denominator, event, of measure 1")
    suggested(page, "check")
    tab_to(page, "Name of measure 1")
    type_into(page, "Conversion")
    tab_to(page, "Filter events")
    page.keyboard.press("Enter")
    tab_to(page, "Property of condition 1")
    suggested(page, "properties.coun")
    tab_to(page, "Comparison of condition 1")
    type_into(page, "is not")
    tab_to(page, "Value of condition 1")
    suggested(page, "U")
    expect(page.get_by_role("combobox", name="Value of condition 1")).to_have_value("US")
    looked_over(page)
    tab_to(page, "Continue")
    page.keyboard.press("Enter")

    # when
    expect(page.get_by_role("heading", name="Scheduling")).to_be_visible()
    tab_to(page, "1 hour")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#next-runs time")).to_have_text([re.compile(r"^\d{1,2}:\d\d [AP]M$")] * 3)
    expect(page.locator("#next-runs time").first).to_have_text("6:00 PM")
    tab_to(page, "Continue")
    page.keyboard.press("Enter")

    # look at it, and start
    expect(page.get_by_text('properties.country != "US"')).to_be_visible()
    expect(page.locator("#preview .chart canvas")).to_be_visible(timeout=60_000)
    expect(page.locator(".preview-figures")).to_contain_text("800 from the archive, at once")
    tab_to(page, "Name")
    page.keyboard.press("ControlOrMeta+a")
    type_into(page, "Checkout conversion")
    tab_to(page, "Create data stream")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1, name="Checkout conversion")).to_be_visible()
    expect(page.get_by_role("progressbar", name="Back-fill progress")).to_be_visible()
    expect(page.get_by_text("The history is being filled in")).to_be_visible()
    looked_over(page)
    while new_house.services.pipeline.work():
        pass
    expect(page.locator(".chart canvas")).to_be_visible()
    (stream,) = new_house.services.streams.list(1)
    (measure,) = stream.definition.measures
    assert measure.aggregation is Aggregation.RATIO
    assert measure.key == "ratio(count()@Order Completed/count()@Checkout Started)"
    assert stream.definition.events == ("Order Completed", "Checkout Started")
    assert stream.definition.schedule.frequency_minutes == 180
    assert stream.definition.filter == 'properties.country != "US"'
    assert heard.complaints == []

    # change one's mind, and back
    tab_to(page, "More actions")
    page.keyboard.press("Enter")
    tab_to(page, "Delete")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").filter(has_text="“Checkout conversion” was deleted")).to_be_visible()
    page.get_by_text("Recently deleted (1)").click()
    looked_over(page)
    tab_to(page, "Undo")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1, name="Checkout conversion")).to_be_visible()
    context.close()
