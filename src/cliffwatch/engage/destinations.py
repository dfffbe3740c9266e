"""The kinds of places that a computation can be sent to, and the requests that carry it there.

A new kind is one class and one line in `KINDS`. `cliffwatch` needs no request: what it sends enters the chosen source's
stream of events as if it had been imported.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from cliffwatch.connections.delivery.kinds import BATCH_EVENTS, Parcel, SettingField, in_parts
from cliffwatch.errors import InvalidInput
from cliffwatch.notify.channels.webhook.channel import WebhookSettings, signed
from cliffwatch.notify.outbound import check_url


class SyncKind(Protocol):
    """What a kind must say of itself, and do."""

    @property
    def key(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def fields(self) -> Sequence[SettingField]: ...

    def check(self, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """The settings as they are kept. Raises InvalidInput naming the setting."""
        ...

    def parcels(self, settings: Mapping[str, Any], key: str, bodies: Sequence[bytes], now: int) -> Iterator[Parcel]:
        """The requests that carry these messages. `key` names them: the same at each attempt."""
        ...


@dataclass(frozen=True, slots=True)
class CliffwatchKind:
    """A source of this workspace: its data streams measure what arrives."""

    key: str = "cliffwatch"
    name: str = "A source of this workspace"
    fields: Sequence[SettingField] = field(
        default=(SettingField("source", "Source", "Its data streams of spec type Identify can measure it.", True),)
    )

    def check(self, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        source = str(settings.get("source", ""))
        if not (source.isascii() and source.isdigit() and len(source) < 19):
            raise InvalidInput("source", "is the source that the events enter.", "Choose one of the list.")
        return {"source": int(source)}

    def parcels(self, settings: Mapping[str, Any], key: str, bodies: Sequence[bytes], now: int) -> Iterator[Parcel]:  # noqa: ARG002
        return iter(())


@dataclass(frozen=True, slots=True)
class SegmentKind:
    """Any server that speaks Segment's tracking API, with the write key of a source there."""

    key: str = "segment"
    name: str = "Segment, or what speaks its tracking API"
    fields: Sequence[SettingField] = field(
        default=(
            SettingField("endpoint", "Address", "Up to /v1: https://api.segment.io/v1", True),
            SettingField("write_key", "Write key", "Of the source there that takes the events.", True, True),
        )
    )

    def check(self, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        endpoint = str(settings.get("endpoint", "")).strip().rstrip("/")
        check_url("endpoint", endpoint)
        write_key = str(settings.get("write_key", "")).strip()
        if not write_key:
            raise InvalidInput("write_key", "is required.", "It stands in the settings of the source there.")
        return {"endpoint": endpoint, "write_key": write_key}

    def parcels(self, settings: Mapping[str, Any], key: str, bodies: Sequence[bytes], now: int) -> Iterator[Parcel]:  # noqa: ARG002
        token = base64.b64encode(f"{settings['write_key']}:".encode()).decode()
        headers = {"authorization": f"Basic {token}", "content-type": "application/json"}
        for part in in_parts(bodies, BATCH_EVENTS):
            body = b'{"batch":[%b]}' % b",".join(part)
            yield Parcel("POST", f"{settings['endpoint']}/batch", headers, body, len(part))


@dataclass(frozen=True, slots=True)
class WebhookKind:
    """An address that takes arrays of events, signed as Standard Webhooks."""

    key: str = "webhook"
    name: str = "A signed webhook"
    fields: Sequence[SettingField] = field(
        default=(
            SettingField("url", "Address", "Events are posted there as a JSON array.", True),
            SettingField("secret", "Signing secret", "whsec_… of Standard Webhooks; empty makes one.", False, True),
        )
    )

    def check(self, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        made = WebhookSettings(url=str(settings.get("url", "")).strip(), secret=str(settings.get("secret", "")).strip())
        complete = made.checked(secrets.token_bytes)
        return {"url": complete.url, "secret": complete.secret}

    def parcels(self, settings: Mapping[str, Any], key: str, bodies: Sequence[bytes], now: int) -> Iterator[Parcel]:
        for place, part in enumerate(in_parts(bodies, BATCH_EVENTS)):
            body = b"[%b]" % b",".join(part)
            headers = signed(str(settings["secret"]), f"{key}-{place}", now, body.decode())
            yield Parcel("POST", str(settings["url"]), headers, body, len(part))


_ALL: Sequence[SyncKind] = (CliffwatchKind(), SegmentKind(), WebhookKind())
KINDS: Mapping[str, SyncKind] = {kind.key: kind for kind in _ALL}
