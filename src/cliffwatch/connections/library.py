"""The integrations library: what can be connected, what each brings, and how. Pure.

A new integration is one entry of `LIBRARY`; the methods that it offers decide which pages it gets.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from cliffwatch.connections.model import Method
from cliffwatch.errors import NotFound


@dataclass(frozen=True, slots=True)
class Integration:
    """An entry of the library. `brings` are facts about what arrives; its first method is offered first."""

    key: str
    name: str
    icon: str
    summary: str
    about: str
    brings: Sequence[str]
    methods: Sequence[Method]
    words: str = ""  # further words by which people search
    snippet: str = ""  # the tab of the connect page that fits


LIBRARY: Sequence[Integration] = (
    Integration(
        "segment",
        "Segment",
        "workflow",
        "The events your company already sends through Segment.",
        "Choose a workspace and a source, click Allow, and its events are delivered here from then on. Nothing "
        "changes in your websites and apps.",
        (
            "Track, page, screen, identify and group calls",
            "Audiences and computed traits of Engage",
            "Signed deliveries",
        ),
        (Method.AUTHORISE, Method.TOKEN, Method.WEBHOOK),
        "twilio cdp engage destination cliff oauth workspace webhook",
    ),
    Integration(
        "sdk",
        "Segment SDK",
        "code-xml",
        "Send straight to Cliffwatch with any Segment SDK.",
        "Cliffwatch speaks the protocol of Segment’s SDKs. Keep your code and change the host: analytics.js, Node, "
        "Python, Swift, Kotlin and all others work.",
        ("Live events within a second", "The event catalogue with examples", "A write key for each source"),
        (Method.WRITE_KEY,),
        "analytics.js browser node python swift kotlin android ios react native ruby php go java built-in source",
        "browser",
    ),
    Integration(
        "http",
        "HTTP API",
        "globe",
        "Send events with plain HTTP requests from anything.",
        "One POST with a JSON body for each event or for a batch of them, with the write key as the user name.",
        (
            "Events from scripts, jobs and devices",
            "Batches of up to 500 KB",
            "The history of a system, with old timestamps",
        ),
        (Method.WRITE_KEY,),
        "curl rest post webhook json script cron",
        "curl",
    ),
    Integration(
        "rudderstack",
        "RudderStack",
        "split",
        "The events of RudderStack’s SDKs and of its webhooks.",
        "RudderStack’s server SDKs speak the same protocol; @rudderstack/rudder-sdk-node sends here with its own "
        "defaults. Point their data plane URL here, or add a second one.",
        ("Track, page, screen, identify and group calls", "Compressed batches as its SDKs send them"),
        (Method.WRITE_KEY,),
        "rudder data plane cdp open source",
        "rudder",
    ),
    Integration(
        "jitsu",
        "Jitsu",
        "zap",
        "The events of Jitsu’s scripts and functions.",
        "Jitsu’s SDK (@jitsu/js) sends here with this server as its host. A Jitsu server passes events on: add an HTTP "
        "destination with this source’s address and write key.",
        ("Track, page and identify calls", "Events that Jitsu enriched"),
        (Method.WRITE_KEY,),
        "open source cdp http destination",
        "jitsu",
    ),
    Integration(
        "csv",
        "CSV upload",
        "file-text",
        "A file of events: history to learn from, or a system without an SDK.",
        "One row is one event. Say which columns hold the time, the name and the person; every other column becomes a "
        "property.",
        ("History, so that streams detect from their first run", "Any export that has a time column"),
        (Method.UPLOAD,),
        "file spreadsheet excel import upload history backfill tsv",
    ),
    Integration(
        "warehouse",
        "Warehouse import",
        "database",
        "Years of Segment events from your warehouse.",
        "Reads the tables that Segment writes (tracks, one table for each event, pages, screens, identifies, groups) "
        "from PostgreSQL, or from Parquet and CSV exports of any warehouse.",
        ("Every event with its properties", "Goes on where it stopped", "Each event once, however often it runs"),
        (Method.WAREHOUSE,),
        "postgres postgresql redshift snowflake bigquery parquet csv duckdb sql history backfill",
    ),
)

_BY_KEY = {integration.key: integration for integration in LIBRARY}


def integration(key: str) -> Integration:
    """Raises NotFound."""
    if key not in _BY_KEY:
        raise NotFound(f"Integration {key!r}", "is not in the library.", f"It has: {', '.join(_BY_KEY)}.")
    return _BY_KEY[key]


def search(text: str) -> list[Integration]:
    """The integrations that hold every word of `text` somewhere in what is said of them; all of them for no words."""
    words = _plain(text).split()
    return [found for found in LIBRARY if all(word in _haystack(found) for word in words)]


def _haystack(found: Integration) -> str:
    return _plain(" ".join((found.name, found.summary, found.about, *found.brings, found.words)))


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().casefold()
