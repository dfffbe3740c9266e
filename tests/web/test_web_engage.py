"""The pages of audiences and computed traits, in a real browser, over a server whose engage runs."""

from __future__ import annotations

import html
import itertools
import json
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from tests.web.conftest import NOW, VIEWER, Browse, Heard, House
from tests.web.test_web_journeys import tab_to
from tests.web.test_web_pages import violations

from cliffwatch.engage import ComputationKind
from cliffwatch.engage.language import parse_audience, parse_trait, show
from cliffwatch.web.views import engage_form as form

_names = itertools.count(1)
QUERY = "event('Order Completed').within(30 days).count() >= 1"


def _name() -> str:
    return f"Engage page {next(_names)}"


@pytest.fixture(scope="module")
def buyers(house: House) -> int:
    """The audience of the shop's buyers that the house has from its beginning."""
    found = house.services.engage.computations.list(house.owner.workspace.id)
    return next(one.id for one in found if one.name == "Recent buyers")


@pytest.mark.parametrize(
    "query",
    [
        QUERY,
        "NOT event('Order Completed').count() >= 1 AND trait('plan') = 'pro'",
        "event('A').where(property('total') > 5).count() = 2 OR event('B').count() >= 1",
        "event('A').where(property('x').exists() AND event('B').within(parent: 3 days).count() = 0)"
        ".within(7 days).count() >= 1",
        "event('A').where(context('page.url').contains('/p')).count() <= 3",
    ],
)
def test_a_query_that_the_form_can_show_comes_back_from_it_the_same(query: str) -> None:
    definition = parse_audience(query)
    parts = form.decompose(definition)
    assert parts is not None
    assert show(form.compose(*parts)) == show(definition)


@pytest.mark.parametrize(
    "query",
    [
        "event('A').count() > 2",
        "event('A').within(5 hours).count() >= 1",
        "event('A').sum(property('x')) > 3",
        "event('A').count() >= 1 AND (event('B').count() >= 1 OR event('C').count() >= 1)",
    ],
)
def test_a_query_that_says_more_than_the_form_is_left_to_the_text(query: str) -> None:
    assert form.decompose(parse_audience(query)) is None


BOUGHT = ((5, "b"), (7, "a"), (3, "b"), (6, "b"), (9, "a"), (4, "c"))
"""(total, brand) of what somebody bought, in order; the traits below count those of at least 4."""
KINDS: dict[str, tuple[str, Any]] = {
    "count": ("", 5),
    "sum": ("total", 31),
    "avg": ("total", 6.2),
    "min": ("total", 4),
    "max": ("total", 9),
    "mode": ("brand", "a"),  # twice, as b, which comes later in the alphabet
    "first": ("brand", "b"),
    "last": ("brand", "c"),
    "unique": ("brand", ["a", "b", "c"]),
    "unique_count": ("brand", 3),
}


def _row(reducer: str) -> dict[str, str]:
    typed = {"event": "Brand Bought", "days": "30", "path": "total", "operator": ">=", "value": "4"}
    return {**typed, "reducer": reducer, "of": KINDS[reducer][0]}


@pytest.fixture(scope="module")
def traits(house: House) -> Iterator[dict[str, int]]:
    """Reducer -> the trait that was built and saved by the form with it, and is computed."""
    bodies = [
        {
            "type": "track",
            "event": "Brand Bought",
            "userId": "brand-buyer",
            "messageId": f"brand-{hour}",
            "timestamp": f"2026-11-24T0{hour}:00:00Z",
            "properties": {"total": total, "brand": brand},
        }
        for hour, (total, brand) in enumerate(BOUGHT)
    ]
    source = house.services.sources.create(house.owner.workspace.id, "Brands", NOW)
    house.services.ingest.take(source.id, [json.dumps(body).encode() for body in bodies])
    assert house.services.ingest.wait_absorbed(60)
    client, made = house.client(), {}
    for reducer in KINDS:
        built = client.post("/audiences/new/build", data={"kind": "trait", **_row(reducer)}).text
        written = re.search(r"<textarea[^>]*>(.*?)</textarea>", built, re.DOTALL)
        assert written is not None
        typed = {"kind": "trait", "name": f"Brands {reducer}", "query": html.unescape(written[1])}
        saved = client.post("/audiences", data=typed)
        found = re.search(r"/audiences/(\d+)", saved.headers["location"])
        assert found is not None
        made[reducer] = int(found[1])
    engage, workspace = house.services.engage, house.owner.workspace.id
    deadline = time.monotonic() + 60
    while any(engage.computations.get(workspace, one).computed_ms is None for one in made.values()):
        assert time.monotonic() < deadline
        engage.compute()
    yield made
    for one in made.values():
        engage.delete(workspace, one, NOW)


@pytest.mark.parametrize("reducer", KINDS)
def test_each_kind_of_trait_that_the_form_builds_has_the_value_counted_by_hand(
    house: House, traits: dict[str, int], reducer: str
) -> None:
    one = house.services.engage.computations.get(house.owner.workspace.id, traits[reducer])
    assert {member.label: member.value for member in house.services.engage.members(one)} == {
        "brand-buyer": KINDS[reducer][1]
    }


@pytest.mark.parametrize("reducer", KINDS)
def test_each_kind_of_trait_comes_back_from_the_form_as_it_was_built(
    house: House, traits: dict[str, int], reducer: str
) -> None:
    one = house.services.engage.computations.get(house.owner.workspace.id, traits[reducer])
    assert form.decompose(parse_trait(one.query)) == ([form.Row(**_row(reducer))], "all")
    page = house.client().get(f"/audiences/{one.id}/edit").text
    assert f'<option value="{reducer}" selected>' in page
    assert 'value="Brand Bought"' in page


@pytest.mark.browser
def test_the_form_writes_the_query_and_shows_who_that_is_before_it_is_saved(
    house: House, browse: Callable[..., Page]
) -> None:
    page = browse()
    page.goto(house.address + "/audiences/new")
    name = _name()
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Event of condition 1").fill("Order Completed")
    page.get_by_label("Days of condition 1").fill("3000")
    page.get_by_label("Days of condition 1").press("Tab")
    expect(page.get_by_label("Query", exact=True)).to_have_value(
        "event('Order Completed').within(3000 days).count() >= 1", timeout=30_000
    )
    page.get_by_label("Count anonymous people too").check()
    expect(page.locator("#preview dd").first).to_have_text(re.compile(r"^[1-9][\d,]*$"), timeout=30_000)
    page.get_by_role("button", name="Create audience").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(name, timeout=30_000)
    expect(page.get_by_text(f"engage_page_{name.rsplit(' ', 1)[1]}").first).to_be_visible()


@pytest.mark.browser
def test_an_error_in_the_text_is_shown_at_its_very_place(house: House, browse: Callable[..., Page]) -> None:
    page = browse()
    page.goto(house.address + "/audiences/new")
    page.get_by_label("Query", exact=True).fill("event('A').counts() > 1")
    page.get_by_label("Query", exact=True).press("Tab")
    expect(page.locator("#preview mark")).to_have_text("counts", timeout=30_000)
    expect(page.locator("#preview")).to_contain_text("At character 12")


@pytest.mark.browser
def test_an_audience_is_made_sent_and_paused_with_the_keyboard_alone(house: House, browse: Browse) -> None:
    page, name = browse(), _name()
    heard = Heard(page)
    page.goto(f"{house.address}/audiences")
    tab_to(page, "New audience")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Name", exact=True)).to_be_focused()
    page.keyboard.type(name)
    tab_to(page, "Event of condition 1")
    page.keyboard.type("Order Completed")
    tab_to(page, "Days of condition 1")
    page.keyboard.type("3000")
    tab_to(page, "What came after, condition 1")
    page.keyboard.type("and then did not")
    tab_to(page, "Event after, condition 1")
    page.keyboard.type("Order Cancelled")
    tab_to(page, "Add a condition")
    page.keyboard.press("Enter")
    page.keyboard.press("Shift+Tab")
    tab_to(page, "Remove condition 2")
    page.keyboard.press("Enter")
    tab_to(page, "Query")
    expect(page.get_by_label("Query", exact=True)).to_have_value(
        re.compile(r"event\('Order Cancelled'\)\.within\(parent: 7 days\)"), timeout=30_000
    )
    tab_to(page, "Count anonymous people too")
    page.keyboard.press("Space")
    expect(page.locator("#preview dd").first).to_have_text(re.compile(r"^[1-9][\d,]*$"), timeout=30_000)
    tab_to(page, "Create audience")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(name, timeout=30_000)
    tab_to(page, "Source")
    tab_to(page, "Begin to send")
    page.keyboard.press("Enter")
    expect(page.locator("#syncs")).to_contain_text(f"{name} to Website", timeout=30_000)
    tab_to(page, f"Pause {name} to Website")
    page.keyboard.press("Enter")
    expect(page.locator("#syncs")).to_contain_text("Paused", timeout=30_000)
    assert violations(page) == []
    assert heard.complaints == []


@pytest.mark.browser
def test_a_computed_trait_is_made_with_the_keyboard_alone(house: House, browse: Browse) -> None:
    page, name = browse(), _name()
    heard = Heard(page)
    page.goto(f"{house.address}/audiences")
    tab_to(page, "New computed trait")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Name", exact=True)).to_be_focused()
    page.keyboard.type(name)
    tab_to(page, "What is computed")
    page.keyboard.type("Sum of")
    tab_to(page, "Property to compute with")
    page.keyboard.type("revenue")
    tab_to(page, "Event")
    page.keyboard.type("Order Completed")
    tab_to(page, "Query")
    expect(page.get_by_label("Query", exact=True)).to_have_value(
        "event('Order Completed').sum(property('revenue'))", timeout=30_000
    )
    tab_to(page, "Create computed trait")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text(name, timeout=30_000)
    assert heard.complaints == []


def test_a_preview_that_takes_longer_shows_how_far_it_is_and_then_who_that_is(house: House) -> None:
    engage, client, workspace = house.services.engage, house.client(), house.owner.workspace.id
    typed = {"kind": "audience", "name": "Slow", "query": "event('Never Before').count() = 0", "anonymous": "yes"}

    def held() -> int:
        fence = engage.computations.claim(workspace, house.services.clock(), 600_000)
        if fence is None:
            time.sleep(0.05)
        return fence or held()

    fence = held()  # audiences are being computed
    waits = client.post("/audiences/new/preview", data=typed).text
    engage.computations.renew(workspace, fence, 0)
    assert "Progress of the preview" in waits
    assert "hx-post" in waits
    deadline = time.monotonic() + 60
    while "Progress of the preview" in (text := client.post("/audiences/new/preview", data=typed).text):
        assert time.monotonic() < deadline
    assert "<dt>People</dt>" in text


def test_a_query_that_cannot_be_read_is_not_saved_and_nothing_typed_is_lost(house: House) -> None:
    answer = house.client().post("/audiences", data={"kind": "audience", "name": "Typed name", "query": "event('A'"})
    assert answer.status_code == 422
    assert "Typed name" in answer.text
    assert "at character 10" in answer.text


def test_what_was_deleted_comes_back_with_undo(house: House) -> None:
    client, name = house.client(), _name()
    made = house.services.engage.create(
        house.owner.workspace.id, ComputationKind.AUDIENCE, name, QUERY, NOW, watched=False
    )
    gone = client.post(f"/audiences/{made.id}/delete")
    assert name in client.get(gone.headers["location"]).text
    assert client.get(f"/audiences/{made.id}").status_code == 404
    client.post(f"/audiences/{made.id}/restore")
    assert client.get(f"/audiences/{made.id}").status_code == 200


def test_a_viewer_sees_an_audience_and_can_change_nothing(house: House, buyers: int) -> None:

    client = house.client(VIEWER)
    assert "Begin to send" not in client.get(f"/audiences/{buyers}").text
    assert client.post(f"/audiences/{buyers}/delete").status_code == 403


def test_the_wizard_suggests_audiences_as_dimensions(house: House, buyers: int) -> None:
    key = house.services.engage.computations.get(house.owner.workspace.id, buyers).key
    asked = f"/streams/suggest?source={house.source.id}&field=dimension&q=recent"
    found = {one["value"]: one["detail"] for one in house.client().get(asked).json()}
    assert found[f"computed.{key}"].startswith("Audience · ")


def test_an_audience_that_is_not_there_is_named_at_its_dimension(house: House) -> None:
    draft = f"source={house.source.id}&type=track&event=Order+Completed&dimension=computed.nobody&top=10"
    text = house.client().get(f"/streams/new?step=review&{draft}").text
    assert "no audience or computed trait of this workspace" in text


def test_members_are_listed_with_how_they_are_known(house: House, buyers: int) -> None:
    text = house.client().get(f"/audiences/{buyers}").text
    members = house.services.engage.members(
        house.services.engage.computations.get(house.owner.workspace.id, buyers), limit=3
    )
    assert members
    assert all(member.label in text for member in members)


def test_a_sync_is_begun_paused_and_resumed_on_the_page(house: House, buyers: int) -> None:
    client = house.client()
    form_ = {"destination": "cliffwatch", "source": str(house.source.id), "mode": "identify", "per_second": "5"}
    assert client.post(f"/audiences/{buyers}/syncs", data=form_).status_code == 303
    (sync,) = house.services.engage.syncs.of(buyers)
    client.post(f"/audiences/{buyers}/syncs/{sync.id}/paused", data={"paused": "yes"})
    assert "Paused" in client.get(f"/audiences/{buyers}/live").text
    client.post(f"/audiences/{buyers}/syncs/{sync.id}/paused", data={"paused": ""})
    assert "First sync" in client.get(f"/audiences/{buyers}/live").text
    client.post(f"/audiences/{buyers}/syncs/{sync.id}/delete")
    assert house.services.engage.syncs.of(buyers) == []


def test_a_wrong_destination_names_the_field(house: House, buyers: int) -> None:
    form_ = {"destination": "segment", "endpoint": "nowhere", "mode": "identify", "per_second": "5"}
    answer = house.client().post(f"/audiences/{buyers}/syncs", data=form_)
    assert answer.status_code == 422
    assert 'id="endpoint-error"' in answer.text
