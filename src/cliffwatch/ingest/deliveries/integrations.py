"""Segment's `integrations` object: which destinations a message is for (segment-spec, 1.9 and 4.3). Pure."""

from __future__ import annotations

from collections.abc import Collection


def is_for(integrations: object, names: Collection[str]) -> bool:
    """Whether a message is for the destination with one of these names (case counts).

    A destination's own entry decides; without one `All` does; without either it is for everyone. Engage sends
    `{"All": false, "<destination>": true}`.
    """
    if not isinstance(integrations, dict):
        return True
    own = [integrations[name] for name in names if name in integrations]
    if own:
        return any(entry is not False and entry is not None for entry in own)
    everyone = integrations.get("All", integrations.get("all", True))
    return everyone is not False
