"""Leaves from a CSV file: what the command line needs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from cliffwatch.errors import InvalidInput
from cliffwatch.explain.attribute import explain
from cliffwatch.explain.document import to_json
from cliffwatch.explain.model import Explanation, Floats, Leaves, Limits

__all__ = ["read_leaves", "run", "to_json"]


def run(
    path: Path,
    *,
    actual: str | None = None,
    expected: str | None = None,
    actual_numerator: str | None = None,
    actual_denominator: str | None = None,
    expected_numerator: str | None = None,
    expected_denominator: str | None = None,
    limits: Limits | None = None,
) -> Explanation:
    """Explain the leaves of a CSV file; every column that no argument names is a dimension.

    Give `actual` and `expected`, or the four columns of a ratio. Raises InvalidInput, which names the column, the row
    and the rule.
    """
    ratio = (actual_numerator, expected_numerator, actual_denominator, expected_denominator)
    columns = measure_columns((actual, expected), ratio)
    return explain(read_leaves(path, columns), limits=limits)


def measure_columns(plain: tuple[str | None, str | None], ratio: tuple[str | None, ...]) -> list[str]:
    """The measure's columns, in the order of the fields of Leaves."""
    given = [name for name in (*plain, *ratio) if name is not None]
    if len(set(given)) < len(given):
        raise InvalidInput("Columns", "each option must name a column of its own.")
    if None not in plain and not any(ratio):
        return given
    if None not in ratio and not any(plain):
        return given
    raise InvalidInput(
        "Columns",
        "give --actual and --expected, or for a ratio all of --actual-numerator, --actual-denominator, "
        "--expected-numerator and --expected-denominator.",
    )


def read_leaves(path: Path, measures: list[str]) -> Leaves:
    """The leaves of a CSV file, whose dimensions are all columns but `measures`."""
    table = read_text(path)
    found = ", ".join(table.column_names)
    for name in measures:
        if name not in table.column_names:
            raise InvalidInput(f'Column "{name}"', f"is not in {path.name}.", f"It has the columns {found}.")
    dimensions = [name for name in table.column_names if name not in measures]
    if not dimensions:
        raise InvalidInput(path.name, "has no column left to be a dimension.", f"It has the columns {found}.")
    if not table.num_rows:
        raise InvalidInput(path.name, "has a header but no rows; each row must be one combination of values.")
    columns = [numbers(table, name, path.name) for name in measures]
    codes = np.empty((table.num_rows, len(dimensions)), np.int32)
    values = []
    for d, name in enumerate(dimensions):
        encoded = table.column(name).combine_chunks().dictionary_encode()
        codes[:, d] = encoded.indices.to_numpy(zero_copy_only=False)
        values.append(tuple(encoded.dictionary.to_pylist()))
    weights = (columns[2], columns[3]) if len(columns) > 2 else (None, None)
    return Leaves(tuple(dimensions), codes, tuple(values), columns[0], columns[1], *weights)


def read_text(path: Path) -> pa.Table:
    """Every column as text, so that a value such as 007 stays what it is."""
    try:
        with path.open("rb") as file:
            header = pyarrow.csv.open_csv(file).schema.names
    except pa.ArrowInvalid as error:
        raise InvalidInput(path.name, f"is not a CSV file with a header: {error}.") from error
    doubled = sorted({name for name in header if header.count(name) > 1})
    if doubled:
        raise InvalidInput(f'Column "{doubled[0]}"', f"is in {path.name} more than once; names must differ.")
    options = pyarrow.csv.ConvertOptions(
        column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False, quoted_strings_can_be_null=False
    )
    try:
        table = pyarrow.csv.read_csv(path, convert_options=options)
    except pa.ArrowInvalid as error:
        raise InvalidInput(path.name, f"is not a CSV file in UTF-8 with equally long rows: {error}.") from error
    return table.combine_chunks()


def numbers(table: pa.Table, name: str, file: str) -> Floats:
    """A column as finite numbers."""
    text = pc.utf8_trim_whitespace(table.column(name))
    try:
        column = pc.cast(text, pa.float64()).to_numpy()
    except pa.ArrowInvalid:
        column = None
    if column is not None and np.isfinite(column).all():
        return np.ascontiguousarray(column, np.float64)
    for row, value in enumerate(text.to_pylist()):
        if not is_number(value):
            raise InvalidInput(
                f'Column "{name}"', f'must hold numbers; row {row + 1} of {file} (line {row + 2}) holds "{value}".'
            )
    return np.array([float(value) for value in text.to_pylist()])


def is_number(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False
