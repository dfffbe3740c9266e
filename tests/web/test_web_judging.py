"""People look at why, label, mark, tell of own events, and try a sensitivity: in a real browser on a real server."""

from __future__ import annotations

import re
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import expect
from tests.web.conftest import DEFINITION, HOUR, NOW, REVENUE, VIEWER, Browse, Heard, House

from cliffwatch.guidance import AnnotationKind
from cliffwatch.streams import parse
from cliffwatch.web.forms import Posted
from cliffwatch.web.views import sensitivity as views

pytestmark = pytest.mark.browser
BERLIN = ZoneInfo("Europe/Berlin")


def typed(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, BERLIN).strftime("%Y-%m-%dT%H:%M")


def stream_id(house: House) -> int:
    assert house.stream is not None
    return house.stream.id


def test_a_click_on_the_chart_explains_that_window(house: House, browse: Browse) -> None:
    page = browse()
    heard = Heard(page)
    page.goto(f"{house.address}/streams/{stream_id(house)}?range=24h")
    page.locator(".chart canvas").wait_for()
    box = page.locator(".chart .u-over").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] - 4, box["y"] + 40)
    page.mouse.down()
    page.mouse.up()
    panel = page.locator("#point")
    expect(panel.get_by_role("heading")).to_have_text("Tue 24 Nov, 14:00 – 15:00")
    expect(panel.get_by_role("row", name=re.compile("^Level"))).to_be_visible()
    expect(panel.get_by_role("row", name=re.compile("^Expected"))).to_be_visible()
    panel.get_by_role("button", name="Explain the window before").click()
    expect(panel.get_by_role("heading")).to_have_text("Tue 24 Nov, 13:00 – 14:00")
    assert heard.complaints == []


def test_the_keyboard_gets_an_explanation_without_the_chart(house: House, browse: Browse) -> None:
    page = browse()
    page.goto(f"{house.address}/streams/{stream_id(house)}?view=table&range=24h")
    link = page.get_by_role("region", name="Values by window").get_by_role("link").first
    link.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#point").get_by_role("heading")).to_have_text("Tue 24 Nov, 14:00 – 15:00")


def test_a_stretch_is_labelled_drawn_deleted_and_brought_back(house: House, browse: Browse) -> None:
    page = browse()
    page.goto(f"{house.address}/streams/{stream_id(house)}")
    page.get_by_text("Label a stretch").click()
    page.get_by_label("From", exact=True).fill(typed(NOW - 30 * HOUR))
    page.get_by_label("To", exact=True).fill(typed(NOW - 28 * HOUR))
    page.get_by_label(re.compile("^Note")).fill("A fair in town")
    page.get_by_role("button", name="Label it").click()
    judged = page.locator("#judgement")
    expect(judged).to_contain_text("Anomaly: A fair in town")
    drawn = house.client().get(f"/streams/{stream_id(house)}/series.json").json()["labels"]
    assert [(one["start"], one["anomaly"]) for one in drawn] == [((NOW - 30 * HOUR) // 60_000 * 60, True)]
    judged.get_by_role("button", name=re.compile("Delete the label")).click()
    expect(judged).not_to_contain_text("A fair in town")
    judged.get_by_role("button", name="Undo").click()
    expect(judged).to_contain_text("Anomaly: A fair in town")
    judged.get_by_role("button", name=re.compile("Delete the label")).click()
    expect(judged).not_to_contain_text("A fair in town")


def test_a_drag_over_the_chart_fills_in_the_stretch(house: House, browse: Browse) -> None:
    page = browse()
    page.goto(f"{house.address}/streams/{stream_id(house)}?range=24h")
    page.locator(".chart canvas").wait_for()
    page.get_by_text("Label a stretch").click()
    box = page.locator(".chart .u-over").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.75 * box["width"], box["y"] + 40, steps=4)
    page.mouse.up()
    expect(page.get_by_label("From", exact=True)).to_have_value(re.compile(r"^2026-11-24T0\d:\d\d$"))
    expect(page.get_by_label("To", exact=True)).to_have_value(re.compile(r"^2026-11-24T\d\d:\d\d$"))


def test_a_label_with_its_end_before_its_start_is_refused_in_words(house: House, browse: Browse) -> None:
    page = browse()
    page.goto(f"{house.address}/streams/{stream_id(house)}")
    page.get_by_text("Label a stretch").click()
    page.get_by_label("From", exact=True).fill(typed(NOW - 28 * HOUR))
    page.get_by_label("To", exact=True).fill(typed(NOW - 30 * HOUR))
    page.get_by_role("button", name="Label it").click()
    expect(page.get_by_role("alert")).to_contain_text("after the start")


def test_a_marked_incident_shows_what_it_taught_and_can_be_undone(house: House, browse: Browse) -> None:
    services = house.services
    assert house.owner is not None
    assert house.owner.person is not None
    workspace = house.owner.workspace.id
    services.incidents.false_alarm(workspace, 1, house.owner.person, NOW)
    page = browse()
    page.goto(f"{house.address}/streams/{stream_id(house)}")
    judged = page.locator("#judgement")
    expect(judged).to_contain_text(re.compile(r"\d+ % wider because of 1 mark"))
    judged.get_by_role("button", name="Undo the mark of incident 1").click()
    expect(judged).not_to_contain_text("wider because")
    judged.get_by_role("button", name="Renew the mark of incident 1").click()
    expect(judged).to_contain_text("wider because of 1 mark")
    services.incidents.reopen(workspace, 1, house.owner.person, NOW)


def test_a_sensitivity_is_tried_used_and_taken_back(house: House, browse: Browse) -> None:
    page = browse()
    page.goto(f"{house.address}/streams/{stream_id(house)}/sensitivity")
    page.get_by_role("radio", name="1 a day").check()
    page.get_by_label("Least change").first.fill("5")
    page.get_by_role("button", name="Try it").click()
    row = page.get_by_role("row", name=re.compile("^Alerts in the whole time"))
    now, tried = (int(cell) for cell in row.get_by_role("cell").all_inner_texts())
    assert tried > now
    page.locator(".chart canvas").wait_for()
    kept = house.services.guidance.sensitivities
    assert house.stream is not None
    assert kept.get(house.stream).sensitivity.alerts_per_week is None  # trying changes nothing
    page.get_by_role("button", name="Use this setting").click()
    page.get_by_role("dialog").get_by_role("button", name="Use this setting").click()
    expect(page.get_by_text("About 7 alerts a week; changes of at least 5 %")).to_be_visible()
    assert kept.get(house.stream).sensitivity.alerts_per_week == 7.0
    page.get_by_role("button", name="Take the change back").click()
    expect(page.get_by_text("The sensitivity is as it was before.")).to_be_visible()
    assert kept.get(house.stream).sensitivity.alerts_per_week is None


def test_a_sensitivity_that_is_no_number_is_named_and_nothing_is_lost(house: House) -> None:
    answer = house.client().get(
        f"/streams/{stream_id(house)}/sensitivity?budget=3&effect=ten&directions=both&windows=1"
    )
    assert answer.status_code == 422
    assert "is a number" in answer.text
    assert 'value="ten"' in answer.text


def test_an_own_event_is_added_drawn_deleted_and_brought_back(house: House, browse: Browse) -> None:
    page = browse()
    page.goto(f"{house.address}/annotations")
    page.get_by_label("Kind").select_option(label="Campaign")
    page.get_by_label("Title").fill("Autumn sale")
    page.get_by_label("From", exact=True).fill(typed(NOW - 50 * HOUR))
    page.get_by_label(re.compile("^Concerns only")).select_option("properties.country")
    page.get_by_label(re.compile("^Value")).fill("DE")
    page.get_by_role("button", name="Add event").click()
    expect(page.get_by_role("row", name=re.compile("Autumn sale"))).to_contain_text("DE")
    client, path = house.client(), f"/streams/{stream_id(house)}/series.json"
    assert [one["title"] for one in client.get(path).json()["events"]] == ["Autumn sale"]
    france = client.get(path, params={"slice": '{"properties.country":"FR"}'}).json()["events"]
    assert france == []
    page.get_by_role("button", name="Delete Autumn sale").click()
    expect(page.get_by_text("The event was deleted.")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("row", name=re.compile("Autumn sale"))).to_be_visible()
    page.get_by_role("button", name="Delete Autumn sale").click()
    expect(page.get_by_text("No events yet")).to_be_visible()


def test_an_own_event_without_a_title_keeps_what_was_typed(house: House) -> None:
    given = {"kind": "campaign", "title": "", "start": typed(NOW), "url": "https://ci.example/7"}
    answer = house.client().post("/annotations", data=given)
    assert answer.status_code == 422
    assert "1 to 120 characters" in answer.text
    assert "https://ci.example/7" in answer.text


def test_who_may_only_read_sees_no_way_to_change(house: House, browse: Browse) -> None:
    page = browse(email=VIEWER)
    for path in (f"/streams/{stream_id(house)}", f"/streams/{stream_id(house)}/sensitivity", "/annotations"):
        page.goto(house.address + path)
        for name in ("Label it", "Use this setting", "Add event"):
            expect(page.get_by_role("button", name=name)).to_have_count(0)
    viewer = house.client(VIEWER)
    assert viewer.post(f"/streams/{stream_id(house)}/sensitivity", data={"budget": "7"}).status_code == 403
    assert viewer.post("/annotations", data={"title": "x"}).status_code == 403


def test_the_form_of_a_sensitivity_says_what_it_was_made_from(house: House) -> None:
    assert house.stream is not None
    pairs = [
        ("budget", "3"),
        ("effect", "10"),
        ("impact", "0"),
        ("directions", "down"),
        ("windows", "2"),
        ("effect1", "30"),
    ]
    setting = views.sensitivity_of(views.read(Posted.of(pairs), house.stream), house.stream)
    assert setting.of(REVENUE).minimum_effect == 0.3
    assert setting.of("count()").minimum_effect == 0.1
    again = views.sensitivity_of(
        views.read(Posted.of(views.of_sensitivity(setting, house.stream).pairs()), house.stream), house.stream
    )
    assert views.same(setting, again)


def test_each_kind_of_own_event_has_a_name_and_an_icon() -> None:
    from cliffwatch.web.routes.own_events import KINDS

    assert set(KINDS) == set(AnnotationKind)


def test_a_stream_that_is_still_learning_says_until_when(house: House) -> None:
    """A new stream on the same events, with windows of a day: ten days are not enough."""
    assert house.owner is not None
    assert house.source is not None
    daily = DEFINITION | {"schedule": {"frequency_minutes": 1440, "anchor": "00:00", "time_zone": "Europe/Berlin"}}
    stream = house.services.streams.create(house.owner.workspace.id, house.source.id, "Daily", parse(daily), NOW)
    while house.services.pipeline.work():
        pass
    text = house.client().get(f"/streams/{stream.id}").text
    assert re.search(r"Learning until <time[^>]*>\w+ \d+ (Nov|Dec)", text)
    assert "Nobody is alerted before" in text
    house.services.streams.delete(house.owner.workspace.id, stream.id, NOW)
