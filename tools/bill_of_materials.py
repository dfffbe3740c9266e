"""The bill of materials of an installation, and what is known against it; both without a network.

    python tools/bill_of_materials.py                       print it: CycloneDX 1.6, as JSON
    python tools/bill_of_materials.py --advisories PATH     look it up in advisories; ends with 1 if one holds

It is what requirements.lock and VENDOR.toml pin: the same input gives the same bytes. Licences are those that the
installed packages say. Advisories are OSV records (https://ossf.github.io/osv-schema/): a folder of JSON files, or a
zip of them, as osv.dev publishes one for PyPI and one for npm. Fetch that where there is a network, and carry it over.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tomllib
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
ECOSYSTEMS = {"pypi": "PyPI", "npm": "npm"}


@dataclass(frozen=True, slots=True)
class Component:
    """One package. `kind` is pypi or npm; `hashes` are SHA-256 of the files that may be installed, in hexadecimal."""

    kind: str
    name: str
    version: str
    hashes: tuple[str, ...]
    licence: str

    @property
    def purl(self) -> str:
        return f"pkg:{self.kind}/{self.name.replace('@', '%40')}@{self.version}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--advisories", type=Path, metavar="PATH", help="a folder of OSV records, or a zip of them")
    given = parser.parse_args()
    found = components(ROOT)
    if given.advisories is None:
        print(json.dumps(document(found, project(ROOT)), indent=2))
        return 0
    table, records = Table("package", "version", "advisory", "fixed in", "what"), 0
    for record in advisories(given.advisories):
        records += 1
        for one in found:
            if holds(record, one):
                table.add_row(one.name, one.version, record["id"], fixed_in(record, one), record.get("summary", ""))
    if not records:
        sys.exit(f"{given.advisories} holds no advisory. Give a folder or a zip of OSV records (*.json).")
    Console(width=110).print(f"{len(found)} packages, {records:,} advisories", table if table.rows else "None holds.")
    return 1 if table.rows else 0


def project(root: Path) -> Mapping[str, Any]:
    declared: Mapping[str, Any] = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    return declared


def components(root: Path) -> list[Component]:
    """What the lock file and the manifest of the pages' assets pin, by purl. What only tests need is not among it."""
    entries = re.split(r"^(?=\S)", (root / "requirements.lock").read_text(), flags=re.M)
    found = [of_lock(entry) for entry in entries if "==" in entry.partition("\n")[0]]
    manifest = tomllib.loads((root / "src/cliffwatch/web/static/vendor/VENDOR.toml").read_text())
    found += [
        Component("npm", one["name"], one["version"], (one["sha256"],), one["licence"])
        for one in manifest["package"]
        if one["folder"].startswith("src/")
    ]
    return sorted(found, key=lambda one: one.purl)


def of_lock(entry: str) -> Component:
    name, version = re.match(r"([\w.-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", entry).groups()  # type: ignore[union-attr]
    return Component(
        "pypi", canonicalize_name(name), version, tuple(re.findall(r"sha256:([0-9a-f]{64})", entry)), licence_of(name)
    )


def licence_of(name: str) -> str:
    """What the installed package says of itself; "" where it is not installed, as those for other systems."""
    try:
        told = metadata(name)
    except PackageNotFoundError:
        return ""
    plain = (told.get("License") or "").strip().partition("\n")[0]
    listed = [one.rpartition(" :: ")[2] for one in told.get_all("Classifier", []) if one.startswith("License ::")]
    return told.get("License-Expression") or ", ".join(listed) or plain[:100]


def document(found: Sequence[Component], declared: Mapping[str, Any]) -> dict[str, Any]:
    """As CycloneDX 1.6 (https://cyclonedx.org/docs/1.6/json/)."""
    own = f"pkg:pypi/{declared['name']}@{declared['version']}"
    serial = uuid5(NAMESPACE_URL, "\n".join((own, *(f"{one.purl} {' '.join(one.hashes)}" for one in found))))
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": own,
                "name": declared["name"],
                "version": declared["version"],
                "purl": own,
                "licenses": [{"license": {"id": declared["license"]}}],
            }
        },
        "components": [
            {
                "type": "library",
                "bom-ref": one.purl,
                "name": one.name,
                "version": one.version,
                "purl": one.purl,
                **({"licenses": [{"license": {"name": one.licence}}]} if one.licence else {}),
                "externalReferences": [
                    {
                        "type": "distribution",
                        "url": one.purl,
                        "hashes": [{"alg": "SHA-256", "content": content} for content in one.hashes],
                    }
                ],
            }
            for one in found
        ],
        "dependencies": [{"ref": own, "dependsOn": [one.purl for one in found]}],
    }


def advisories(path: Path) -> Iterator[dict[str, Any]]:
    """OSV records that are not withdrawn."""
    if path.is_dir():
        texts: Iterator[bytes] = (file.read_bytes() for file in sorted(path.rglob("*.json")))
    else:
        archive = zipfile.ZipFile(path)
        texts = (archive.read(name) for name in sorted(archive.namelist()) if name.endswith(".json"))
    for text in texts:
        record = json.loads(text)
        if "withdrawn" not in record:
            yield record


def holds(record: Mapping[str, Any], one: Component) -> bool:
    """Whether a record speaks of this package in this version."""
    return any(_includes(affected, one) for affected in _of(record, one))


def fixed_in(record: Mapping[str, Any], one: Component) -> str:
    """The versions that no longer have it, "" when there is none."""
    events = (event for affected in _of(record, one) for each in affected.get("ranges", ()) for event in each["events"])
    return ", ".join(
        event["fixed"] for event in events if "fixed" in event and not _before(event["fixed"], one.version)
    )


def _of(record: Mapping[str, Any], one: Component) -> Iterator[Mapping[str, Any]]:
    for affected in record.get("affected", ()):
        package = affected.get("package", {})
        name = package.get("name", "")
        same = (canonicalize_name(name) if one.kind == "pypi" else name) == one.name
        if same and package.get("ecosystem") == ECOSYSTEMS[one.kind]:
            yield affected


def _includes(affected: Mapping[str, Any], one: Component) -> bool:
    """https://ossf.github.io/osv-schema/#evaluation"""
    if one.version in affected.get("versions", ()):
        return True
    for each in affected.get("ranges", ()):
        if each["type"] == "GIT":
            continue
        inside = False
        for event in each["events"]:  # by the schema, in the order of versions
            if "introduced" in event:
                inside = inside or not _before(one.version, event["introduced"])
            elif "fixed" in event:
                inside = inside and _before(one.version, event["fixed"])
            elif "last_affected" in event:
                inside = inside and not _before(event["last_affected"], one.version)
        if inside:
            return True
    return False


def _before(left: str, right: str) -> bool:
    """What cannot be compared is not before: rather one advisory too many."""
    try:
        return right != "0" and Version(left) < Version(right)
    except InvalidVersion:
        return False


if __name__ == "__main__":
    sys.exit(main())
