"""Detection for a CSV file: read the rows, score every series, write the same rows with what was expected.

The command `cliffwatch detect` is `run`. Columns `timestamp` and `value` are needed, `series` is optional, all others
are carried through.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import itertools
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
from numpy.typing import NDArray

from cliffwatch.detect.classify import anomalies
from cliffwatch.detect.judge import reasons
from cliffwatch.detect.model import Bools, Floats, Found, Ints, Measure, Reason, Sensitivity
from cliffwatch.detect.replay import DEFAULT, PARTS, score, score_in_parts
from cliffwatch.detect.spacing import Batch, Line, batches, line, to_utc
from cliffwatch.detect.state import FAMILIES
from cliffwatch.errors import InvalidInput

NEEDED = ("timestamp", "value")
ZONED = r"(?:[Zz]|[+-]\d{2}:?\d{2})$"
OUT = ("expected", "lower", "upper", "score", "anomaly")
Progress = Callable[[int, int], None]
"""Called with (series done, series in all)."""


@dataclass(frozen=True, slots=True)
class Highlight:
    """One anomaly of a file: the rows where it begins, is the most surprising, and ends (counted from 0)."""

    series: str
    first: int
    peak: int
    last: int
    found: Found
    relative: bool  # whether the parts of its expectation are factors


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run did: rows and series read, points still learning, points flagged, anomalies (runs of them)."""

    rows: int
    series: int
    learning: int
    flagged: int
    anomalies: int

    def __str__(self) -> str:
        rows, series = _count(self.rows, "row"), _count(self.series, "series")
        if self.learning == self.rows:
            return f"{rows} of {series}: all of it is still being learned, so nothing could be judged."
        found = _count(self.anomalies, "anomaly") if self.anomalies else "no anomaly"
        return (
            f"{rows} of {series}: {found} in {_count(self.flagged, 'flagged row')}, {self.learning:,} still learning."
        )


@dataclass(frozen=True, slots=True)
class Result:
    """What detection says, per row of the table, in its order."""

    numbers: dict[str, Floats]
    parts: dict[str, Floats]
    reason: NDArray[np.str_]
    learning: Bools
    flagged: Bools


@dataclass(frozen=True, slots=True)
class Judged:
    """A file with what detection says of it. `codes` are the series of each row, as places in `names`."""

    table: pa.Table
    names: tuple[str, ...]
    codes: Ints
    times: Ints
    step_ms: Ints  # usual length of a window, per series
    result: Result
    highlights: tuple[Highlight, ...]

    @property
    def summary(self) -> Summary:
        learning, flagged = int(self.result.learning.sum()), int(self.result.flagged.sum())
        return Summary(len(self.codes), len(self.names), learning, flagged, len(self.highlights))


def run(
    input: Path,  # noqa: A002 - the name of the command's argument
    output: Path,
    *,
    explain: bool = False,
    sensitivity: Sensitivity = DEFAULT,
    measure: Measure | None = None,
    time_zone: str = "UTC",
    country: str | None = None,
    progress: Progress | None = None,
) -> Summary:
    """Score the series of a CSV file and write its rows plus `expected,lower,upper,score,anomaly`.

    Timestamps are ISO 8601; one without a zone is read in `time_zone`. `measure` says what the values are; without
    it, series of whole numbers are counts and all others averages. A row that a later one of the same series and time
    replaces gets the later row's verdict. The new columns are empty while learning; `anomaly` is 0 or 1. `explain`
    adds what each expectation is made of (level, hour, weekday, holiday, drift: factors for counts) and the `reason`.
    Raises InvalidInput, before anything is written, for a file it cannot read.
    """
    judged = judge(
        input,
        explain=explain,
        sensitivity=sensitivity,
        measure=measure,
        time_zone=time_zone,
        country=country,
        progress=progress,
    )
    write(output, judged, explain=explain)
    return judged.summary


def judge(
    input: Path,  # noqa: A002 - the name of the command's argument
    *,
    explain: bool = False,
    sensitivity: Sensitivity = DEFAULT,
    measure: Measure | None = None,
    time_zone: str = "UTC",
    country: str | None = None,
    progress: Progress | None = None,
) -> Judged:
    """Score the series of a CSV file; arguments as for `run`. Raises InvalidInput for a file it cannot read."""
    table = _read(input)
    names, codes = _series(table)
    times = _timestamps(table["timestamp"], time_zone)
    values = _values(table["value"])
    lines = _lines(codes, times, len(names), time_zone)
    result = _no_result(len(values))
    done = 0
    highlights: list[Highlight] = []
    for batch in batches(lines, values, measure, time_zone, country):
        highlights += _score(batch, sensitivity, result, names, codes, explain=explain)
        done += len(batch.rows)
        if progress is not None:
            progress(done, len(names))
    _copy_to_replaced(lines, codes, times, result)
    steps = np.array([each.step_ms for each in lines], np.int64)
    ordered = sorted(highlights, key=lambda one: -abs(one.found.peak_score))
    return Judged(table, tuple(names), codes, times, steps, result, tuple(ordered))


def write(output: Path, judged: Judged, *, explain: bool = False) -> None:
    """Write the rows of a file with what detection says of them."""
    _write(output, judged.table, judged.result, explain=explain)


def _count(number: int, noun: str) -> str:
    plural = {"row": "rows", "series": "series", "anomaly": "anomalies", "flagged row": "flagged rows"}[noun]
    return f"{number:,} {noun if number == 1 else plural}"


def _read(path: Path) -> pa.Table:
    try:
        with path.open("rb") as file:
            header = next(csv.reader([file.readline().decode("utf-8-sig")]), [])
        columns = {name: pa.string() for name in header}
        table = pacsv.read_csv(
            path, convert_options=pacsv.ConvertOptions(column_types=columns, strings_can_be_null=False)
        )
    except FileNotFoundError as error:
        raise InvalidInput(str(path), "does not exist.", "Check the path.") from error
    except (OSError, UnicodeDecodeError, pa.ArrowInvalid) as error:
        raise InvalidInput(str(path), f"cannot be read as CSV: {error}") from error
    missing = [name for name in NEEDED if name not in header]
    if missing:
        raise InvalidInput(
            f"{path}: column {' and '.join(missing)}",
            f"is needed; the file has {', '.join(header) or 'no columns'}.",
            "The first line names the columns: timestamp, value, and series if there are several.",
        )
    if not table.num_rows:
        raise InvalidInput(str(path), "has no rows.", "Give it at least one row below the header.")
    return table.combine_chunks()


def _series(table: pa.Table) -> tuple[list[str], Ints]:
    if "series" not in table.column_names:
        return [""], np.zeros(table.num_rows, np.int64)
    encoded = pc.dictionary_encode(table["series"]).combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.chunk(0)
    return encoded.dictionary.to_pylist(), encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)


def _timestamps(column: pa.ChunkedArray, time_zone: str) -> Ints:
    zoned = pc.match_substring_regex(pc.utf8_slice_codeunits(column, 10), ZONED)
    some, every = pc.any(zoned).as_py(), pc.all(zoned).as_py()
    if some and not every:
        _refuse_what_is_no_time(column)
        odd = pc.index(zoned, not zoned[0].as_py()).as_py()
        rule = "and the rows before it mix times with and without a zone."
        raise InvalidInput(_where(odd, "timestamp"), rule, "Give every row a zone (or Z), or none.")
    try:
        parsed = pc.cast(column, pa.timestamp("us", tz="UTC" if every else None))
    except pa.ArrowInvalid as error:
        _refuse_what_is_no_time(column)
        raise InvalidInput("column timestamp", f"cannot be read ({error}).", "Write 2026-03-01T14:00:00Z.") from error
    millis: Ints = np.floor_divide(pc.cast(parsed, pa.int64()).to_numpy(), 1000)
    return millis if every or time_zone == "UTC" else to_utc(millis, time_zone)


def _values(column: pa.ChunkedArray) -> Floats:
    try:
        values: Floats = pc.cast(pc.utf8_trim_whitespace(column), pa.float64()).to_numpy()
    except pa.ArrowInvalid:
        values = np.full(len(column), np.nan)
    if not np.all(np.isfinite(values)):
        row = _first_bad(column, _is_number)
        rule = f'"{column[row].as_py()}" is not a finite number.'
        raise InvalidInput(_where(row, "value"), rule, "Leave out the row of a window that has no value.")
    return values


def _refuse_what_is_no_time(column: pa.ChunkedArray) -> None:
    for row, text in enumerate(column.to_pylist()):
        if not _is_time(text):
            rule = f'"{text}" is not a time.'
            raise InvalidInput(_where(row, "timestamp"), rule, "Write it like 2026-03-01T14:00:00Z.")


def _where(row: int, column: str) -> str:
    """Rows are counted as a spreadsheet does: the header is row 1."""
    return f"row {row + 2}, column {column}"


def _first_bad(column: pa.ChunkedArray, good: Callable[[str], bool]) -> int:
    return next((i for i, text in enumerate(column.to_pylist()) if not good(text)), 0)


def _is_time(text: str) -> bool:
    try:
        dt.datetime.fromisoformat(text)
    except ValueError:
        return False
    return len(text) > 4


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _lines(codes: Ints, times: Ints, count: int, time_zone: str) -> list[Line]:
    order = np.argsort(codes, kind="stable")
    edges = np.searchsorted(codes[order], np.arange(count + 1))
    return [line(order[a:b], times[order[a:b]], time_zone) for a, b in itertools.pairwise(edges.tolist())]


def _no_result(rows: int) -> Result:
    empty = {name: np.full(rows, np.nan) for name in (*OUT[:4], *PARTS)}
    return Result(
        numbers={name: empty[name] for name in OUT[:4]},
        parts={name: empty[name] for name in PARTS},
        reason=np.full(rows, Reason.LEARNING.value, dtype="U16"),
        learning=np.ones(rows, bool),
        flagged=np.zeros(rows, bool),
    )


def _score(
    batch: Batch, wish: Sensitivity, result: Result, names: list[str], codes: Ints, *, explain: bool
) -> list[Highlight]:
    parts: dict[str, Floats] = {}
    if explain:
        scored, parts = score_in_parts(batch.values, batch.grid, [batch.measure] * len(batch.values), sensitivity=wish)
        why = reasons(batch.values, scored, wish)
    else:
        scored = score(batch.values, batch.grid, batch.measure, sensitivity=wish)
    for i, (rows, columns) in enumerate(zip(batch.rows, batch.columns, strict=True)):
        for name, out in result.numbers.items():
            out[rows] = getattr(scored, name)[i, columns]
        for name, part in parts.items():
            result.parts[name][rows] = part[i, columns]
        result.learning[rows] = scored.learning[i, columns]
        result.flagged[rows] = scored.flagged[i, columns]
        if explain:
            result.reason[rows] = why[i, columns]
    found = anomalies(batch.values, batch.grid, scored, batch.measure, wish)
    return [_highlight(batch, one, names, codes) for one in found]


def _highlight(batch: Batch, found: Found, names: list[str], codes: Ints) -> Highlight:
    rows, columns = batch.rows[found.series], batch.columns[found.series]

    def row(window: int) -> int:
        return int(rows[min(int(np.searchsorted(columns, window)), len(rows) - 1)])

    name = names[int(codes[rows[0]])]
    relative = FAMILIES[batch.measure].log
    return Highlight(name, row(found.start), row(found.peak), row(found.end - 1), found, relative)


def _copy_to_replaced(lines: list[Line], codes: Ints, times: Ints, result: Result) -> None:
    """Rows that a later row replaces show the later row's verdict."""
    kept = np.zeros(len(codes), bool)
    for each in lines:
        kept[each.rows] = True
    if kept.all():
        return
    winner = {(int(codes[r]), int(times[r])): r for r in np.flatnonzero(kept).tolist()}
    for row in np.flatnonzero(~kept).tolist():
        source = winner[int(codes[row]), int(times[row])]
        for column in (
            *result.numbers.values(),
            *result.parts.values(),
            result.learning,
            result.flagged,
            result.reason,
        ):
            column[row] = column[source]


def _write(path: Path, table: pa.Table, result: Result, *, explain: bool) -> None:
    kept = [name for name in table.column_names if name not in (*OUT, *PARTS, "reason")]
    columns = {name: table[name] for name in kept}
    for name, numbers in result.numbers.items():
        short = significant(numbers)
        columns[name] = pa.array(short, mask=~np.isfinite(short))
    columns["anomaly"] = pa.array(result.flagged.astype(np.int8), mask=result.learning)
    if explain:
        columns |= _why(result)
    header = io.StringIO()
    csv.writer(header, lineterminator="\n").writerow(columns)
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with draft.open("wb") as file:
            file.write(header.getvalue().encode())
            pacsv.write_csv(pa.table(columns), file, _options(columns))
        draft.replace(path)
    except OSError as error:
        raise InvalidInput(
            str(path), f"cannot be written: {error.strerror}.", "Check the folder and the disk."
        ) from error
    finally:
        draft.unlink(missing_ok=True)


def _options(columns: dict[str, pa.Array]) -> pacsv.WriteOptions:
    """Arrow quotes every text or none; quotes only where a text holds something that needs them."""
    texts = (column for column in columns.values() if pa.types.is_string(column.type))
    special = any(pc.any(pc.match_substring_regex(text, r'[",\r\n]')).as_py() for text in texts)
    return pacsv.WriteOptions(include_header=False, quoting_style="needed" if special else "none")


def _why(result: Result) -> dict[str, pa.Array]:
    """Columns that say what each expectation is made of, and the reason of each verdict."""
    columns = {}
    for name, parts in result.parts.items():
        short = significant(parts)
        columns[name] = pa.array(short, mask=~np.isfinite(short) | result.learning)
    words = np.where(result.learning, Reason.LEARNING.value, result.reason)
    columns["reason"] = pa.array(words.tolist())
    return columns


def significant(x: Floats, digits: int = 6) -> Floats:
    """Round to significant digits; the file is for people and spreadsheets."""
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = 10.0 ** np.clip(digits - 1 - np.floor(np.log10(np.abs(x))), -300, 300)
        short = np.where(np.isfinite(scale), np.rint(x * scale) / scale, x)
    return np.where(x == 0, 0.0, short)
