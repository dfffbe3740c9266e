"""Where Segment answers: its own regions, or a Cliffwatch in its shape at an address that people type. Pure."""

from __future__ import annotations

from urllib.parse import urlsplit

from cliffwatch.connections.model import Endpoints
from cliffwatch.notify.outbound import check_url

US, EU, OWN = "us", "eu", "own"
REGIONS = ((US, "Segment, United States"), (EU, "Segment, European Union"), (OWN, "Another Cliffwatch"))
PREFIX = "/segment"
"""What stands before everything that answers in Segment's shape here."""

_SEGMENT = {
    US: Endpoints(
        "Segment (US)",
        "https://id.segmentapis.com/oauth2/auth",
        "https://id.segmentapis.com/oauth2/token",
        "",
        "https://platform.segmentapis.com/v1beta",
        "https://api.segmentapis.com",
    ),
    EU: Endpoints(
        "Segment (EU)",
        "https://id.segmentapis.com/oauth2/auth",
        "https://id.segmentapis.com/oauth2/token",
        "",
        "https://platform.segmentapis.com/v1beta",
        "https://eu1.api.segmentapis.com",
    ),
}


def endpoints(region: str, address: str = "") -> Endpoints:
    """The addresses of a region, or of the Cliffwatch at `address`. Raises InvalidInput naming `address`."""
    if region in _SEGMENT:
        return _SEGMENT[region]
    check_url("address", address)
    base = address.rstrip("/")
    base = base if base.endswith(PREFIX) else base + PREFIX
    return Endpoints(
        urlsplit(base).netloc,
        f"{base}/oauth2/auth",
        f"{base}/oauth2/token",
        f"{base}/oauth2/revoke",
        f"{base}/v1beta",
        f"{base}/public",
        base,
    )
