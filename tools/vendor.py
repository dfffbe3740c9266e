"""Brings the pages' assets from npm into the repository, pinned and hashed, so that no page ever asks another server.

    python tools/vendor.py           fetch every package of VENDOR.toml, check its hash, lay its files down
    python tools/vendor.py --check   compare the files in the repository with FILES.sha256; no network
    python tools/vendor.py --pin     fetch, and write the hash of what came into VENDOR.toml

Needs `npm` for fetching (npm pack; nothing of a package is ever run). Licence texts lie in `licences/`.
"""

from __future__ import annotations

import argparse
import fnmatch
import hashlib
import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent
MANIFEST = ROOT / "src/cliffwatch/web/static/vendor/VENDOR.toml"
SUMS = "FILES.sha256"
SVG = "{http://www.w3.org/2000/svg}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare the files on disk with their sums")
    parser.add_argument("--pin", action="store_true", help="accept what npm delivers and write its hash down")
    arguments = parser.parse_args()
    packages = tomllib.loads(MANIFEST.read_text())["package"]
    if arguments.check:
        sys.exit("\n".join(differences(packages)) or 0)
    files: dict[Path, bytes] = {}
    for package in packages:
        tarball = fetch(package["name"], package["version"])
        digest = hashlib.sha256(tarball).hexdigest()
        if arguments.pin:
            pin(package["name"], digest)
        elif digest != package["sha256"]:
            sys.exit(f"{package['name']}: sha256 is {digest}, VENDOR.toml says {package['sha256']}")
        files.update(contents(package, tarball))
        print(f"{package['name']} {package['version']}")
    lay_down(files)


def fetch(name: str, version: str) -> bytes:
    """The package's tarball, from whatever registry npm is configured for."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["npm", "pack", f"{name}@{version}", "--silent"], cwd=folder, check=True, stdout=subprocess.PIPE)
        return next(Path(folder).glob("*.tgz")).read_bytes()


def contents(package: Mapping[str, Any], tarball: bytes) -> Iterator[tuple[Path, bytes]]:
    """What the package lays down: path in the repository -> bytes."""
    folder = ROOT / package["folder"]
    inside = unpack(tarball)
    yield folder / "licences" / f"{package['name'].replace('/', '__').lstrip('@')}.txt", inside[package["licence_file"]]
    for name in package.get("files", ()):
        yield folder / Path(name).name, inside[name]
    for pattern, target in package.get("rename", {}).items():
        for name in fnmatch.filter(inside, pattern):
            yield folder / (f"{target}{Path(name).name}" if target.endswith("/") else target), inside[name]
    if "sprite" in package:
        yield folder / package["sprite"], sprite({name: inside[f"icons/{name}.svg"] for name in package["icons"]})


def unpack(tarball: bytes) -> dict[str, bytes]:
    """Every regular file of an npm tarball, by its path below `package/`. Nothing is written to disk."""
    with tempfile.TemporaryFile() as spool:
        spool.write(tarball)
        spool.seek(0)
        with tarfile.open(fileobj=spool) as archive:
            members = [(member.name.partition("/")[2], archive.extractfile(member)) for member in archive.getmembers()]
            return {name: stream.read() for name, stream in members if stream is not None}


def sprite(icons: Mapping[str, bytes]) -> bytes:
    """One SVG with a symbol per icon."""
    symbols = []
    for name, svg in sorted(icons.items()):
        shapes = [re.sub(r'\s?xmlns(:\w+)?="[^"]*"', "", serialised(shape)) for shape in ElementTree.fromstring(svg)]
        symbols.append(f'<symbol id="{name}" viewBox="0 0 24 24">{"".join(shapes)}</symbol>')
    return ('<svg xmlns="http://www.w3.org/2000/svg">\n' + "\n".join(symbols) + "\n</svg>\n").encode()


def serialised(shape: ElementTree.Element) -> str:
    shape.tag, shape.tail = shape.tag.removeprefix(SVG), None
    return ElementTree.tostring(shape, encoding="unicode")


def pin(name: str, digest: str) -> None:
    text = MANIFEST.read_text()
    block = re.compile(rf'(name = "{re.escape(name)}"\n.*?\nsha256 = ")[^"]*"', re.DOTALL)
    MANIFEST.write_text(block.sub(rf'\g<1>{digest}"', text, count=1))


def lay_down(files: Mapping[Path, bytes]) -> None:
    """Write the files and, in each folder, the sums of what lies there; forget what no package brings now."""
    for folder in {manifest_folder(path) for path in files}:
        own = {path: content for path, content in files.items() if path.is_relative_to(folder)}
        for old in listed(folder):
            if folder / old not in own:
                (folder / old).unlink(missing_ok=True)
        for path, content in own.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        sums = {path.relative_to(folder).as_posix(): hashlib.sha256(own[path]).hexdigest() for path in sorted(own)}
        (folder / SUMS).write_text("".join(f"{digest}  {name}\n" for name, digest in sums.items()))


def manifest_folder(path: Path) -> Path:
    return next(parent for parent in path.parents if parent.name == "vendor")


def listed(folder: Path) -> dict[str, str]:
    """Path -> sha256 of what FILES.sha256 of a folder names."""
    sums = folder / SUMS
    if not sums.exists():
        return {}
    return {name: digest for digest, name in (line.split("  ", 1) for line in sums.read_text().splitlines())}


def differences(packages: list[Mapping[str, Any]]) -> list[str]:
    """What in the repository is not as it was laid down; empty when all is well."""
    found = []
    for folder in sorted({ROOT / package["folder"] for package in packages}):
        for name, digest in listed(folder).items():
            path = folder / name
            if not path.exists():
                found.append(f"{path.relative_to(ROOT)} is missing")
            elif hashlib.sha256(path.read_bytes()).hexdigest() != digest:
                found.append(f"{path.relative_to(ROOT)} was changed")
        known = {*listed(folder), SUMS, MANIFEST.name}
        strange = (path for path in sorted(folder.rglob("*")) if path.is_file())
        found += [
            f"{path.relative_to(ROOT)} belongs to no package"
            for path in strange
            if path.relative_to(folder).as_posix() not in known
        ]
    return found


if __name__ == "__main__":
    main()
