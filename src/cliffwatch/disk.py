"""Files that outlast a crash, and locks that end with their process."""

from __future__ import annotations

import fcntl
import os
from collections import deque
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

_AT_ONCE = 1024
"""Pieces that the system takes in one call (IOV_MAX)."""


def sync(path: Path) -> None:
    """Make a file, or a folder's entries, durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write(path: Path, pieces: Iterable[bytes], *, replace: bool = True) -> None:
    """Write a file durably, readable by its owner alone. Its entry in the folder is durable after `sync(path.parent)`.

    Raises FileExistsError for a file that is there and must not be replaced.
    """
    handle = os.open(path, os.O_CREAT | os.O_WRONLY | (os.O_TRUNC if replace else os.O_EXCL), 0o600)
    try:
        for piece in pieces:
            write_all(handle, piece)
        os.fsync(handle)
    finally:
        os.close(handle)


def write_all(handle: int, *pieces: bytes) -> None:
    """Write every byte of the pieces, one after the other; a single write may take only some of them."""
    left: deque[bytes | memoryview] = deque(pieces)
    while left:
        written = os.writev(handle, [*islice(left, _AT_ONCE)])
        while left and written >= len(left[0]):
            written -= len(left.popleft())
        if written:
            left[0] = memoryview(left[0])[written:]


def lock(path: Path) -> int | None:
    """Take the lock of a file, which is made if need be. It is held until the handle is closed, or the process ends.

    None when somebody else has it.
    """
    handle = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        return None
    return handle


def is_locked(path: Path) -> bool:
    """Whether somebody has the lock of this file."""
    if not path.exists():
        return False
    handle = lock(path)
    if handle is None:
        return True
    os.close(handle)
    return False
