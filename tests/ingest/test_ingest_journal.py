"""What is on disk, after good days and bad ones."""

from __future__ import annotations

import errno
import os
import struct
import threading
import zlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from cliffwatch import disk
from cliffwatch.errors import Conflict, Unavailable
from cliffwatch.ingest import journal as journal_module
from cliffwatch.ingest.journal import Journal, frame
from cliffwatch.ingest.record import Mark, Record, unpack
from cliffwatch.spec import SpecType


def payloads(journal: Journal, offset: int = 0, limit: int = 1_000_000) -> list[bytes]:
    found = []
    while offset < journal.end:
        chunk = journal.read(offset, limit)
        found += [bytes(payload) for _, payload in chunk.records]
        offset = chunk.next_offset
    return found


def test_records_come_back_in_order(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append([frame(b"one"), frame(b"two")])
    journal.append([frame(b"three")])
    assert payloads(journal) == [b"one", b"two", b"three"]


def test_reading_goes_on_where_it_stopped_however_little_is_read_at_a_time(tmp_path: Path) -> None:
    journal = Journal(tmp_path, segment_bytes=100)
    sent = [bytes([number]) * (number * 7) for number in range(30)]
    for payload in sent:
        journal.append([frame(payload)])
    assert len(list(tmp_path.glob("*.journal"))) > 3
    assert payloads(journal, limit=1) == sent
    assert payloads(journal, limit=150) == sent


def test_records_survive_a_restart(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append([frame(b"kept")])
    end, name = journal.end, journal.name
    journal.close()
    again = Journal(tmp_path)
    assert (again.end, again.name) == (end, name)
    again.append([frame(b"more")])
    assert payloads(again) == [b"kept", b"more"]


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_torn_last_record_is_cut_off_at_the_start(tmp_path: Path, cut: int) -> None:
    journal = Journal(tmp_path)
    journal.append([frame(b"whole"), frame(b"torn")])
    journal.close()
    segment = next(tmp_path.glob("*.journal"))
    segment.write_bytes(segment.read_bytes()[:-cut])
    again = Journal(tmp_path)
    again.append([frame(b"next")])
    assert payloads(again) == [b"whole", b"next"]


def test_a_last_record_of_garbage_is_cut_off_at_the_start(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append([frame(b"whole")])
    journal.close()
    segment = next(tmp_path.glob("*.journal"))
    segment.write_bytes(segment.read_bytes() + b"\x05\x00\x00\x00\x00\x00\x00\x00hello")
    assert payloads(Journal(tmp_path)) == [b"whole"]


def test_a_segment_without_its_header_is_taken_as_never_begun(tmp_path: Path) -> None:
    journal = Journal(tmp_path, segment_bytes=10)
    journal.append([frame(b"first segment")])
    end = journal.end
    journal.close()
    (tmp_path / f"{end:016d}.journal").write_bytes(b"CLIF")
    again = Journal(tmp_path)
    again.append([frame(b"second")])
    assert payloads(again) == [b"first segment", b"second"]


def test_a_damaged_record_in_an_old_segment_costs_that_segment_only(tmp_path: Path) -> None:
    journal = Journal(tmp_path, segment_bytes=20)
    for word in (b"first segment.", b"second segment", b"third segment."):
        journal.append([frame(word)])
    journal.close()
    second = sorted(tmp_path.glob("*.journal"))[1]
    second.write_bytes(second.read_bytes().replace(b"second", b"SECOND"))
    assert payloads(Journal(tmp_path)) == [b"first segment.", b"third segment."]


def test_absorbed_segments_are_deleted_and_offsets_stay_valid(tmp_path: Path) -> None:
    journal = Journal(tmp_path, segment_bytes=20)
    for word in (b"first segment.", b"second segment", b"third segment."):
        journal.append([frame(word)])
    absorbed = journal.read(0, 1).next_offset
    journal.forget(absorbed)
    assert len(list(tmp_path.glob("*.journal"))) == 2
    assert payloads(journal, absorbed) == [b"second segment", b"third segment."]


def test_an_emptied_folder_never_repeats_an_absorbed_offset(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.continue_from(5_000)
    journal.append([frame(b"new")])
    assert journal.read(5_000, 100).records == [(5_000, b"new")]


def test_a_second_process_is_refused_the_folder(tmp_path: Path) -> None:
    first = Journal(tmp_path)
    with pytest.raises(Conflict, match="in use"):
        Journal(tmp_path)
    first.close()
    Journal(tmp_path).close()


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="file"):
        Journal(tmp_path / "file" / "journal")


@pytest.mark.parametrize("fault", ["write", "fdatasync"])
def test_a_group_that_the_disk_refuses_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    journal = Journal(tmp_path)
    journal.append([frame(b"before")])
    real_write = os.writev

    def full_disk(file: int, pieces: Sequence[bytes]) -> int:
        if fault == "write":
            os.write(file, pieces[0][:3])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real_write(file, pieces)

    def failing_sync(file: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patched:
        patched.setattr(journal_module.os, "writev", full_disk)
        if fault == "fdatasync":
            patched.setattr(journal_module.os, "fdatasync", failing_sync)
        with pytest.raises(Unavailable, match="cannot be written"):
            journal.append([frame(b"lost")])
    journal.append([frame(b"after")])
    assert payloads(journal) == [b"before", b"after"]
    journal.close()
    assert payloads(Journal(tmp_path)) == [b"before", b"after"]


def test_reading_and_writing_go_on_at_the_same_time(tmp_path: Path) -> None:
    journal = Journal(tmp_path, segment_bytes=2_000)
    sent = [b"%d" % number for number in range(400)]

    def write() -> None:
        for start in range(0, len(sent), 10):
            journal.append([frame(payload) for payload in sent[start : start + 10]])

    writer = threading.Thread(target=write)
    writer.start()
    found: list[bytes] = []
    offset = 0
    while writer.is_alive() or offset < journal.end:
        chunk = journal.read(offset, 300)
        found += [bytes(payload) for _, payload in chunk.records]
        offset = chunk.next_offset
        journal.forget(offset)
    writer.join()
    assert found == sent


def segment(magic: bytes, *payloads: bytes) -> bytes:
    """A segment as versions that check by CRC-32 wrote it."""
    framed = [struct.pack("<II", len(payload), zlib.crc32(payload)) + payload for payload in payloads]
    return struct.pack("<8sq", magic, 0) + b"".join(framed)


def test_what_an_older_version_wrote_is_read_and_gone_on_from(tmp_path: Path) -> None:
    (tmp_path / f"{0:016d}.journal").write_bytes(segment(b"CLIFFWJ1", b"one", b"two"))
    journal = Journal(tmp_path)
    journal.append([frame(b"three")])
    assert payloads(journal) == [b"one", b"two", b"three"]


def test_what_an_older_version_wrote_is_overwritten_in_its_own_form(tmp_path: Path) -> None:
    (tmp_path / f"{0:016d}.journal").write_bytes(segment(b"CLIFFWJ1", b"one", b"two", b"six"))
    journal = Journal(tmp_path)
    journal.redact(lambda payload: payload == b"two", lambda length: b"-" * length)
    assert payloads(journal) == [b"one", b"---", b"six"]


def test_what_a_newer_version_wrote_is_refused_and_stays(tmp_path: Path) -> None:
    newer = tmp_path / f"{0:016d}.journal"
    newer.write_bytes(segment(b"CLIFFWJ9", b"one"))
    with pytest.raises(Unavailable, match="was written by a newer version"):
        Journal(tmp_path)
    assert newer.exists()


def test_a_write_that_takes_only_some_bytes_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real_write = os.writev
    monkeypatch.setattr(disk.os, "writev", lambda file, pieces: real_write(file, [b"".join(pieces)[:7]]))
    journal = Journal(tmp_path)
    sent = [b"%d" % number * 20 for number in range(30)]
    journal.append([frame(payload) for payload in sent])
    assert payloads(journal) == sent


def test_more_records_than_the_system_takes_at_once_are_written_together(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    sent = [b"%d" % number for number in range(3_000)]
    journal.append([frame(payload) for payload in sent])
    assert payloads(journal) == sent


@pytest.mark.parametrize("spec_type", [None, *SpecType])
def test_a_request_is_unpacked_as_it_was_packed(spec_type: SpecType | None) -> None:
    record = Record(1_795_432_860_200, 12, spec_type, Mark.FROM_BROWSER, "203.0.113.9", "Mozilla/5.0 ü", b'{"a":1}')
    assert unpack(record.pack()[8:]) == record
