"""What people do on the pages, in a real browser."""

from __future__ import annotations

import html
import http.server
import re
import threading

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.web.conftest import PASSWORD, Browse, Heard, House

pytestmark = pytest.mark.browser


def test_the_first_run_leads_straight_to_a_source_and_its_first_event(new_house: House, chromium: Browser) -> None:
    context = chromium.new_context(locale="de-DE", timezone_id="Europe/Vienna")
    page = context.new_page()
    heard = Heard(page)
    page.goto(new_house.address)
    expect(page.get_by_label("Time zone")).to_have_value("Europe/Vienna")
    expect(page.get_by_label("Country")).to_have_value("AT")
    page.get_by_label("Your name").fill("Robin Weber")
    page.get_by_label("E-mail").fill("robin@shop.example")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_label("Workspace name").fill("Bakery")
    page.get_by_role("button", name="Create workspace").click()

    expect(page.get_by_role("heading", name="Connect your first source")).to_be_visible()
    page.get_by_label("Name").fill("Website")
    page.get_by_role("button", name="Create source").click()
    expect(page.get_by_role("status").first).to_contain_text("Waiting for the first event")
    key = page.locator("[data-copy-text]").first.get_attribute("data-copy-text") or ""
    expect(page.get_by_role("tabpanel")).to_contain_text(f'analytics.load("{key}")')
    page.get_by_role("tab", name="Website").press("ArrowRight")
    expect(page.get_by_role("tabpanel")).to_contain_text("AnalyticsBrowser.load")

    sent = new_house.client(None).post("/v1/track", auth=(key, ""), json={"userId": "u1", "event": "Bread Baked"})
    assert sent.status_code == 200
    expect(page.get_by_role("status").first).to_contain_text("Receiving events")
    page.get_by_role("link", name="Live events").first.click()
    page.get_by_role("button", name="Look into Bread Baked").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("tab", name="Raw").click()
    expect(dialog.get_by_role("tabpanel")).to_contain_text('"userId": "u1"')
    assert heard.complaints == []
    context.close()


class Shop(http.server.BaseHTTPRequestHandler):
    """A website of its own, with the snippet in its head."""

    snippet = ""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(f"<!doctype html><head><title>Shop</title>{self.snippet}</head>".encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Say nothing."""


def test_the_browser_snippet_sends_a_page_and_everything_stays_on_this_server(house: House, chromium: Browser) -> None:
    text = house.client().get("/sources/1?tab=connect").text
    Shop.snippet = html.unescape(re.findall(r'id="code-browser".*?<code>(.*?)</code>', text, re.DOTALL)[0])
    site = http.server.HTTPServer(("127.0.0.1", 0), Shop)
    threading.Thread(target=site.serve_forever, daemon=True).start()
    shop = f"http://127.0.0.1:{site.server_port}/"
    page = chromium.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    with page.expect_response(lambda answer: answer.url.endswith("/v1/p")) as sent:
        page.goto(shop)
    assert sent.value.status == 200
    assert all(url.startswith((house.address, shop)) for url in asked), asked
    page.close()
    site.shutdown()


def type_into(page: Page, text: str) -> None:
    page.keyboard.type(text)


def tab_to(page: Page, label: str) -> None:
    """Press Tab until the field or button with this name has the focus."""
    for _ in range(80):
        page.keyboard.press("Tab")
        name = page.evaluate(
            """() => {
                const it = document.activeElement;
                return it.getAttribute("aria-label") || it.labels?.[0]?.textContent.trim() || it.textContent.trim();
            }"""
        )
        if name == label:
            return
    raise AssertionError(f"no {label!r} in the order of the Tab key")


def test_a_stream_is_made_with_the_keyboard_alone(house: House, browse: Browse) -> None:
    page = browse()
    heard = Heard(page)
    page.goto(f"{house.address}/streams/new")
    tab_to(page, "Event 1")
    type_into(page, "order")
    expect(page.get_by_role("option", name=re.compile("Order Completed"))).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.get_by_role("combobox", name="Event 1")).to_have_value("Order Completed")
    tab_to(page, "Dimension 1")
    type_into(page, "count")
    expect(page.get_by_role("option", name=re.compile("properties.country"))).to_be_visible()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    tab_to(page, "Add dimension")
    page.keyboard.press("Enter")
    type_into(page, "properties.app_version")
    tab_to(page, "Continue")
    page.keyboard.press("Enter")

    expect(page.get_by_role("heading", name="Scheduling")).to_be_visible()
    runs = page.locator("#next-runs time")
    expect(runs).to_have_text(["4:00 PM", "5:00 PM", "6:00 PM"])
    tab_to(page, "1 hour")
    page.keyboard.press("ArrowRight")
    expect(runs).to_have_text(["6:00 PM", "9:00 PM", "12:00 AM"])
    tab_to(page, "Continue")
    page.keyboard.press("Enter")

    expect(page.get_by_text("from the archive, at once")).to_be_visible()
    expect(page.locator("#preview .chart canvas")).to_be_visible()
    tab_to(page, "Name")
    page.keyboard.press("ControlOrMeta+a")
    type_into(page, "Orders by version")
    tab_to(page, "Create data stream")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1, name="Orders by version")).to_be_visible()
    expect(page.get_by_role("status").filter(has_text="Filling in history")).to_be_visible()
    while house.services.pipeline.work():
        pass
    expect(page.locator(".chart canvas")).to_be_visible()
    assert heard.complaints == []


def test_the_wizard_keeps_what_was_typed_and_names_each_bad_field(house: House, browse: Browse) -> None:
    page = browse()
    page.goto(f"{house.address}/streams/new")
    page.get_by_role("combobox", name="Dimension 1").fill("a..b")
    page.get_by_text("Sums, averages").click()
    page.get_by_label("Aggregation of measure 1").select_option("sum")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("alert")).to_contain_text("need your attention")
    expect(page.get_by_role("combobox", name="Dimension 1")).to_have_value("a..b")
    expect(page.get_by_role("combobox", name="Dimension 1")).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_text("A path is names joined by dots")).to_be_visible()
    expect(page.get_by_text("Sum needs the path of a number")).to_be_visible()
    expect(page.get_by_text("Name at least one event.")).to_be_visible()
    expect(page.get_by_label("Aggregation of measure 1")).to_have_value("sum")


def test_rows_keep_their_numbers_when_one_is_removed(house: House, browse: Browse) -> None:
    page = browse()
    page.goto(f"{house.address}/streams/new")
    page.get_by_role("combobox", name="Event 1").fill("A")
    for name in ("B", "C"):
        page.get_by_role("button", name="Add event").click()
        page.keyboard.type(name)
    page.get_by_role("button", name="Remove event 2").click()
    expect(page.get_by_role("combobox", name="Event 2")).to_have_value("C")
    expect(page.get_by_role("combobox", name="Event 3")).to_have_count(0)


def test_an_incident_is_taken_on_discussed_and_closed(house: House, browse: Browse) -> None:
    page = browse()
    heard = Heard(page)
    page.goto(f"{house.address}/")
    page.get_by_role("link", name=re.compile("^Revenue is 31 % below expected")).first.click()
    why = page.get_by_role("region", name="Why")
    expect(why).to_contain_text("4.2.1")
    expect(why).to_contain_text("DE")
    page.get_by_role("button", name="Acknowledge").click()
    expect(page.get_by_text("Robin Weber is on it")).to_be_visible()
    page.get_by_role("combobox", name="Owner").select_option(label="Kim Ito")
    expect(page.get_by_role("combobox", name="Owner")).to_have_value(re.compile(r"\d+"))
    page.get_by_placeholder("Write a comment").fill("The release of 13:00 did it.")
    page.get_by_role("button", name="Comment").click()
    expect(page.get_by_role("region", name="What was done")).to_contain_text("The release of 13:00 did it.")
    page.get_by_text("Snooze", exact=True).click()
    page.get_by_role("button", name="Until tomorrow, 9:00").click()
    expect(page.get_by_text("quiet until Wed 25 Nov, 09:00").first).to_be_visible()
    page.get_by_role("button", name="Resolve").click()
    expect(page.get_by_text("Resolved", exact=True).first).to_be_visible()
    page.get_by_role("button", name="Reopen").click()
    expect(page.get_by_role("button", name="Acknowledge")).to_be_visible()
    assert heard.complaints == []


def test_range_slice_and_view_change_without_leaving_the_page(house: House, browse: Browse) -> None:
    page = browse()
    heard = Heard(page)
    page.goto(f"{house.address}/streams/1")
    page.get_by_label("Time range").get_by_role("link", name="7d").click()
    expect(page.get_by_text("over the last 7 days")).to_be_visible()
    expect(page).to_have_url(re.compile("range=7d"))
    page.get_by_label("Slice").select_option(label="DE")
    expect(page.get_by_text("Revenue (country DE) came to")).to_be_visible()
    expect(page.locator(".chart canvas")).to_be_visible()
    page.get_by_role("link", name="Table").click()
    expect(page.get_by_role("columnheader", name="Expected")).to_be_visible()
    page.go_back()
    expect(page.locator(".chart canvas")).to_be_visible()
    assert heard.complaints == []


def test_a_channel_says_which_field_is_wrong_and_then_is_there(house: House, browse: Browse) -> None:
    page = browse()
    page.goto(f"{house.address}/channels")
    page.get_by_role("link", name="Add channel").click()
    page.get_by_role("link", name="E-mail").click()
    page.get_by_label("Name").fill("Night watch")
    page.get_by_label("Recipients").fill("not an address")
    page.get_by_role("button", name="Add channel").click()
    expect(page.get_by_label("Recipients")).to_have_attribute("aria-invalid", "true")
    expect(page.get_by_label("Name")).to_have_value("Night watch")
    page.get_by_label("Recipients").fill("night@shop.example")
    page.get_by_role("button", name="Add channel").click()
    row = page.get_by_role("row").filter(has_text="Night watch").first
    row.get_by_role("button", name="Send test").click()
    expect(page.get_by_role("region", name="Messages")).to_contain_text("Night watch")
    row.get_by_label("More for Night watch").click()
    row.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_text("“Night watch” was deleted.")).to_be_visible()


def test_a_token_is_shown_once(house: House, browse: Browse) -> None:
    page = browse()
    page.goto(f"{house.address}/settings/tokens")
    page.get_by_label("What it is for").fill("Weekly report")
    page.get_by_role("button", name="Create token").click()
    plain = page.locator("#new-token").inner_text()
    assert len(plain) > 20
    page.goto(f"{house.address}/settings/tokens")
    expect(page.get_by_text("Weekly report")).to_be_visible()
    assert plain not in page.content()


def test_a_phone_opens_the_menu_and_dark_stays_dark(house: House, browse: Browse) -> None:
    page = browse("light", 390)
    page.goto(f"{house.address}/")
    page.get_by_role("button", name="Menu").click()
    page.get_by_label("Appearance and account").click()
    page.get_by_role("button", name="Dark").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.goto(f"{house.address}/incidents")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.get_by_role("button", name="Menu").click()
    page.get_by_label("Appearance and account").click()
    page.get_by_role("button", name="As the system").click()
    expect(page.locator("html")).not_to_have_attribute("data-theme", "dark")


def test_the_keyboard_reaches_the_content_first(house: House, browse: Browse) -> None:
    page = browse()
    page.goto(f"{house.address}/incidents")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('main') !== null")
