"""What a backup says of itself, and files that are copied so that a crash leaves none of them half-done."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path

import msgspec

from cliffwatch import disk
from cliffwatch.errors import InvalidInput

FILE = "manifest.json"
FORMAT = 1
_PIECE = 4_000_000


class Entry(msgspec.Struct, frozen=True):
    """A file of a backup."""

    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """`rows`: table of the event store -> its rows. `revision`: the newest migration of the metadata."""

    format: int
    cliffwatch: str
    made_ms: int
    revision: str
    rows: dict[str, int]
    files: dict[str, Entry]

    @classmethod
    def of(cls, folder: Path, *, made_ms: int, revision: str, rows: dict[str, int]) -> Manifest:
        """Of the files that the folder holds now."""
        files = {name: Entry(path.stat().st_size, sha256(path)) for name, path in files_of(folder)}
        return cls(FORMAT, version("cliffwatch"), made_ms, revision, rows, files)

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Raises InvalidInput when the folder is no backup, or one of a later version."""
        try:
            manifest = msgspec.json.decode((folder / FILE).read_bytes(), type=cls)
        except FileNotFoundError as error:
            raise InvalidInput(
                f"backup {folder}", f"is not one: it holds no {FILE}.", "Name the folder that `cliffwatch backup` made."
            ) from error
        except (OSError, msgspec.DecodeError) as error:
            raise InvalidInput(f"backup {folder}", f"cannot be read ({error}).", "Take another backup.") from error
        if manifest.format > FORMAT:
            raise InvalidInput(
                f"backup {folder}",
                f"was made by Cliffwatch {manifest.cliffwatch}, which writes a later format.",
                "Install that version, or a later one.",
            )
        return manifest

    def write(self, folder: Path) -> None:
        disk.write(folder / FILE, [msgspec.json.format(msgspec.json.encode(self)), b"\n"])
        disk.sync(folder)

    @property
    def size(self) -> int:
        return sum(entry.size for entry in self.files.values())


def files_of(folder: Path) -> Iterator[tuple[str, Path]]:
    """(name, path) of the files of a backup, without the manifest."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != FILE:
            yield path.relative_to(folder).as_posix(), path


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def copy(source: Path, target: Path) -> None:
    """Copy a file durably; readable by its owner alone."""
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with source.open("rb") as reading:
        disk.write(target, iter(partial(reading.read, _PIECE), b""))
