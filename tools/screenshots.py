"""Takes a picture of every page of a running server, in light and dark, 390 and 1440 px wide, for people to look at.

    python tools/screenshots.py http://127.0.0.1:8420 owner@shop.example cliffwatch-demo --out screenshots

Pages that need an id (a stream, an incident, a source) are found by following the links. Prints what a browser
complained about: console errors, refused requests, horizontal scrolling.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
WIDTHS = {390: 844, 1440: 900}
THEMES = ("light", "dark")
INTEGRATIONS = ("segment", "sdk", "http", "rudderstack", "jitsu", "csv", "warehouse")
SOURCE_TABS = ("events", "delivery", "catalogue", "tester", "quarantine", "privacy", "connect", "settings")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address")
    parser.add_argument("email")
    parser.add_argument("password")
    parser.add_argument("--out", type=Path, default=Path("screenshots"))
    parser.add_argument("--only", default="", help="names of pages, separated by commas")
    parser.add_argument("--theme", choices=THEMES, help="one theme instead of both")
    parser.add_argument("--width", type=int, choices=sorted(WIDTHS), help="one width instead of both")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        complaints = [
            complaint
            for width in ([arguments.width] if arguments.width else WIDTHS)
            for theme in ([arguments.theme] if arguments.theme else THEMES)
            for complaint in shoot(browser, arguments, width, theme)
        ]
        browser.close()
    print("\n".join(complaints) or "No complaints.")
    sys.exit(bool(complaints))


def shoot(browser: Browser, arguments: argparse.Namespace, width: int, theme: str) -> Iterator[str]:
    """Pictures of every page in one width and theme; yields what was wrong."""
    context = browser.new_context(
        viewport={"width": width, "height": WIDTHS[width]},
        color_scheme=theme,  # type: ignore[arg-type] # argparse has checked it
        device_scale_factor=2 if width < 600 else 1,
        reduced_motion="reduce",
    )
    page = context.new_page()
    heard: list[str] = []
    page.on("console", lambda message: heard.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on(
        "requestfailed", lambda request: heard.append(f"{request.url} failed") if "/live" not in request.url else None
    )
    only = set(filter(None, arguments.only.split(",")))
    if not only or "sign-in" in only:
        page.goto(f"{arguments.address}/sign-in")
        save(page, arguments.out, "sign-in", width, theme)
    sign_in(page, arguments.address, arguments.email, arguments.password)
    for name, path in pages(page, arguments.address).items():
        if only and name not in only:
            continue
        heard.clear()
        page.goto(f"{arguments.address}{path}")
        page.wait_for_load_state("load")
        if name.startswith("wizard-") and page.locator("#preview").count():  # the preview takes a moment
            page.locator("#preview :is(.preview-sentence, .preview-empty .icon, .notice)").first.wait_for(
                timeout=60_000
            )
        page.wait_for_timeout(700)
        save(page, arguments.out, name, width, theme)
        over = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if over > 0:
            yield f"{name} {width} {theme}: scrolls {over} px to the side"
        for text in heard:
            yield f"{name} {width} {theme}: {text}"
    context.close()


def sign_in(page: Page, address: str, email: str, password: str) -> None:
    page.goto(f"{address}/sign-in")
    page.fill("#email", email)
    page.fill("#password", password)
    page.click("button.primary")
    page.wait_for_url(f"{address}/")


def pages(page: Page, address: str) -> dict[str, str]:
    """Name -> path of everything there is to see."""
    found = {"home": "/", "streams": "/streams", "incidents": "/incidents", "incidents-all": "/incidents?show=all"}
    found |= {"sources": "/sources", "source-new": "/sources/new", "channels": "/channels"}
    found |= {"channel-new": "/channels/new", "channel-email": "/channels/new?kind=email"}
    found |= {"channel-slack": "/channels/new?kind=slack", "monitors": "/monitors", "monitor-new": "/monitors/new"}
    found |= {"escalation": "/escalation", "policy-new": "/escalation/policies/new", "maintenance": "/maintenance"}
    found |= {"rotation-new": "/escalation/rotations/new", "digests": "/digests", "noise": "/noise"}
    if plan := first(page, f"{address}/escalation", r"^/escalation/policies/\d+/plan$"):
        found |= {"policy-plan": plan, "policy": plan.removesuffix("/plan")}
    found |= {"settings": "/settings/workspace", "members": "/settings/members", "tokens": "/settings/tokens"}
    found |= {
        "not-found": "/nowhere",
        "annotations": "/annotations",
        "goals": "/goals",
        "goal-new": "/goals/new",
        "privacy": "/settings/privacy",
    }
    found |= {
        "audit": "/settings/audit",
        "data-map": "/settings/privacy/map",
        "account": "/settings/account",
        "workspace-new": "/workspaces/new",
    }
    found |= {"apps": "/settings/apps", "integrations": "/integrations", "integrations-none": "/integrations?q=nothing"}
    found |= {f"start-{key}": f"/integrations/{key}" for key in INTEGRATIONS}
    if stream := first(page, f"{address}/streams", r"^/streams/\d+$"):
        found |= {"stream": stream, "stream-table": f"{stream}?view=table", "stream-edit": f"{stream}/edit"}
        found |= {"sensitivity": f"{stream}/sensitivity", "sensitivity-tried": f"{stream}/sensitivity?budget=3"}
        found |= {"explain": f"{stream}/explain", "explain-chosen": f"{stream}/explain?base=period"}
    if incident := first(page, f"{address}/incidents?show=all", r"^/incidents/\d+$"):
        found["incident"] = incident
    if source := first(page, f"{address}/sources", r"^/sources/\d+$"):
        found |= {f"source-{tab}": f"{source}?tab={tab}" for tab in SOURCE_TABS}
        found["destinations"] = f"{source}/destinations"
        if destination := first(page, f"{address}{source}/destinations", r"^/destinations/\d+$"):
            found["destination"] = destination
        number = source.rsplit("/", 1)[-1]
        draft = [
            *(("source", number), ("type", "track"), ("event", "Order Completed"), ("dimension", "properties.country")),
            *(("dimension", "properties.app_version"), ("custom", "yes"), ("m_aggregation", "sum")),
            *(("m_path", "properties.revenue"), ("m_label", "Revenue"), ("m_unit", "EUR")),
        ]
        found |= {
            f"wizard-{step}": f"/streams/new?{urlencode([('step', step), *draft])}" for step in ("schedule", "review")
        }
        found["wizard-configure"] = f"/streams/new?{urlencode(draft)}"
        found["wizard-errors"] = (
            f"/streams/new?{urlencode([('step', 'schedule'), ('source', number), ('dimension', 'a..b')])}"
        )
    if connection := first(page, f"{address}/integrations", r"^/connections/\d+$"):
        found["connection"] = connection
    page.goto(f"{address}/")
    if page.locator('a[href="/inbox"]').count():
        found["inbox"] = "/inbox"
    return found


def first(page: Page, address: str, pattern: str) -> str | None:
    """The first link of a page's main part whose path matches."""
    page.goto(address)
    links = page.eval_on_selector_all("main a", "links => links.map(link => link.getAttribute('href'))")
    return next((link for link in links if link and re.match(pattern, link)), None)


def save(page: Page, folder: Path, name: str, width: int, theme: str) -> None:
    page.screenshot(path=folder / f"{name}-{width}-{theme}.png", full_page=True)


if __name__ == "__main__":
    main()
