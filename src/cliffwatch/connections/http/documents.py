"""Sources, destinations and their catalogue as Segment's Public API shows them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cliffwatch.accounts import Workspace
from cliffwatch.connections.delivery.kinds import KINDS, DestinationKind
from cliffwatch.connections.http.asking import Asked
from cliffwatch.connections.model import Destination
from cliffwatch.errors import InvalidInput, NotFound
from cliffwatch.ingest import Source
from cliffwatch.notify.outbound import check_url
from cliffwatch.spec.fql import compile_filter

_LOGOS = {"default": "", "mark": None, "alt": None}
_SOURCE_METADATA = {
    "id": "iUM16Md8P2",
    "name": "HTTP API",
    "slug": "http-api",
    "description": "Any Segment SDK, or plain HTTP.",
    "logos": _LOGOS,
    "options": [],
    "categories": ["Server"],
    "isCloudEventSource": False,
}
SEND = "send"
ACTIONS = {"webhook": "dhvS6FEMy3jHVJjGKKyZ1h", "cliffwatch": "cliffwatch-send"}
"""Ids of the one action that each kind has."""


def workspace(found: Workspace) -> dict[str, Any]:
    return {"id": str(found.id), "name": found.name, "slug": found.slug}


def source(found: Source, *, with_keys: bool = True) -> dict[str, Any]:
    keys = [key.key for key in found.write_keys if key.revoked_ms is None]
    return {
        "id": str(found.id),
        "slug": found.slug,
        "name": found.name,
        "workspaceId": str(found.workspace_id),
        "enabled": found.enabled,
        "writeKeys": keys if with_keys else [],
        "metadata": _SOURCE_METADATA,
        "settings": {},
        "labels": [],
    }


def destination(found: Destination, *, with_secrets: bool = True) -> dict[str, Any]:
    kind = KINDS[found.kind]
    settings = dict(found.settings)
    if not with_secrets:
        settings = {name: "•••" if _is_secret(kind, name) and value else value for name, value in settings.items()}
    return {
        "id": str(found.id),
        "name": found.name,
        "enabled": found.enabled,
        "sourceId": str(found.source_id),
        "settings": settings,
        "metadata": metadata(kind),
    }


def metadata(kind: DestinationKind) -> dict[str, Any]:
    """The catalogue's entry of a kind of destination."""
    return {
        "id": kind.metadata_id,
        "name": kind.name,
        "slug": kind.key,
        "description": kind.summary,
        "logos": _LOGOS,
        "options": [
            {
                "name": item.name,
                "type": item.type,
                "required": item.required,
                "label": item.label,
                "description": item.help,
                "defaultValue": "",
            }
            for item in kind.fields
        ],
        "status": "PUBLIC",
        "previousNames": [],
        "categories": ["Analytics"],
        "website": "https://segment.com",
        "components": [],
        "supportedFeatures": {"cloudModeInstances": "MULTIPLE", "deviceModeInstances": "NONE", "replay": False},
        "supportedMethods": {"pageview": True, "identify": True, "alias": False, "track": True, "group": True},
        "supportedPlatforms": {"browser": True, "server": True, "mobile": True},
        "actions": [
            {
                "id": ACTIONS[kind.key],
                "slug": SEND,
                "name": "Send",
                "description": kind.summary,
                "platform": "CLOUD",
                "hidden": False,
                "defaultTrigger": None,
                "fields": [],
            }
        ],
        "presets": [],
        "contacts": [],
        "partnerOwned": False,
        "supportedRegions": ["us-west-2", "eu-west-1"],
        "regionEndpoints": ["US", "EU"],
    }


def subscription(found: Destination, mapping: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": mapping["id"],
        "name": mapping["name"],
        "actionId": ACTIONS[found.kind],
        "actionSlug": SEND,
        "destinationId": str(found.id),
        "enabled": mapping["enabled"],
        "settings": mapping["settings"],
        "trigger": mapping["trigger"],
    }


def mapping(found: Destination, given: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """A subscription as it is kept. Raises InvalidInput naming the field."""
    if "actionId" in given and given["actionId"] != ACTIONS[found.kind]:
        raise InvalidInput("actionId", "is not an action of this destination.", f"It has: {ACTIONS[found.kind]}.")
    settings = given.get("settings", before.get("settings", {}))
    if not isinstance(settings, Mapping):
        raise InvalidInput("settings", "must be an object.")
    if found.kind == "webhook":
        check_url("settings.url", str(settings.get("url", "")))
    trigger = str(given.get("trigger", before.get("trigger", "")))
    try:
        compile_filter(trigger)
    except InvalidInput as error:
        raise InvalidInput("trigger", f"is not one: {error}") from error
    name = str(given.get("name") or before.get("name") or "Send events")[:200]
    return {
        "id": before["id"],
        "name": name,
        "enabled": bool(given.get("enabled", before.get("enabled", True))),
        "trigger": trigger,
        "settings": dict(settings),
    }


def one_mapping(mappings: Sequence[Mapping[str, Any]], asked: Asked) -> Mapping[str, Any]:
    """The subscription that the path names. Raises NotFound."""
    for one in mappings:
        if str(one["id"]) == asked.path["subscription"]:
            return one
    raise NotFound(f"Subscription {asked.path['subscription']}", "does not exist on this destination.")


def _is_secret(kind: DestinationKind, name: str) -> bool:
    return any(item.name == name and item.secret for item in kind.fields)
