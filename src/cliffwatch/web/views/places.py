"""Time zones and countries as forms offer them, and which country a zone lies in. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from cliffwatch.accounts import countries, time_zones

REGIONS = ("Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific")


@dataclass(frozen=True, slots=True)
class Zone:
    """`country` is "" where a zone belongs to none, such as UTC."""

    name: str
    label: str
    country: str


@cache
def zone_groups() -> tuple[tuple[str, tuple[Zone, ...]], ...]:
    """Time zones by region, as a select shows them: UTC first, what has no region last."""
    home = _countries_of_zones()
    groups: dict[str, list[Zone]] = {"General": [], **{region: [] for region in REGIONS}, "Other": []}
    for name in sorted(time_zones()):
        region = "General" if name == "UTC" else name.partition("/")[0]
        zone = Zone(name, name.replace("_", " "), home.get(name, ""))
        groups[region if region in groups else "Other"].append(zone)
    return tuple((region, tuple(zones)) for region, zones in groups.items() if zones)


@cache
def country_names() -> tuple[tuple[str, str], ...]:
    """(code, name) by name."""
    return tuple(sorted(countries().items(), key=lambda pair: pair[1]))


@cache
def _countries_of_zones() -> Mapping[str, str]:
    """Zone -> ISO 3166-1 code, from the time zone database's own table."""
    lines = (files("tzdata") / "zoneinfo" / "zone.tab").read_text("utf-8").splitlines()
    rows = (line.split("\t") for line in lines if line and not line.startswith("#"))
    return {row[2]: row[0] for row in rows}
