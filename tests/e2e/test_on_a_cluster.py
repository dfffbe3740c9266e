"""The main job with events on a real ClickHouse cluster of two shards with two replicas each."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.e2e.conftest import Installation, Mailbox, run_cliffwatch
from tests.e2e.test_the_main_job import add_mail_channel, connect_source, create_stream, send_history, set_up_workspace
from tests.servers.stores import Servers

from cliffwatch.store import ArchiveQuery, open_store

DATABASE = "main_job"


@pytest.fixture
def clustered(servers: Servers, tmp_path: Path, mailbox: tuple[Mailbox, int]) -> Iterator[Installation]:
    """A fresh installation whose events lie on the cluster."""
    installation = run_cliffwatch(
        "serve",
        "--data-dir",
        str(tmp_path / "data"),
        "--port",
        "0",
        env={
            "CLIFFWATCH_STORE": servers.cluster.url_of(DATABASE),
            "CLIFFWATCH_SMTP_HOST": "127.0.0.1",
            "CLIFFWATCH_SMTP_PORT": str(mailbox[1]),
            "CLIFFWATCH_SMTP_SECURITY": "none",
        },
        seconds=90,
    )
    yield installation
    if installation.process.poll() is None:
        installation.stop()


@pytest.mark.browser
@pytest.mark.sdk
def test_an_outage_becomes_an_incident_with_its_cause_and_a_mail_over_a_cluster(
    clustered: Installation,
    servers: Servers,
    mailbox: tuple[Mailbox, int],
    chromium: Browser,
    tmp_path: Path,
    wait_for: Callable[..., object],
) -> None:
    context = chromium.new_context(locale="en-GB", timezone_id="Europe/Berlin")
    page: Page = context.new_page()
    page.set_default_timeout(30_000)
    address = clustered.address
    set_up_workspace(page, address)
    write_key = connect_source(page)
    add_mail_channel(page, address)
    create_stream(page, address)
    sent = send_history(address, write_key, dt.datetime.now(dt.UTC), weeks=4, orders_per_hour=60)
    mails = mailbox[0].messages
    wait_for(lambda: mails, 120)
    page.goto(f"{address}/")
    page.locator("main").get_by_role("link").filter(has_text="Events").first.click()
    page.wait_for_url(re.compile(r"/incidents/\d+"))
    why = page.locator("section", has=page.get_by_role("heading", name="Why"))
    expect(why).to_contain_text("4.2.1")
    expect(why).to_contain_text("DE")
    context.close()
    clustered.stop()
    assert not (tmp_path / "data" / "events.duckdb").exists()
    store = open_store(servers.cluster.url_of(DATABASE))
    assert store.count_archive(ArchiveQuery(1, -(1 << 60), 1 << 60)) == sent
    store.close()
