"""@segment/analytics-next in Debian's Chromium, from a page of another origin, against the real server.

Nothing stands between browser and server (an interceptor would answer preflights itself), and the request log of every
test shows no request to any host but the page's and the server's.
"""

from __future__ import annotations

import http.server
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from cliffwatch.ingest import Source
from cliffwatch.spec.decode import decode_json

pytestmark = [pytest.mark.sdk, pytest.mark.browser]

NOW = 1_795_440_000_000
NEW, OLD = "analytics-next", "analytics-next-1.70"

ALL_CALLS = """
    await analytics.track("Login Button Clicked");
    await analytics.track("Order Completed", {total: 19.99, nested: {a: [1, null, true, 1e21]}, nan: NaN,
        when: new Date(0), text: "Zürich – 東京 🎉", lone: "x\\ud83cy\\u0000"});
    await analytics.page();
    await analytics.page("Docs", "Browser library");
    await analytics.screen("Settings");
    await analytics.identify("user-1", {email: "a@example.com", plan: "pro"});
    await analytics.group("group-1", {employees: 12});
    await analytics.alias("new-id", "old-id");
"""

SNIPPET = """
    var i = "analytics", analytics = window[i] = window[i] || [];
    analytics.methods = ["page", "track", "identify", "ready"];
    analytics.factory = function (name) { return function () {
        var call = Array.prototype.slice.call(arguments);
        call.unshift(name); analytics.push(call); return analytics; }; };
    analytics.methods.forEach(function (name) { analytics[name] = analytics.factory(name); });
    analytics._loadOptions = {}; analytics._writeKey = "KEY"; analytics._cdn = "SERVER";
    var script = document.createElement("script");
    script.src = "SERVER/analytics.js/v1/KEY/analytics.min.js";
    document.head.appendChild(script);
    analytics.page();
    analytics.track("From the snippet", {plan: "pro"});
"""


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an empty page on an origin of its own, with the SDK's two versions beside it."""
    modules = Path(
        os.environ.get("CLIFFWATCH_NODE_MODULES", Path(__file__).parents[2] / ".cache" / "node" / "node_modules")
    )
    root = tmp_path_factory.mktemp("pages")
    for version in (NEW, OLD):
        built = modules / "@segment" / version / "dist" / "umd"
        assert built.is_dir(), f"{built} is not there; script/test installs it, or set CLIFFWATCH_NODE_MODULES"
        (root / version).symlink_to(built)
        page = f"<!doctype html><title>Shop</title><script src='/{version}/index.js'></script>"
        (root / f"{version}.html").write_text(page)
    (root / "empty.html").write_text("<!doctype html><title>Shop</title>")
    (root / "favicon.ico").write_bytes(b"")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(root))

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    httpd.shutdown()


@pytest.fixture
def site(own_server: Callable[..., Any], chromium: Browser, pages: str) -> Iterator[Site]:
    server = own_server(clock=lambda: NOW)
    context = chromium.new_context()
    opened = Site(server, server.new_source(), context, pages)
    yield opened
    hosts = {urlsplit(url).netloc for url in opened.request_log()}
    context.close()
    assert hosts == {urlsplit(pages).netloc, urlsplit(server.url).netloc}


class Site:
    """A shop's page in the browser, and the server that its SDK sends to."""

    def __init__(self, server: Any, source: Source, context: BrowserContext, pages: str) -> None:
        self.server, self.source, self.context, self.pages = server, source, context, pages
        self._requested: list[str] = []
        context.on("request", lambda request: self._requested.append(request.url))

    def request_log(self) -> list[str]:
        """The address of every request that the browser made."""
        self.context.pages[-1].wait_for_timeout(300)  # lets the browser tell what has happened meanwhile
        return self._requested

    def open(self, version: str = NEW, query: str = "") -> Page:
        page = self.context.new_page()
        page.goto(f"{self.pages}/{version}.html{query}")
        return page

    def run(self, page: Page, calls: str, options: dict[str, Any] | None = None) -> None:
        """Load the SDK, which knows nothing but where its settings lie, and make calls."""
        settings = {"writeKey": self.source.write_key, "cdnURL": self.server.url}
        page.evaluate(
            f"""async ([settings, options]) => {{
                const [analytics] = await AnalyticsNext.AnalyticsBrowser.load(settings, options);
                window.analytics = analytics;
                {calls}
            }}""",
            [settings, options or {}],
        )

    def snippet(self) -> str:
        """What the source's page tells people to paste."""
        return SNIPPET.replace("KEY", self.source.write_key).replace("SERVER", self.server.url)

    def sent(self) -> list[tuple[Any, Any]]:
        """(body, message) of everything that came in by POST."""
        found = []
        for method, path, _, body in list(self.server.wire.requests):
            if method == "POST" and not path.endswith("/m"):
                value = decode_json(body)
                assert isinstance(value, dict)
                found += [(value, item) for item in value.get("batch", [value])]
        return found

    def check(self, check: Callable[..., None], count: int) -> None:
        """Assert that `count` messages are stored, each as it was sent."""
        stored = {event["messageId"]: event for event in self.server.stored(self.source)}
        sent = {item["messageId"]: (body, item) for body, item in self.sent()}
        assert len(sent) == count
        assert stored.keys() == sent.keys()
        for message_id, (body, item) in sent.items():
            check(stored[message_id], body, item, NOW)
            assert stored[message_id]["channel"] == "client"

    def headers(self, method: str) -> list[dict[str, str]]:
        return [headers for verb, _, headers, _ in self.server.wire.requests if verb == method]


@pytest.mark.parametrize("version", [NEW, OLD])
def test_every_call_from_another_origin_is_stored_as_it_was_sent(
    site: Site, wait_for: Callable[..., Any], check: Callable[..., None], version: str
) -> None:
    site.run(site.open(version), ALL_CALLS)
    wait_for(lambda: len(site.sent()) == 8)
    site.check(check, 8)
    paths = {path for method, path, _, _ in site.server.wire.requests if method == "POST"}
    assert paths == {"/v1/t", "/v1/p", "/v1/s", "/v1/i", "/v1/g", "/v1/a"}
    preflights = len(site.headers("OPTIONS"))
    assert preflights > 0 if version == NEW else preflights == 0


def test_batches_are_stored_as_they_were_sent(
    site: Site, wait_for: Callable[..., Any], check: Callable[..., None]
) -> None:
    delivery = {"strategy": "batching", "config": {"size": 5, "timeout": 300}}
    site.run(site.open(), ALL_CALLS, {"integrations": {"Segment.io": {"deliveryStrategy": delivery}}})
    wait_for(lambda: len(site.sent()) == 8)
    site.check(check, 8)
    assert {path for method, path, _, _ in site.server.wire.requests if method == "POST"} == {"/v1/b"}


def test_what_waits_in_a_batch_is_sent_when_the_page_is_left(
    site: Site, wait_for: Callable[..., Any], check: Callable[..., None]
) -> None:
    delivery = {"strategy": "batching", "config": {"size": 50, "timeout": 60_000}}
    page = site.open()
    site.run(
        page,
        'for (let n = 0; n < 6; n++) analytics.track("Click", {n});',
        {"integrations": {"Segment.io": {"deliveryStrategy": delivery}}},
    )
    page.wait_for_timeout(200)
    page.goto(f"{site.pages}/empty.html")
    wait_for(lambda: len(site.sent()) == 6)
    site.check(check, 6)


def test_own_headers_and_cookies_pass_the_preflight(
    site: Site, wait_for: Callable[..., Any], check: Callable[..., None]
) -> None:
    delivery = {"config": {"headers": {"x-api-key": "abc", "x-shop": "1"}, "credentials": "include"}}
    site.run(
        site.open(), 'await analytics.track("Click");', {"integrations": {"Segment.io": {"deliveryStrategy": delivery}}}
    )
    wait_for(lambda: len(site.sent()) == 1)
    site.check(check, 1)
    assert site.headers("POST")[0]["x-api-key"] == "abc"


@pytest.mark.parametrize("fault", [500, 503, 429, "cut"])
def test_an_event_that_was_stored_but_not_answered_is_sent_again_and_counts_once(
    site: Site, wait_for: Callable[..., Any], fault: int | str
) -> None:
    site.server.wire.faults = [fault]
    site.run(site.open(), 'analytics.track("Click");')
    wait_for(lambda: len(site.sent()) >= 2)
    assert site.server.counted(site.source) == 1


def test_a_browser_that_is_told_to_wait_sees_it_and_comes_back_once(site: Site, wait_for: Callable[..., Any]) -> None:
    site.server.wire.faults = ["429 first"]
    page = site.open()
    site.run(page, 'analytics.track("Click");')
    wait_for(lambda: len(site.headers("POST")) == 2)
    assert site.headers("POST")[1]["x-retry-count"] == "1"
    page.wait_for_timeout(1_500)
    assert len(site.headers("POST")) == 2
    assert site.server.counted(site.source) == 1


def test_the_address_of_a_page_can_carry_calls_and_their_code_comes_from_this_server(
    site: Site, wait_for: Callable[..., Any]
) -> None:
    page = site.open("empty", "?ajs_uid=u-7&ajs_event=From%20the%20address&ajs_prop_plan=pro")
    page.evaluate(site.snippet())
    wait_for(lambda: len(site.sent()) == 4)
    stored = {(event["type"], event.get("event")): event for event in site.server.stored(site.source)}
    assert stored["identify", None]["userId"] == "u-7"
    assert stored["track", "From the address"]["properties"] == {"plan": "pro"}
    assert any("/analytics-next/bundles/queryString" in url for url in site.request_log())


def test_the_snippet_needs_no_host_but_this_server(
    site: Site, wait_for: Callable[..., Any], check: Callable[..., None]
) -> None:
    page = site.open("empty")
    page.evaluate(site.snippet())
    wait_for(lambda: len(site.sent()) == 2)
    site.check(check, 2)
    assert any(url.endswith("/analytics.min.js") for url in site.request_log())
