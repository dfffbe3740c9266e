"""Every page, in a real browser: no complaint, nothing that axe-core finds, no scrolling to the side on a phone."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.sync_api import Page
from tests.web.conftest import Browse, Heard, House

AXE = (Path(__file__).parent / "vendor/axe.min.js").read_text()
DRAFT = [
    ("type", "track"),
    ("event", "Order Completed"),
    ("dimension", "properties.country"),
    ("custom", "yes"),
    ("m_aggregation", "ratio"),
    ("m_top_aggregation", "sum"),
    ("m_top_path", "properties.revenue"),
    ("m_bottom_aggregation", "count"),
]
PAGES = {
    "home": "/",
    "streams": "/streams",
    "no stream of that name": "/streams?q=nothing",
    "stream": "/streams/{stream}",
    "stream as a table": "/streams/{stream}?view=table&range=24h",
    "stream of a slice": '/streams/{stream}?slice={{"properties.country":"DE"}}&range=8w',
    "explain a period": "/streams/{stream}/explain",
    "explain a period badly": "/streams/{stream}/explain?start=soon&base=period",
    "explain a slice": '/streams/{stream}/explain?slice={{"properties.country":"DE"}}&base=previous',
    "stream with a point explained": "/streams/{stream}?at=1795518000000",
    "sensitivity": "/streams/{stream}/sensitivity",
    "sensitivity, tried": "/streams/{stream}/sensitivity?budget=7&effect=5&directions=down&windows=2",
    "own events": "/annotations",
    "goals": "/goals",
    "a new goal": "/goals/new",
    "edit a stream": "/streams/{stream}/edit",
    "edit a stream, review": "/streams/{stream}/edit?" + urlencode([("step", "review"), *DRAFT, ("frequency", "180")]),
    "wizard, configured": f"/streams/new?{urlencode(DRAFT)}",
    "wizard, schedule": f"/streams/new?{urlencode([('step', 'schedule'), *DRAFT, ('frequency', 'custom')])}",
    "wizard, review": f"/streams/new?{urlencode([('step', 'review'), *DRAFT])}",
    "incidents": "/incidents",
    "no incidents": "/incidents?show=dismissed",
    "incident": "/incidents/1",
    "no share links": "/incidents/1/share",
    "a goal": "/goals/1",
    "integrations": "/integrations",
    "no integration of that name": "/integrations?q=nothing",
    "start segment": "/integrations/segment",
    "start an sdk": "/integrations/sdk",
    "start a warehouse import": "/integrations/warehouse",
    "start a csv upload": "/integrations/csv",
    "apps": "/settings/apps",
    "destinations": "/sources/{source}/destinations",
    "destination": "/destinations/{destination}",
    "new filter of a destination": "/destinations/{destination}/filters/new",
    "filter of a destination": "/destinations/{destination}/filters/{destination}-1",
    "sources": "/sources",
    "new source": "/sources/new",
    "source, events": "/sources/{source}?tab=events",
    "source, events that fit": "/sources/{source}?tab=events&type=track&outcome=rejected&q=nobody",
    "source, delivery": "/sources/{source}?tab=delivery&period=14d",
    "source, tester": "/sources/{source}?tab=tester&type=identify",
    "source, quarantine": "/sources/{source}?tab=quarantine",
    "source, quarantine without a match": "/sources/{source}?tab=quarantine&q=nowhere",
    "source, privacy": "/sources/{source}?tab=privacy",
    "source, connect": "/sources/{source}?tab=connect",
    "source, settings": "/sources/{source}?tab=settings",
    "source, fewer days": "/sources/{source}?tab=settings&days=1",
    "connected source": "/sources/{connected}?tab=connect",
    "connected source, events": "/sources/{connected}?tab=events",
    "connected source, settings": "/sources/{connected}?tab=settings",
    "connected source, privacy": "/sources/{connected}?tab=privacy",
    "deleting people": "/settings/privacy",
    "data map": "/settings/privacy/map",
    "single sign-on": "/settings/single-sign-on",
    "source, catalogue": "/sources/{source}?tab=catalogue",
    "channels": "/channels",
    "new channel": "/channels/new",
    "channel form": "/channels/new?kind=slack",
    "monitors": "/monitors",
    "new monitor": "/monitors/new",
    "escalation": "/escalation",
    "new policy": "/escalation/policies/new",
    "policy": "/escalation/policies/1",
    "plan of a policy": "/escalation/policies/1/plan",
    "new rotation": "/escalation/rotations/new",
    "maintenance": "/maintenance",
    "digests": "/digests",
    "noise": "/noise",
    "inbox": "/inbox",
    "workspace": "/settings/workspace",
    "members": "/settings/members",
    "tokens": "/settings/tokens",
    "audit log": "/settings/audit",
    "audit log without a match": "/settings/audit?actor=nobody",
    "your account": "/settings/account",
    "new workspace": "/workspaces/new",
    "audiences": "/audiences",
    "new audience": "/audiences/new",
    "new computed trait": "/audiences/new?kind=trait",
    "audience": "/audiences/1",
    "edit an audience": "/audiences/1/edit",
    "computed trait": "/audiences/2",
}


@pytest.mark.browser
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_whole_accessible_and_fits_in_both_themes_and_widths(name: str, house: House, browse: Browse) -> None:
    assert house.stream is not None
    assert house.source is not None
    page = browse()
    heard = Heard(page)
    answer = page.goto(
        house.address
        + PAGES[name].format(
            stream=house.stream.id,
            source=house.source.id,
            connected=house.connected,
            destination=house.destination,
        )
    )
    assert answer is not None
    assert answer.status == 200
    if page.locator("[data-chart]").count():
        page.locator(".chart canvas").wait_for()
    assert violations(page) == []
    assert sideways(page) == 0
    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(color_scheme="dark")
    assert violations(page) == []
    assert sideways(page) == 0
    assert heard.complaints == []


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/sign-in", "/nowhere"])
def test_a_page_for_nobody_in_particular_is_accessible(path: str, theme: str, house: House, browse: Browse) -> None:
    page = browse(theme, 390, None)
    page.goto(house.address + path)
    assert violations(page) == []
    assert sideways(page) == 0


@pytest.mark.browser
def test_the_chart_is_drawn_with_the_times_of_the_workspace(house: House, browse: Browse) -> None:
    assert house.stream is not None
    page = browse()
    page.goto(f"{house.address}/streams/{house.stream.id}?range=24h")
    page.locator(".chart canvas").wait_for()
    chart = page.locator(".chart .u-over")
    box = chart.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] - 4, box["y"] + 40)
    tip = page.locator(".chart-tip")
    tip.wait_for()
    assert "Tue 24 Nov, 14:00 – 15:00" in tip.inner_text().replace("\n", " ")  # Berlin; the browser is in Los Angeles


RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def violations(page: Page) -> list[str]:
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE)
    found: dict[str, Any] = page.evaluate(
        "rules => axe.run(document, {runOnly: rules, resultTypes: ['violations']})", RULES
    )
    return [
        f"{rule['id']}: {node['html'][:160]} ({node['any'][0]['message'] if node['any'] else rule['help']})"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]


def sideways(page: Page) -> int:
    width: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return width
