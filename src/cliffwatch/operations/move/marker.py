"""What a data folder says of where its embedded stores have moved: nobody goes on in the old ones by mistake."""

from __future__ import annotations

from pathlib import Path

import msgspec

from cliffwatch import disk
from cliffwatch.errors import InvalidInput
from cliffwatch.settings import Settings

FILE = "moved.json"


class Moved(msgspec.Struct, frozen=True):
    """Where to, without passwords; empty for what has not moved."""

    store: str
    metadata: str
    at_ms: int


def mark_moved(data_dir: Path, moved: Moved) -> None:
    disk.write(data_dir / FILE, [msgspec.json.format(msgspec.json.encode(moved)), b"\n"])
    disk.sync(data_dir)


def refuse_moved(settings: Settings) -> None:
    """Raise InvalidInput when these settings use an embedded store that has moved away."""
    path = settings.data_dir / FILE
    try:
        moved = msgspec.json.decode(path.read_bytes(), type=Moved)
    except FileNotFoundError:
        return
    stores = (moved.store, settings.store, "STORE"), (moved.metadata, settings.metadata_url, "METADATA_URL")
    for there, given, name in stores:
        if there and not given:
            raise InvalidInput(
                f"data folder {settings.data_dir}",
                f"has moved to {there}.",
                f"Set CLIFFWATCH_{name}; or delete {path} to go on with what was here before.",
            )
