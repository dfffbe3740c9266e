"""The kinds of destinations: what each is set up with, and the request that carries events to it. Pure.

A new kind is one class with `requests` and one line in `KINDS`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from cliffwatch.connections.model import Destination
from cliffwatch.errors import InvalidInput
from cliffwatch.notify.outbound import check_url

BATCH_BYTES = 400_000
BATCH_EVENTS = 1_000


@dataclass(frozen=True, slots=True)
class SettingField:
    """One setting of a kind, as forms, the catalogue and the Config API show it."""

    name: str
    label: str
    help: str
    required: bool
    secret: bool = False
    type: str = "string"


@dataclass(frozen=True, slots=True)
class Parcel:
    """One HTTP request with `count` events, the first ones of what was given."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    count: int


class DestinationKind(Protocol):
    """What a kind must say of itself, and do."""

    @property
    def key(self) -> str: ...

    @property
    def metadata_id(self) -> str:
        """Segment's id of this destination in its catalogue."""
        ...

    @property
    def name(self) -> str:
        """What an event's `integrations` call it."""
        ...

    @property
    def summary(self) -> str: ...

    @property
    def fields(self) -> Sequence[SettingField]: ...

    def check(self, settings: Mapping[str, Any]) -> None:
        """Raises InvalidInput naming the setting."""
        ...

    def parcels(self, destination: Destination, bodies: Sequence[bytes], now: int) -> Iterator[Parcel]:
        """The requests that carry these events (JSON), in order, none larger than the other side takes."""
        ...


@dataclass(frozen=True, slots=True)
class Cliffwatch:
    """Another Cliffwatch: arrays of events, as Segment delivers them, with the API key of a source."""

    key: str = "cliffwatch"
    metadata_id: str = "603bebf26429db1da7b36150"
    name: str = "Cliffwatch"
    summary: str = "Notices unexpected changes in the events and says what caused them."
    fields: Sequence[SettingField] = field(
        default=(
            SettingField(
                "apiKey",
                "API Key",
                "The key of the source over there that takes these events. Cliffwatch fills it in when you click "
                "Allow; paste another one only when that source’s key was rotated.",
                True,
                True,
            ),
            SettingField("endpoint", "Address", "Where events are posted: https://host/deliveries/direct", True),
        )
    )

    def check(self, settings: Mapping[str, Any]) -> None:
        _check(self, settings)
        check_url("endpoint", str(settings["endpoint"]))

    def parcels(self, destination: Destination, bodies: Sequence[bytes], now: int) -> Iterator[Parcel]:  # noqa: ARG002
        key = str(destination.settings.get("apiKey", ""))
        headers = {
            "authorization": "Basic " + base64.b64encode(f"{key}:".encode()).decode(),
            "content-type": "application/json",
        }
        for part in in_parts(bodies, BATCH_EVENTS):
            body = b"[%b]" % b",".join(part)
            yield Parcel("POST", str(destination.settings.get("endpoint", "")), headers, body, len(part))


@dataclass(frozen=True, slots=True)
class Webhook:
    """Segment's Webhooks (Actions): each mapping names an address; events come alone or as an array."""

    key: str = "webhook"
    metadata_id: str = "614a3c7d791c91c41bae7599"
    name: str = "Webhooks (Actions)"
    summary: str = "Sends events to an address of yours as JSON, signed with a shared secret."
    fields: Sequence[SettingField] = field(
        default=(
            SettingField(
                "sharedSecret",
                "Shared secret",
                "Each request is signed with it: X-Signature is the HMAC-SHA1 of its first event, in hexadecimal.",
                False,
                True,
            ),
        )
    )

    def check(self, settings: Mapping[str, Any]) -> None:
        _check(self, settings)

    def parcels(self, destination: Destination, bodies: Sequence[bytes], now: int) -> Iterator[Parcel]:  # noqa: ARG002
        secret = str(destination.settings.get("sharedSecret", ""))
        for mapping in destination.mappings[:1]:  # its lane has one; see decide.lanes
            settings = mapping.get("settings") or {}
            size = int(settings.get("batch_size") or BATCH_EVENTS) if settings.get("enable_batching", True) else 1
            for part in in_parts(bodies, max(1, min(size, 4_000))):
                body = part[0] if size == 1 else b"[%b]" % b",".join(part)
                headers = {str(k).lower(): str(v) for k, v in (settings.get("headers") or {}).items()}
                headers["content-type"] = "application/json"
                if secret:
                    headers["x-signature"] = hmac.new(secret.encode(), part[0], hashlib.sha1).hexdigest()
                yield Parcel(
                    str(settings.get("method") or "POST"), str(settings.get("url", "")), headers, body, len(part)
                )


_ALL: Sequence[DestinationKind] = (Cliffwatch(), Webhook())
KINDS: Mapping[str, DestinationKind] = {kind.key: kind for kind in _ALL}


def by_metadata_id(metadata_id: str) -> DestinationKind:
    """Raises InvalidInput for an id that is none of ours."""
    for kind in KINDS.values():
        if metadata_id in (kind.metadata_id, kind.key):
            return kind
    known = ", ".join(f"{kind.metadata_id} ({kind.name})" for kind in KINDS.values())
    raise InvalidInput("metadataId", "is not a destination of this workspace.", f"It has: {known}.")


def in_parts(bodies: Sequence[bytes], most: int) -> Iterator[Sequence[bytes]]:
    """Runs of at most `most` events and about BATCH_BYTES, at least one event each."""
    part: list[bytes] = []
    size = 0
    for body in bodies:
        if part and (len(part) >= most or size + len(body) > BATCH_BYTES):
            yield part
            part, size = [], 0
        part.append(body)
        size += len(body) + 1
    if part:
        yield part


def _check(kind: DestinationKind, settings: Mapping[str, Any]) -> None:
    known = {item.name for item in kind.fields}
    for name, value in settings.items():
        if name not in known:
            raise InvalidInput(f"settings.{name}", f"is not a setting of {kind.name}.", f"It has: {', '.join(known)}.")
        if not isinstance(value, str) or len(value) > 2_000:
            raise InvalidInput(f"settings.{name}", "must be a text of at most 2,000 characters.")
    for item in kind.fields:
        if item.required and not str(settings.get(item.name, "")).strip():
            raise InvalidInput(f"settings.{item.name}", "is required.", item.help)
