"""One Cliffwatch asks another for a source: library, Start, name, Authorise, sign in, choose, Allow, events, a data
stream, and an incident about what happened on the other side; and Deny.

Two real processes and a real browser. The one that asks is at 127.0.0.1, the one that is asked at localhost: to a
browser these are two sites, as they are in life.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Browser, Page, expect
from segment.analytics.client import Client
from tests.e2e.conftest import Installation, run_cliffwatch
from tests.e2e.test_the_main_job import EMAIL, PASSWORD, connect_source, create_stream, send_history, set_up_workspace

pytestmark = [pytest.mark.browser, pytest.mark.sdk, pytest.mark.timeout(300)]


@dataclass
class Pair:
    """The installation that asks, the one that is asked with its source's write key, and a browser."""

    asking: Installation
    asked: Installation
    write_key: str
    page: Page

    @property
    def asked_address(self) -> str:
        return self.asked.address.replace("127.0.0.1", "localhost")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory, chromium: Browser) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("pair")
    asking, asked = (serve(folder / name) for name in ("asking", "asked"))
    page = new_page(chromium)
    address = asked.address.replace("127.0.0.1", "localhost")
    set_up_workspace(page, address)
    write_key = connect_source(page)
    set_up_workspace(page, asking.address)
    page.wait_for_url(re.compile(r"/sources/new"))
    yield Pair(asking, asked, write_key, page)
    for installation in (asking, asked):
        if installation.process.poll() is None:
            installation.stop()


def serve(folder: Path) -> Installation:
    env = {"CLIFFWATCH_ALLOW_PRIVATE_URLS": "true"}
    return run_cliffwatch("serve", "--data-dir", str(folder), "--port", "0", env=env)


def new_page(chromium: Browser) -> Page:
    context = chromium.new_context(locale="en-GB", timezone_id="Europe/Berlin", viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.set_default_timeout(20_000)
    return page


def register_app(page: Page, address: str, redirect: str, name: str = "Analytics team") -> tuple[str, str]:
    """Register the asking side as an app; returns client id and secret."""
    page.goto(f"{address}/settings/apps")
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Redirect addresses").fill(redirect)
    page.get_by_role("button", name="Register app").click()
    return page.locator("#new-client-id").inner_text(), page.locator("#new-client-secret").inner_text()


def ask(page: Page, pair: Pair, app: tuple[str, str], name: str = "Web shop") -> None:
    """From the library to the other side's authorise page."""
    page.goto(f"{pair.asking.address}/integrations")
    page.get_by_placeholder("Search integrations").fill("segm oauth")
    page.get_by_role("link", name="Start Segment", exact=True).click()
    page.get_by_label("Name your integration").fill(name)
    page.locator("#address").fill(pair.asked_address)
    page.locator("#client_id").fill(app[0])
    page.locator("#client_secret").fill(app[1])
    page.get_by_role("button", name="Authorise Segment").click()
    page.wait_for_url(re.compile(re.escape(pair.asked_address)))


def sign_in(page: Page) -> None:
    page.get_by_label("E-mail").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def test_deny_leaves_nothing_behind_and_allow_leads_to_an_incident_about_the_other_side(
    pair: Pair, wait_for: Callable[..., Any], chromium: Browser
) -> None:
    page = pair.page
    app = register_app(page, pair.asked_address, f"{pair.asking.address}/integrations/callback")
    page.goto(f"{pair.asked_address}/")
    page.locator(".person details summary").click()
    page.get_by_role("button", name="Sign out").click()

    ask(page, pair, app)
    sign_in(page)
    expect(page.get_by_role("heading", name="Authorise “Analytics team”")).to_be_visible()
    page.get_by_role("button", name="Deny").click()
    page.wait_for_url(re.compile(re.escape(pair.asking.address)))
    expect(page.get_by_role("heading", name="Access was denied")).to_be_visible()
    page.goto(f"{pair.asking.address}/sources")
    expect(page.get_by_text("Connect your first source")).to_be_visible()

    ask(page, pair, app)
    page.get_by_text("Shop", exact=False).first.wait_for()
    page.get_by_role("button", name="Allow").click()
    page.wait_for_url(re.compile(r"/connections/\d+"))
    expect(page.get_by_text("Waiting for the first event")).to_be_visible()

    client = Client(pair.write_key, host=pair.asked.address, sync_mode=True)
    for number in range(3):
        client.track(f"user-{number}", "Order Completed", {"revenue": 10.0 + number}, message_id=f"order-{number}")
    expect(page.get_by_text("First event seen")).to_be_visible()
    page.get_by_role("link", name="Create a data stream").click()
    page.wait_for_url(re.compile(r"/streams/new\?source=\d+"))

    create_stream(page, pair.asking.address)
    now = dt.datetime.now(dt.UTC)
    send_history(
        pair.asked.address, pair.write_key, now, weeks=4, orders_per_hour=30, broken=lambda country, _: country == "DE"
    )
    link = page.locator("main").get_by_role("link").filter(has_text="Events")
    wait_for(lambda: page.goto(f"{pair.asking.address}/incidents") and link.count(), 90)
    link.first.click()
    page.wait_for_url(re.compile(r"/incidents/\d+"))
    expect(page.locator("section", has=page.get_by_role("heading", name="Why"))).to_contain_text("DE")

    ask(page, pair, app)
    expect(page.get_by_text("has access to this workspace already")).to_be_visible()
    expect(page.get_by_role("button", name="Allow")).to_have_count(0)


def test_no_code_token_or_secret_stands_in_a_log(pair: Pair) -> None:
    said = "".join(pair.asking.output + pair.asked.output)
    assert "cwo_" not in said
    assert "code=" not in said
    assert pair.write_key not in said


def test_the_other_side_answers_strangers_with_nothing(pair: Pair) -> None:
    for path in ("/segment/v1beta/workspaces", "/segment/v1beta/workspaces/bakery/sources"):
        answer = httpx2.get(pair.asked.address + path, headers={"authorization": "Bearer cwo_wrong"})
        assert (answer.status_code, answer.json()["code"]) == (401, 16)
