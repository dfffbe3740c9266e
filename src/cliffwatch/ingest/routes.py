"""Which request concerns the tracking API. Pure.

SDKs append to whatever host they were given, so any prefix may stand before `/v1`, slashes may be doubled or trail,
and no answer is ever a redirect: two SDKs would follow it without their events (segment-spec, 1.1).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from cliffwatch.spec.model import SpecType
from cliffwatch.spec.remembered import remembered


class Target(enum.Enum):
    """What a path stands for."""

    TRACKING = enum.auto()  # one message or a batch
    SELF_METRICS = enum.auto()  # the SDKs' own counters
    PIXEL = enum.auto()
    SETTINGS = enum.auto()
    SCRIPT = enum.auto()  # analytics.min.js and its lazy chunks
    OAUTH_TOKEN = enum.auto()
    WEBHOOK = enum.auto()  # Segment delivers, one event or a batch
    DIRECT = enum.auto()  # Segment delivers, one event a request

    @property
    def methods(self) -> str:
        """What may be asked of it, as the Allow header says it."""
        posts = (Target.TRACKING, Target.SELF_METRICS, Target.OAUTH_TOKEN, Target.DIRECT)
        if self is Target.WEBHOOK:
            return "POST, PUT, PATCH, OPTIONS"
        return "POST, OPTIONS" if self in posts else "GET, HEAD, OPTIONS"


@dataclass(frozen=True, slots=True)
class Route:
    target: Target
    spec_type: SpecType | None = None
    key: str = ""  # write key or token in the path
    prefix: str = ""  # what stands before the first part that is ours, without a trailing slash
    file: str = ""  # of SCRIPT: the path below the vendored folder


_LONG = {str(spec_type): spec_type for spec_type in SpecType}
_TRACKING: dict[str, SpecType | None] = {
    **_LONG,
    **{name[0]: spec_type for name, spec_type in _LONG.items()},
    "batch": None,
    "b": None,
    "import": None,
}
# `alias` shares its letter with nothing else; the first letters t p s i g a are all distinct.


@remembered(most=4096, longest=300)
def route(path: str) -> Route | None:
    """The tracking API's route of a decoded path, None when the path is not ours."""
    parts = [part for part in path.split("/") if part]
    if len(parts) >= 2 and parts[-2] == "v1":
        prefix = _prefix(parts, 2)
        if parts[-1] in _TRACKING:
            return Route(Target.TRACKING, _TRACKING[parts[-1]], prefix=prefix)
        if parts[-1] == "m":
            return Route(Target.SELF_METRICS, prefix=prefix)
    if parts[-1:] and parts[-1] in _LONG and (parts[-3:-1] == ["api", "s"] or parts[-4:-1] == ["api", "s", "s2s"]):
        own = 3 if parts[-2] == "s" else 4
        return Route(Target.TRACKING, _LONG[parts[-1]], prefix=_prefix(parts, own))  # where Jitsu's own SDK posts
    if len(parts) >= 3 and parts[-3:-1] == ["v1", "pixel"] and parts[-1] in _LONG:
        return Route(Target.PIXEL, _LONG[parts[-1]], prefix=_prefix(parts, 3))
    if len(parts) >= 4 and parts[-4:-2] == ["v1", "projects"] and parts[-1] == "settings":
        return Route(Target.SETTINGS, key=parts[-2], prefix=_prefix(parts, 4))
    if parts == ["token"]:
        return Route(Target.OAUTH_TOKEN)
    return _delivery(parts) or _script(parts)


def _delivery(parts: list[str]) -> Route | None:
    if len(parts) >= 3 and parts[-3:-1] == ["deliveries", "webhook"]:
        return Route(Target.WEBHOOK, key=parts[-1], prefix=_prefix(parts, 3))
    if parts[-2:] == ["deliveries", "webhook"]:  # its token is in a header
        return Route(Target.WEBHOOK, prefix=_prefix(parts, 2))
    if parts[-2:] == ["deliveries", "direct"]:
        return Route(Target.DIRECT, prefix=_prefix(parts, 2))
    return None


def _script(parts: list[str]) -> Route | None:
    if parts and parts[-1] == "analytics.min.js":
        words = [part for part in parts[:-1] if part != "platform"]
        if len(words) >= 3 and words[-3:-1] == ["analytics.js", "v1"]:
            return Route(Target.SCRIPT, key=words[-1], prefix=_prefix(words, 3), file="analytics.min.js")
    if len(parts) >= 3 and parts[-3:-1] == ["analytics-next", "bundles"] and parts[-1].endswith(".js"):
        return Route(Target.SCRIPT, prefix=_prefix(parts, 3), file=f"analytics-next/bundles/{parts[-1]}")
    return None


def _prefix(parts: list[str], own: int) -> str:
    before = parts[: len(parts) - own]
    return "/" + "/".join(before) if before else ""
