"""Every kind of card of the library in a browser: Start, name it, connect, first event seen, create a data stream."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Callable, Iterator

import httpx2
import pytest
from playwright.sync_api import Browser, Page, expect
from segment.analytics.client import Client
from tests.connections.conftest import Side, running
from tests.connections.test_connections_imports import CSV, lay_down
from tests.databases import made
from tests.node_sdks import run_node
from tests.owners import NOW, owned

from cliffwatch.accounts import SESSION_COOKIE
from cliffwatch.connections import LIBRARY

pytestmark = pytest.mark.browser

ORDER = {"type": "track", "event": "Order Completed", "userId": "u-1"}
CALL = ["track", {"userId": "u-1", "event": "Order Completed"}]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Side]:
    """One installation for all cards; what a warehouse exported lies ready."""
    folder = tmp_path_factory.mktemp("cards")
    url = f"sqlite:///{folder}/owned.db"
    made(url, owned)
    lay_down(folder / "import" / "history", orders=12, pages=3)
    with running(folder, url) as side:
        side.services.connections.forwarder.start()
        yield side


@pytest.fixture
def page(shop: Side, chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context(locale="en-GB", viewport={"width": 1280, "height": 900})
    context.set_default_timeout(20_000)
    cookie = {"name": SESSION_COOKIE, "value": shop.browser.cookies[SESSION_COOKIE], "url": shop.address}
    context.add_cookies([cookie])  # type: ignore[list-item]
    yield context.new_page()
    context.close()


def start(page: Page, shop: Side, card: str, name: str) -> None:
    """From the library to the named card's form, filled in with a name."""
    page.goto(f"{shop.address}/integrations")
    page.get_by_placeholder("Search integrations").fill(card)
    page.get_by_role("link", name=f"Start {card}", exact=True).click()
    page.get_by_label("Name your integration").fill(name)


def arrived(page: Page, shop: Side, event: str = "Order Completed") -> None:
    """The page says that the first event was seen, and leads to a stream that offers it."""
    expect(page.get_by_text("First event seen")).to_be_visible(timeout=30_000)
    assert shop.services.ingest.wait_absorbed(20)
    page.get_by_role("link", name="Create a data stream").click()
    page.wait_for_url(re.compile(r"/streams/new\?source=\d+"))
    source = re.search(r"source=(\d+)", page.url)
    assert source is not None
    known = shop.services.catalogue.events(int(source[1]))
    assert event in {one.name for one in known}


def by_python(address: str, key: str) -> None:
    Client(key, host=address, sync_mode=True).track("u-1", "Order Completed")


def by_http(address: str, key: str) -> None:
    assert httpx2.post(f"{address}/v1/track", json=ORDER, auth=(key, "")).status_code == 200


def by_rudder(address: str, key: str) -> None:
    assert run_node("drive.cjs", {"sdk": "rudder", "host": address, "key": key, "calls": [CALL]}) == []


def by_jitsu(address: str, key: str) -> None:
    calls = [["setAnonymousId", "a-1"], ["track", "Order Completed", {}]]
    assert run_node("drive.cjs", {"sdk": "jitsu", "host": address, "key": f"{key}:s", "calls": calls}) == []


SENDERS: dict[str, Callable[[str, str], None]] = {
    "Segment SDK": by_python,
    "HTTP API": by_http,
    "RudderStack": by_rudder,
    "Jitsu": by_jitsu,
}


@pytest.mark.sdk
@pytest.mark.parametrize("card", SENDERS)
def test_a_card_with_a_write_key_leads_to_a_stream(card: str, shop: Side, page: Page) -> None:
    start(page, shop, card, f"By {card}")
    page.get_by_role("button", name="Connect").click()
    expect(page.get_by_text("Waiting for the first event")).to_be_visible(timeout=20_000)
    key = page.locator("#write-key").inner_text()
    expect(page.locator("[role=tabpanel]:visible")).to_contain_text(key)
    SENDERS[card](shop.address, key)
    arrived(page, shop)


def test_a_csv_file_leads_to_a_stream(shop: Side, page: Page) -> None:
    start(page, shop, "CSV upload", "Old orders")
    page.get_by_role("button", name="Continue").click()
    page.locator("#file").set_input_files({"name": "orders.csv", "mimeType": "text/csv", "buffer": CSV})
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_role("heading", name="What do the columns mean?")).to_be_visible()
    page.locator("#time").select_option("when")
    page.locator("#event").select_option("what")
    page.get_by_role("button", name="Import", exact=True).click()
    expect(page.locator(".import")).to_contain_text("0 of", timeout=20_000)
    assert shop.services.connections.importer.work()
    expect(page.locator(".import")).to_contain_text("4 of 4 rows, 2 left out", timeout=20_000)
    arrived(page, shop)


def test_a_warehouse_leads_to_a_stream_and_shows_its_progress(shop: Side, page: Page) -> None:
    start(page, shop, "Warehouse import", "Years of orders")
    page.get_by_text("Parquet or CSV exports on the server").click()
    page.get_by_label("Folder").select_option("history")
    page.get_by_role("button", name="Connect and import").click()
    expect(page.get_by_role("progressbar", name="Progress of history")).to_have_attribute("value", "0")
    assert shop.services.connections.importer.work()
    expect(page.get_by_role("progressbar", name="Progress of history")).to_have_attribute(
        "value", "100", timeout=20_000
    )
    expect(page.locator(".import")).to_contain_text("15 of 15 rows")
    arrived(page, shop)


def test_a_webhook_by_hand_says_what_to_do_about_a_wrong_signature_and_leads_to_a_stream(
    shop: Side, page: Page
) -> None:
    start(page, shop, "Segment", "By hand")
    page.get_by_text("Paste an address and a secret into Segment").click()
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("Waiting for the first event")).to_be_visible(timeout=20_000)
    url, secret = page.locator("#delivery-url").inner_text(), page.locator("#shared-secret").inner_text()
    body = json.dumps(ORDER).encode()

    def deliver(shared: str) -> int:
        signature = hmac.new(shared.encode(), body, hashlib.sha1).hexdigest()
        return httpx2.post(url, content=body, headers={"x-signature": signature}).status_code

    assert deliver("another secret") == 401
    assert shop.services.ingest.wait_absorbed(20)  # the clock stands still, so nothing is written by itself
    expect(page.get_by_text("The newest message was refused")).to_be_visible(timeout=30_000)
    expect(page.get_by_text("Copy the shared secret once more")).to_be_visible()
    expect(page.get_by_role("link", name="See what came")).to_be_visible()
    shop.clock.now += 1_000
    assert deliver(secret) == 200
    arrived(page, shop)


def test_an_api_token_leads_to_a_stream_of_the_source_that_is_chosen(shop: Side, page: Page) -> None:
    source = shop.services.sources.create(shop.workspace, "Asked source", NOW)
    start(page, shop, "Segment", "By token")
    page.get_by_text("With a Public API token of your workspace").click()
    page.locator("#token_region").select_option("own")
    page.locator("#token_address").fill(shop.address)
    page.locator("#token").fill(shop.token())
    page.get_by_role("button", name="Show its sources").click()
    page.get_by_text("Asked source").click()
    page.get_by_role("button", name="Connect “By token”").click()
    expect(page.get_by_text("Waiting for the first event")).to_be_visible(timeout=20_000)
    by_http(shop.address, source.write_key)
    arrived(page, shop)


def test_every_entry_of_the_library_is_walked_here_or_between_two_installations() -> None:
    walked = {*SENDERS, "CSV upload", "Warehouse import", "Segment"}
    assert {entry.name for entry in LIBRARY} == walked
