"""A mail as a person sees it: delivered by SMTP, rendered by a real browser, light and dark, desk and phone."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser
from tests.notify.conftest import T0, Desk

from cliffwatch.notify import Inbox

pytestmark = pytest.mark.browser


@pytest.fixture
def mail(desk: Desk, inbox: Inbox, tmp_path: Path) -> Path:
    desk.channels.create(1, "email", "Team", {"to": "a@x.example"}, 0)
    outbox = desk.outbox()
    desk.open(outbox)
    assert outbox.deliver_due(T0 + 3_600_000).sent == 1
    file = tmp_path / "mail.html"
    file.write_text(inbox.list()[0].page)
    return file


LUMINANCE = """(selector) => {
    const [r, g, b] = getComputedStyle(document.querySelector(selector)).backgroundColor.match(/\\d+/g).map(Number);
    return (0.2126 * r + 0.7152 * g + 0.0722 * b) / 255;
}"""


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_mail_fits_the_screen_and_shows_its_chart(mail: Path, chromium: Browser, width: int, scheme: str) -> None:
    context = chromium.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(mail.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate("document.querySelector('img').naturalWidth") == 1120
    assert page.get_by_role("heading").inner_text() == "App version 5.3.0 in Germany lost 96 % of its revenue."
    assert page.get_by_text("Revenue is 31 % below expected since 13:00").first.is_visible()
    card = page.evaluate(LUMINANCE, ".cw-card")
    assert card > 0.9 if scheme == "light" else card < 0.2
    assert all(url.startswith(("file:", "data:")) for url in asked)
    context.close()


def test_dark_readers_get_the_dark_chart(mail: Path, chromium: Browser) -> None:
    seen = {}
    for scheme in ("light", "dark"):
        context = chromium.new_context(color_scheme=scheme)  # type: ignore[arg-type]
        page = context.new_page()
        page.goto(mail.as_uri())
        seen[scheme] = page.evaluate("document.querySelector('img').currentSrc")
        context.close()
    assert seen["light"] != seen["dark"]
