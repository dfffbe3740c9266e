"""The seed's example in a real browser, on a clock that the test moves."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, expect
from tests.databases import Backend
from tests.engage.conftest import opened
from tests.engage.house import DAY, HOUR, House
from tests.owners import EMAIL, PASSWORD

from cliffwatch.accounts import SESSION_COOKIE
from cliffwatch.processes import listen

QUERY = "event('Order Completed').within(30 days).count() >= 1"


@pytest.fixture
def served(tmp_path: Path, sqlite: Backend, chromium: Browser) -> Iterator[tuple[House, str, Page]]:
    """A shop, its address, and a signed-in page."""
    with opened(tmp_path, sqlite) as house:
        listener = listen("127.0.0.1", 0)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = uvicorn.Config(house.application.asgi, lifespan="off", log_config=None, access_log=False)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        session = house.services.accounts.sign_in(
            EMAIL, PASSWORD, address="127.0.0.1", user_agent="test", now=house.clock.now + 25 * DAY
        )
        context = chromium.new_context()
        context.set_default_timeout(30_000)
        context.add_cookies([{"name": SESSION_COOKIE, "value": session, "url": address}])
        yield house, address, context.new_page()
        context.close()
        server.should_exit = True
        thread.join(10)


@pytest.mark.browser
def test_the_seeds_example_enters_and_leaves_before_the_eyes_of_a_person(served: tuple[House, str, Page]) -> None:
    house, address, page = served
    house.ordered("ann", at=house.clock.now - 29 * DAY)
    house.ordered("bob")
    page.goto(f"{address}/audiences/new")
    page.get_by_label("Name", exact=True).fill("Order Completed Last 30days")
    page.get_by_label("Query", exact=True).fill(QUERY)
    page.get_by_label("Query", exact=True).press("Tab")
    expect(page.locator("#preview dd").first).to_have_text("2")
    page.keyboard.press("Tab")  # on to when it is computed, and from there with the keyboard alone
    page.get_by_role("button", name="Create audience").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Order Completed Last 30days")
    made = house.services.engage.computations.list(house.workspace)[0]
    house.to_source(made)
    house.step()
    page.reload()
    members = page.locator("#members")
    expect(members.get_by_text("ann", exact=True)).to_be_visible()
    expect(page.locator("#syncs")).to_contain_text("2 of 2 people")
    house.step(DAY + 2 * HOUR)
    page.reload()
    expect(members.get_by_text("ann", exact=True)).to_have_count(0)
    expect(members.get_by_text("bob", exact=True)).to_be_visible()
    changes = page.get_by_role("region", name="Who came and went")
    expect(changes.get_by_role("row").nth(1)).to_contain_text("ann")
    expect(changes.get_by_role("row").nth(1)).to_contain_text("left")
    assert house.told(made.key) == {"ann": [True, False], "bob": [True]}
