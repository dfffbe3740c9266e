"""The table: what it reads, what it writes, and what it says of a file that it cannot read."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from cliffwatch.detect import Sensitivity
from cliffwatch.detect.replay import PARTS
from cliffwatch.detect.table import run
from cliffwatch.errors import InvalidInput

NEW = ["expected", "lower", "upper", "score", "anomaly"]


def stamps(count: int, step: str = "h", form: str = "{}Z", first: str = "2025-01-06T00:00:00") -> list[str]:
    return [form.format(t) for t in np.datetime64(first) + np.arange(count) * np.timedelta64(1, step)]


def write(path: Path, rows: list[tuple], header: tuple[str, ...] = ("timestamp", "value")) -> Path:
    with path.open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(header)
        out.writerows(rows)
    return path


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def counts(shop) -> list[str]:
    values = shop(1, 1, 900)
    values[0, 850:853] = 0
    return [f"{v:.0f}" for v in values[0]]


def test_the_rows_come_back_with_five_columns_more(tmp_path: Path, counts) -> None:
    source = write(tmp_path / "in.csv", list(zip(stamps(900), counts, strict=True)))
    summary = run(source, tmp_path / "out.csv")
    rows = read(tmp_path / "out.csv")
    assert [(r["timestamp"], r["value"]) for r in rows] == list(zip(stamps(900), counts, strict=True))
    assert list(rows[0]) == ["timestamp", "value", *NEW]
    assert [rows[0][name] for name in NEW] == ["", "", "", "", ""]
    assert [i for i, r in enumerate(rows) if r["anomaly"] == "1"] == [850, 851, 852]
    assert float(rows[700]["lower"]) < float(rows[700]["expected"]) < float(rows[700]["upper"])
    assert (summary.rows, summary.series, summary.flagged, summary.anomalies) == (900, 1, 3, 1)
    assert "1 anomaly in 3 flagged rows" in str(summary)


@pytest.mark.parametrize("form", ["{}", "{}+00:00", "{}.000Z"])
def test_every_way_to_write_a_time_gives_the_same(form: str, tmp_path: Path, counts) -> None:
    first, second = tmp_path / "1.csv", tmp_path / "2.csv"
    run(write(tmp_path / "a.csv", list(zip(stamps(900), counts, strict=True))), first)
    run(write(tmp_path / "b.csv", list(zip(stamps(900, form=form), counts, strict=True))), second)
    assert [r["score"] for r in read(first)] == [r["score"] for r in read(second)]


def test_a_space_between_date_and_time_is_fine(tmp_path: Path, counts) -> None:
    rows = [(t.replace("T", " ").rstrip("Z"), v) for t, v in zip(stamps(900), counts, strict=True)]
    assert run(write(tmp_path / "in.csv", rows), tmp_path / "out.csv").flagged == 3


def test_series_of_other_spacing_start_and_order_share_a_file(tmp_path: Path, counts) -> None:
    rows = [("hours", t, v) for t, v in zip(stamps(900), counts, strict=True)]
    rows += [("late", t, v) for t, v in zip(stamps(900, first="2025-02-13T05:00:00"), counts, strict=True)]
    rows += [("days", t, v) for t, v in zip(stamps(300, "D"), counts[:300], strict=True)]
    alone = read_scores(tmp_path, [r for r in rows if r[0] == "late"])
    order = np.random.default_rng(0).permutation(len(rows))
    together = read_scores(tmp_path, [rows[i] for i in order])
    assert {k: v for k, v in together.items() if k[0] == "late"} == alone


def read_scores(folder: Path, rows: list[tuple]) -> dict[tuple[str, str], str]:
    source = write(folder / "in.csv", rows, ("series", "timestamp", "value"))
    run(source, folder / "out.csv")
    return {(r["series"], r["timestamp"]): r["score"] for r in read(folder / "out.csv")}


def test_a_truncated_file_gives_the_same_numbers(tmp_path: Path, counts) -> None:
    rows = list(zip(stamps(900), counts, strict=True))
    run(write(tmp_path / "a.csv", rows), tmp_path / "whole.csv")
    run(write(tmp_path / "b.csv", rows[:600]), tmp_path / "cut.csv")
    assert read(tmp_path / "whole.csv")[:600] == read(tmp_path / "cut.csv")


def test_the_last_of_two_rows_for_one_time_wins(tmp_path: Path, counts) -> None:
    rows = list(zip(stamps(900), counts, strict=True))
    doubled = [*rows[:700], (rows[700][0], "0"), *rows[700:]]
    run(write(tmp_path / "in.csv", doubled), tmp_path / "out.csv")
    out = read(tmp_path / "out.csv")
    assert out[700]["score"] == out[701]["score"]
    assert out[701]["anomaly"] == "0"


def test_missing_rows_leave_gaps_not_shifts(tmp_path: Path, counts) -> None:
    rows = [r for i, r in enumerate(zip(stamps(900), counts, strict=True)) if i % 17 != 3]
    run(write(tmp_path / "in.csv", rows), tmp_path / "out.csv")
    flagged = [r["timestamp"] for r in read(tmp_path / "out.csv") if r["anomaly"] == "1"]
    assert flagged[0] == stamps(900)[850]


def test_other_columns_and_awkward_names_survive(tmp_path: Path, counts) -> None:
    rows = [('a "b", c', t, v, "x,y") for t, v in zip(stamps(900), counts, strict=True)]
    run(write(tmp_path / "in.csv", rows, ("series", "timestamp", "value", "note, free")), tmp_path / "out.csv")
    out = read(tmp_path / "out.csv")
    assert out[5]["series"] == 'a "b", c'
    assert out[5]["note, free"] == "x,y"


def test_explain_says_what_an_expectation_is_made_of(tmp_path: Path, counts) -> None:
    source = write(tmp_path / "in.csv", list(zip(stamps(900), counts, strict=True)))
    run(source, tmp_path / "out.csv", explain=True)
    row = read(tmp_path / "out.csv")[851]
    assert row["reason"] == "surprising"
    product = np.prod([float(row[name]) for name in PARTS])
    assert product == pytest.approx(float(row["expected"]), rel=1e-3)
    assert read(tmp_path / "out.csv")[3]["reason"] == "learning"


def test_the_budget_reaches_the_flags(tmp_path: Path, counts) -> None:
    source = write(tmp_path / "in.csv", list(zip(stamps(900), counts, strict=True)))
    loose = run(source, tmp_path / "out.csv", sensitivity=Sensitivity(20.0))
    assert loose.flagged > 10


def test_progress_is_told(tmp_path: Path, counts) -> None:
    told: list[tuple[int, int]] = []
    source = write(tmp_path / "in.csv", list(zip(stamps(900), counts, strict=True)))
    run(source, tmp_path / "out.csv", progress=lambda done, of: told.append((done, of)))
    assert told[-1] == (1, 1)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([("2025-01-06T00:00:00Z", "1"), ("yesterday", "2")], 'row 3, column timestamp: "yesterday" is not a time'),
        ([("2025-01-06T00:00:00Z", "1"), ("2025-01-06T01:00:00", "2")], "row 3, column timestamp: .* with and without"),
        ([("2025-01-06T00:00:00Z", "1"), ("2025-01-06T01:00:00Z", "many")], 'row 3, column value: "many"'),
        ([("2025-01-06T00:00:00Z", "nan")], 'row 2, column value: "nan"'),
        ([("2025-01-06T00:00:00Z", "-inf")], 'row 2, column value: "-inf"'),
        ([("2025-01-06T00:00:00Z", "")], 'row 2, column value: ""'),
        ([], "has no rows"),
    ],
)
def test_a_bad_row_is_named_and_nothing_is_written(rows, says: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=says):
        run(write(tmp_path / "in.csv", rows), tmp_path / "out.csv")
    assert [p.name for p in tmp_path.iterdir()] == ["in.csv"]


def test_a_missing_column_is_named_with_those_that_are_there(tmp_path: Path) -> None:
    source = write(tmp_path / "in.csv", [("2025-01-06", "1")], ("date", "value"))
    with pytest.raises(InvalidInput, match="column timestamp: is needed; the file has date, value"):
        run(source, tmp_path / "out.csv")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"none\.csv"):
        run(tmp_path / "none.csv", tmp_path / "out.csv")


def test_one_row_is_learned_and_not_judged(tmp_path: Path) -> None:
    summary = run(write(tmp_path / "in.csv", [("2025-01-06", "1")]), tmp_path / "out.csv")
    assert "nothing could be judged" in str(summary)
