"""The main job, end to end, on real input.

A person sets Cliffwatch up in a browser, connects a source, defines a data stream, and a real Segment SDK sends eight
weeks of history with an outage at its end. The incident with its root cause is on the page, and the mail has arrived.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect
from segment.analytics.client import Client
from tests.e2e.conftest import Installation, Mailbox

EMAIL, PASSWORD = "owner@shop.example", "a quiet little bakery"
COUNTRIES, COUNTRY_SHARES = ["DE", "FR", "US"], [0.5, 0.3, 0.2]
VERSIONS, VERSION_SHARES = ["4.2.1", "4.2.0", "4.1.3"], [0.6, 0.3, 0.1]
WEEKS, ORDERS_PER_HOUR, OUTAGE_HOURS = 8, 80, 4
BROKEN = ("DE", "4.2.1")


@pytest.fixture
def page(chromium: Browser) -> Page:
    context = chromium.new_context(locale="en-GB", timezone_id="Europe/Berlin", viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.set_default_timeout(20_000)
    return page


def set_up_workspace(page: Page, address: str) -> None:
    page.goto(address)
    page.get_by_label("Your name").fill("Robin Weber")
    page.get_by_label("E-mail").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_label("Workspace name").fill("Bakery")
    page.get_by_role("button", name="Create workspace").click()


def connect_source(page: Page) -> str:
    """Create a source in the pages; returns its write key."""
    page.get_by_label("Name").fill("Shop")
    page.get_by_role("button", name="Create source").click()
    page.wait_for_url(re.compile(r"/sources/\d+"))
    return page.locator(".secret code").first.inner_text()


def add_mail_channel(page: Page, address: str) -> None:
    page.goto(f"{address}/channels/new?kind=email")
    page.get_by_label("Name").fill("Team inbox")
    page.get_by_label("Recipients").fill(EMAIL)
    page.get_by_role("button", name="Add channel").click()
    expect(page.get_by_text("Team inbox").first).to_be_visible()


def create_stream(page: Page, address: str) -> list[str]:
    """Walk the wizard; returns the next 3 runs that it showed."""
    page.goto(f"{address}/streams/new")
    page.get_by_text("Track", exact=True).click()
    page.get_by_placeholder("Input event name").fill("Order Completed")
    page.get_by_placeholder("Ex: properties.user.email").fill("properties.country")
    page.get_by_role("button", name="Add dimension").click()
    page.get_by_placeholder("Ex: properties.user.email").nth(1).fill("properties.app_version")
    page.get_by_role("button", name="Continue").click()
    page.get_by_text("Custom", exact=True).or_(page.get_by_text("1 hour", exact=True)).first.wait_for()
    page.get_by_text("1 hour", exact=True).click()
    page.get_by_label("Customize anchor time").fill("00:00")
    runs = page.locator("#next-runs time")
    expect(runs).to_have_count(3)
    shown = runs.all_inner_texts()
    page.get_by_role("button", name="Continue").click()
    page.get_by_label("Name").fill("Orders")
    page.get_by_role("button", name="Create data stream").click()
    page.wait_for_url(re.compile(r"/streams/\d+"))
    return shown


def broken_checkout(country: str, version: str) -> bool:
    return (country, version) == BROKEN


def send_history(
    address: str,
    write_key: str,
    now: dt.datetime,
    *,
    weeks: int = WEEKS,
    orders_per_hour: int = ORDERS_PER_HOUR,
    broken: Callable[[str, str], bool] = broken_checkout,
) -> int:
    """Weeks of orders by the SDK up to now; in the last whole hours, and since, those that are `broken` are missing."""
    rng = np.random.default_rng(5)
    failures: list[object] = []
    client = Client(
        write_key,
        host=address,
        max_queue_size=200_000,
        upload_size=100,
        thread=2,
        on_error=lambda error, _: failures.append(error),
    )
    this_hour = now.replace(minute=0, second=0, microsecond=0)
    sent = 0
    for back in range(weeks * 168, -1, -1):
        start = this_hour - dt.timedelta(hours=back)
        busy = 1 + 0.3 * np.sin(start.hour / 24 * 2 * np.pi)
        for second in np.sort(rng.integers(0, 3600, rng.poisson(orders_per_hour * busy))).tolist():
            country = str(rng.choice(COUNTRIES, p=COUNTRY_SHARES))
            version = str(rng.choice(VERSIONS, p=VERSION_SHARES))
            when = start + dt.timedelta(seconds=second)
            if (back <= OUTAGE_HOURS and broken(country, version)) or when > now:
                continue
            client.track(
                f"user-{rng.integers(5_000)}",
                "Order Completed",
                {"revenue": 49.5, "country": country, "app_version": version},
                timestamp=when,
            )
            sent += 1
    client.shutdown()
    assert failures == []
    return sent


@pytest.mark.browser
@pytest.mark.sdk
@pytest.mark.timeout(420)
def test_an_outage_that_an_sdk_reports_becomes_an_incident_with_its_cause_on_a_page_and_a_mail(
    cliffwatch: Installation, mailbox: tuple[Mailbox, int], page: Page, wait_for: Callable[..., object]
) -> None:
    address = cliffwatch.address
    set_up_workspace(page, address)
    write_key = connect_source(page)
    add_mail_channel(page, address)
    next_runs = create_stream(page, address)
    assert all(re.fullmatch(r"\d{1,2}:00 [AP]M", run) for run in next_runs), next_runs

    send_history(address, write_key, dt.datetime.now(dt.UTC))

    mails = mailbox[0].messages
    wait_for(lambda: mails, 90)
    page.goto(f"{address}/")
    page.locator("main").get_by_role("link").filter(has_text="Events").first.click()
    page.wait_for_url(re.compile(r"/incidents/\d+"))
    why = page.locator("section", has=page.get_by_role("heading", name="Why"))
    expect(why).to_contain_text("4.2.1")
    expect(why).to_contain_text("DE")
    subject = str(mails[0]["Subject"])
    assert "below expected" in subject or "4.2.1" in subject, subject
    assert mails[0]["To"] == EMAIL
