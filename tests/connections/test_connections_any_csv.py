"""Whatever somebody uploads as a CSV file: it is previewed and read, or refused in words; nothing else."""

from __future__ import annotations

import tempfile
from pathlib import Path

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from cliffwatch.connections.imports.files import CsvFile, preview
from cliffwatch.connections.imports.shape import CsvColumns
from cliffwatch.errors import InvalidInput
from cliffwatch.spec.times import parse_time

CELLS = st.one_of(
    st.sampled_from(
        ["2026-11-25T10:00:00Z", "1795953600", "", '"', "'", "NULL", "u1", "Order Completed", "\x00", "=1+1"]
    ),
    st.text(max_size=12),
)
TABLES = st.lists(st.lists(CELLS, min_size=1, max_size=5), max_size=8)
TEXTS = st.builds(
    lambda rows, comma, end: end.join(comma.join(row) for row in rows).encode(errors="surrogatepass"),
    TABLES,
    st.sampled_from([",", ";", "\t", "|", '","']),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
ENCODED = st.builds(
    lambda text, code: text.decode(errors="replace").encode(code), TEXTS, st.sampled_from(["utf-16", "utf-8-sig"])
)


@settings(max_examples=25, deadline=None)
@given(data=TEXTS | ENCODED | st.binary(max_size=200), picks=st.tuples(*[st.integers(0, 5)] * 4))
def test_any_file_gives_messages_that_can_be_read_or_a_clear_error(data: bytes, picks: tuple[int, ...]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "upload.csv"
        path.write_bytes(data)
        try:
            columns, _ = preview(path)
            time, event, user, message = (columns[pick % len(columns)] for pick in picks)
            file = CsvFile(path, CsvColumns(time=time, event=event, user=user, message_id=message))
            try:
                rows = file.count()
                chunks = list(file.chunks({}))
            finally:
                file.close()
        except InvalidInput:
            return
    assert sum(chunk.rows for chunk in chunks) == rows
    for body in (body for chunk in chunks for body in chunk.messages):
        event_ = msgspec.json.decode(body)
        assert parse_time(event_["timestamp"]) is not None
        assert event_["messageId"]
