"""The journal: accepted requests on disk, in order, until the store has them.

Segment files `<base>.journal` hold a header and records; a record's offset counts bytes over the whole life of the
journal, so it stays valid when old segments are deleted. A record is its length, a checksum and a payload. A group of
records becomes durable with one fdatasync; only what was synced is ever read or acknowledged. A segment ends where the
next one begins, so what a failed write left behind is never seen.
"""

from __future__ import annotations

import os
import secrets
import struct
import threading
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import structlog
from xxhash import xxh3_64, xxh3_64_intdigest

from cliffwatch import disk
from cliffwatch.errors import Conflict, Unavailable
from cliffwatch.folder import LOCK

log = structlog.get_logger(__name__)

_HEADER = struct.Struct("<8sq")
_MAGIC = b"CLIFFWJ2"
_FAMILY = b"CLIFFWJ"
_BITS_32 = 0xFFFFFFFF
_FRAME = struct.Struct("<II")
SEGMENT_BYTES = 64_000_000
RECORD_LIMIT = 16_000_000
"""No record is longer; a length beyond it is damage."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Records read in one go: (offset, payload) in order, and where to go on. Payloads are views of what was read, and
    keep all of it."""

    records: list[tuple[int, memoryview]]
    next_offset: int


def frame(*pieces: bytes | memoryview) -> bytes:
    """A payload, which may come in pieces, as it lies on disk."""
    hashed = xxh3_64()
    for piece in pieces:
        hashed.update(piece)
    return b"".join((_FRAME.pack(sum(map(len, pieces)), hashed.intdigest() & _BITS_32), *pieces))


def _checksum(payload: bytes | memoryview) -> int:
    """The low 32 bits of XXH3-64 (Y. Collet, xxHash specification): a tenth of the time of zlib's CRC-32."""
    return xxh3_64_intdigest(payload) & _BITS_32


Check = Callable[[bytes | memoryview], int]
_CHECKSUMS: dict[bytes, Check] = {b"CLIFFWJ1": zlib.crc32, _MAGIC: _checksum}
"""How the records of a segment are checked, by how it begins; the first is of segments that older versions wrote."""


class Journal:
    """One folder in one process. `append` and `read` may run in different threads."""

    def __init__(self, folder: Path, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        self.folder = folder
        self.segment_bytes = segment_bytes
        self._lock = threading.Lock()  # guards _bases and end
        self._one_writer = threading.Lock()
        self._file: int | None = None
        self._written = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._guard = alone_in(folder)
            self.name = _name(folder)
            for half_done in folder.glob("*.rewritten"):
                half_done.unlink()
            self._bases = sorted(int(path.stem) for path in folder.glob("*.journal"))
            self.end = self._recover()
        except OSError as error:
            raise Unavailable(
                f"journal folder {folder}", f"cannot be used ({error.strerror}).", "Check its rights and the disk."
            ) from error

    def continue_from(self, absorbed: int) -> None:
        """Never give out an offset that the store counts as absorbed (the folder may be newer than the store)."""
        with self._lock:
            if absorbed > self.end:
                self.end = absorbed
                self._close_file()

    def append(self, records: Sequence[bytes]) -> None:
        """Make framed records durable together. Raises Unavailable, and then none of them is there."""
        size = sum(map(len, records))
        with self._one_writer:
            try:
                if self._file is None or self._written >= self.segment_bytes:
                    self._start_segment()
                assert self._file is not None
                disk.write_all(self._file, *records)
                os.fdatasync(self._file)
            except OSError as error:
                # After a failed sync nobody knows what the disk holds: the next group gets a new file.
                self._abandon_file()
                raise Unavailable(
                    "journal", f"cannot be written ({error.strerror}).", "Make room on the disk."
                ) from error
            with self._lock:
                self._written += size
                self.end += size

    def read(self, offset: int, limit: int) -> Chunk:
        """Durable records from `offset` on, about `limit` bytes of them, at least one when there is one."""
        records: list[tuple[int, memoryview]] = []
        while not records:
            with self._lock:
                base, stop, end = self._segment_at(offset)
            if base is None:
                return Chunk(records, max(offset, stop) if stop <= end else offset)
            offset = max(offset, base)
            check, data = _read_segment(self._path(base), _HEADER.size + offset - base, min(limit, stop - offset))
            used = 0
            for start, payload in _records(data, check):
                records.append((offset + start, payload))
                used = start + _FRAME.size + len(payload)
            if used:
                return Chunk(records, offset + used)
            needed = _needed(data)
            if needed is not None and offset + needed <= stop and needed > len(data):
                limit = needed
                continue
            log.error("journal_damaged", segment=base, offset=offset, lost_bytes=stop - offset)
            offset = stop
            if offset >= end:
                return Chunk(records, offset)
        return Chunk(records, offset)

    def forget(self, absorbed: int) -> None:
        """Delete the segments that lie wholly before `absorbed`."""
        with self._lock:
            ends = [*self._bases[1:], self.end] if self._bases else []
            done = [
                base
                for base, stop in zip(self._bases, ends, strict=True)
                if stop <= absorbed and not (base == self._bases[-1] and self._file is not None)
            ]
            self._bases = [base for base in self._bases if base not in done]
        for base in done:
            self._path(base).unlink(missing_ok=True)

    def roll(self) -> None:
        """End the segment under way, so that it is deleted as soon as everything in it is absorbed."""
        with self._one_writer, self._lock:
            self._close_file()

    def redact(self, wanted: Callable[[memoryview], bool], instead: Callable[[int], bytes]) -> int:
        """Overwrite every payload that is `wanted` with what `instead` gives for its length, just as long; returns how
        many. Positions stay as they are, and a crash leaves each segment as it was, or as it should be.
        """
        self.roll()
        with self._lock:
            bases = list(self._bases)
        found = 0
        for base in bases:
            path = self._path(base)
            try:
                data = bytearray(path.read_bytes())
            except FileNotFoundError:  # absorbed meanwhile
                continue
            before, check = found, _check_of(data)
            for start, payload in _records(bytes(data[_HEADER.size :]), check):
                if wanted(payload):
                    other = instead(len(payload))
                    at = _HEADER.size + start
                    data[at : at + _FRAME.size + len(other)] = _FRAME.pack(len(other), check(other)) + other
                    found += 1
            if found > before:
                _replace(path, bytes(data))
        return found

    def let_go(self, absorbed: int) -> None:
        """When everything is absorbed, end the segment under way and delete it: what is left out must not stay."""
        with self._one_writer:
            if self._file is None or absorbed < self.end:
                return
            with self._lock:
                self._close_file()
        self.forget(absorbed)

    def close(self) -> None:
        with self._lock:
            self._close_file()
        os.close(self._guard)

    def _segment_at(self, offset: int) -> tuple[int | None, int, int]:
        """(base of the segment that holds the next record at or after `offset`, its end, the journal's end)."""
        index = max(bisect_right(self._bases, offset) - 1, 0)
        for position in range(index, len(self._bases)):
            stop = self._bases[position + 1] if position + 1 < len(self._bases) else self.end
            if stop > offset:
                return self._bases[position], stop, self.end
        return None, self.end, self.end

    def _path(self, base: int) -> Path:
        return self.folder / f"{base:016d}.journal"

    def _start_segment(self) -> None:
        self._close_file()
        path = self._path(self.end)
        file = os.open(path, os.O_CREAT | os.O_TRUNC | os.O_RDWR, 0o600)
        try:
            disk.write_all(file, _HEADER.pack(_MAGIC, self.end))
            os.fsync(file)
            disk.sync(self.folder)
        except OSError:
            os.close(file)
            path.unlink(missing_ok=True)
            raise
        with self._lock:
            self._file, self._written = file, 0
            if self.end not in self._bases:
                self._bases.append(self.end)

    def _close_file(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _abandon_file(self) -> None:
        with self._lock:
            if self._file is None:
                return
            base = self._bases[-1]
            try:
                os.ftruncate(self._file, _HEADER.size + self.end - base)
            except OSError as error:
                log.warning("journal_not_truncated", segment=base, error=str(error))
            self._close_file()

    def _recover(self) -> int:
        """The journal's end after a start: a torn last record is cut off."""
        if not self._bases:
            return 0
        base = self._bases[-1]
        path = self._path(base)
        data = path.read_bytes()
        if data.startswith(_FAMILY) and data[: len(_MAGIC)] not in _CHECKSUMS and len(data) >= _HEADER.size:
            raise Unavailable(
                f"journal segment {path}", "was written by a newer version.", "Start that version, or a newer one."
            )
        if len(data) < _HEADER.size or data[: len(_MAGIC)] not in _CHECKSUMS or _HEADER.unpack_from(data)[1] != base:
            log.warning("journal_segment_without_header", segment=base)
            path.unlink()
            self._bases.pop()
            return base  # the segment before it ends here
        used = 0
        for start, payload in _records(data[_HEADER.size :], _check_of(data)):
            used = start + _FRAME.size + len(payload)
        torn = len(data) - _HEADER.size - used
        if torn:
            log.warning("journal_torn_record_cut", segment=base, bytes=torn)
            with path.open("r+b") as file:
                file.truncate(_HEADER.size + used)
                os.fsync(file.fileno())
        return base + used


def _records(data: bytes, check: Check) -> Iterator[tuple[int, memoryview]]:
    """(start, payload) of the whole and sound records at the beginning of `data`; payloads are views of it."""
    position, size = 0, len(data)
    view = memoryview(data)
    while position + _FRAME.size <= size:
        length, checksum = _FRAME.unpack_from(data, position)
        start = position + _FRAME.size
        if length > RECORD_LIMIT or start + length > size:
            return
        payload = view[start : start + length]
        if check(payload) != checksum:
            return
        yield position, payload
        position = start + length


def _needed(data: bytes) -> int | None:
    """Bytes that the first record takes on disk, None when its length is damaged or not there."""
    if len(data) < _FRAME.size:
        return _FRAME.size
    length = int(_FRAME.unpack_from(data)[0])
    return None if length > RECORD_LIMIT else _FRAME.size + length


def _replace(path: Path, data: bytes) -> None:
    fresh = path.with_suffix(".rewritten")
    disk.write(fresh, [data])
    fresh.rename(path)
    disk.sync(path.parent)


def _check_of(segment: bytes | bytearray) -> Check:
    """How a segment's records are checked, by its header."""
    return _CHECKSUMS.get(bytes(segment[: len(_MAGIC)]), _checksum)


def _read_segment(path: Path, start: int, size: int) -> tuple[Check, bytes]:
    """How a segment is checked, and a part of it."""
    file = os.open(path, os.O_RDONLY)
    try:
        return _check_of(os.pread(file, _HEADER.size, 0)), os.pread(file, size, start)
    finally:
        os.close(file)


def alone_in(folder: Path) -> int:
    """Lock a journal's folder; the handle to close. Raises Conflict when another process has it open."""
    guard = disk.lock(folder / LOCK)
    if guard is None:
        raise Conflict(
            f"journal folder {folder}",
            "is in use by another process.",
            "Stop that one first, or give this one a data folder of its own.",
        )
    return guard


def _name(folder: Path) -> str:
    """What the store files this journal's position under; drawn once, so that no two nodes share it."""
    path = folder / "name"
    if path.exists() and (name := path.read_text("ascii").strip()):
        return name
    name = secrets.token_hex(6)
    disk.write(path, [name.encode("ascii")])
    disk.sync(folder)
    return name
