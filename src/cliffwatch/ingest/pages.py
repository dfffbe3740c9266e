"""What SDKs fetch before they send: the settings document and analytics.js itself, served by this server alone."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from cliffwatch.errors import InvalidInput
from cliffwatch.spec.decode import decode_json

VENDOR = Path(__file__).resolve().parent.parent / "web" / "static" / "vendor"
"""Where `analytics.min.js` (npm @segment/analytics-next, dist/umd/standalone.js) and `analytics-next/bundles/` lie."""

_PLACEHOLDER = b"__WRITE_KEY__"
_FILLED = 50
"""Scripts with a key in them that are kept, of a hundred thousand bytes each."""


def settings_document(write_key: str, api_host: str, protocol: str) -> bytes:
    """The smallest document that keeps every request of analytics.js on this server (segment-spec, 2).

    `api_host` is host[:port] with any prefix and `/v1`, without a scheme. Without it, or without `metrics`, the script
    would send to Segment; with any second integration it would load scripts from there.
    """
    return msgspec.json.encode(
        {
            "integrations": {
                "Segment.io": {
                    "apiKey": write_key,
                    "apiHost": api_host,
                    "protocol": protocol,
                    "addBundledMetadata": True,
                    "unbundledIntegrations": [],
                    "retryQueue": True,
                }
            },
            "metrics": {"sampleRate": 0, "host": api_host, "protocol": protocol},
            "plan": {"track": {"__default": {"enabled": True, "integrations": {}}}},
            "middlewareSettings": {},
            "enabledMiddleware": {},
            "remotePlugins": [],
            "edgeFunction": {},
            "legacyVideoPluginsEnabled": False,
            "analyticsNextEnabled": True,
        }
    )


class Scripts:
    """analytics.js files from the vendored folder, read again when they change."""

    def __init__(self, folder: Path = VENDOR) -> None:
        self._folder = folder
        self._cache: dict[str, tuple[int, bytes]] = {}
        # One copy for all who ask, however slowly they take it.
        self._filled = lru_cache(maxsize=_FILLED)(_filled)

    def load(self, file: str, write_key: str) -> bytes | None:
        """The script with the key filled in, None when the installation does not have it."""
        path = self._folder / file
        try:
            changed = path.stat().st_mtime_ns
            cached = self._cache.get(file)
            if cached is None or cached[0] != changed:
                cached = changed, path.read_bytes()
                self._cache[file] = cached
        except OSError:
            return None
        return self._filled(cached[1], write_key) if write_key else cached[1]


def _filled(script: bytes, write_key: str) -> bytes:
    key = json.dumps(write_key)[1:-1].encode()  # a key cannot end the string that it stands in
    return script.replace(_PLACEHOLDER, key, 1)


def pixel_message(query: bytes) -> dict[str, Any]:
    """The message in a pixel's address: `data` as JSON, base64 or url-safe base64, or dotted parameters.

    Raises InvalidInput when there is none.
    """
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True, errors="replace")
    named = dict(pairs)
    if "data" not in named:
        return _from_pairs(pairs)
    value = _from_data(named["data"])
    if not isinstance(value, dict):
        raise InvalidInput("Pixel data", "is not a message.", "Put one message as JSON or base64 into data=.")
    if "writeKey" in named:  # beside the message
        value.setdefault("writeKey", named["writeKey"])
    return value


def _from_data(data: str) -> object:
    data = data.strip()
    if data.startswith("{"):
        return decode_json(data.encode())
    plain = data.replace("-", "+").replace("_", "/").replace(" ", "+").rstrip("=")
    try:
        return decode_json(base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True))
    except ValueError as error:  # binascii.Error, or text beyond ASCII
        raise InvalidInput("Pixel data", "is neither JSON nor base64.") from error


def _from_pairs(pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    message: dict[str, Any] = {}
    for path, text in pairs:
        place = message
        *parents, last = path.split(".")
        for parent in parents:
            inner = place.setdefault(parent, {})
            if not isinstance(inner, dict):
                inner = place[parent] = {}
            place = inner
        place[last] = text
    if not message:
        raise InvalidInput("Pixel address", "carries no message.", "Add data= or parameters such as event=.")
    return message
