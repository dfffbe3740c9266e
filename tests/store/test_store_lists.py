"""Lists and texts as Arrow columns."""

from __future__ import annotations

import pyarrow as pa

from cliffwatch.store.lists import Lists, Texts, joined_rows


def test_columns_laid_beside_each_other_are_read_row_by_row() -> None:
    names, plans = pa.array(["a", "b", "c"]), pa.array(["x", "", "z"])
    found = Lists.beside([names, plans], pa.string(), 3)
    assert list(found) == [("a", "x"), ("b", ""), ("c", "z")]
    assert (len(found), found[1], list(found[1:])) == (3, ("b", ""), [("b", ""), ("c", "z")])


def test_one_column_and_none_give_lists_of_one_and_of_nothing() -> None:
    assert list(Lists.beside([pa.array([1.5, 2.5])], pa.float64(), 2)) == [(1.5,), (2.5,)]
    assert list(Lists.beside([], pa.float64(), 2)) == [(), ()]


def test_rows_of_several_batches_are_joined_in_order_whatever_holds_them() -> None:
    column = Lists.beside([pa.array(["a", "b"])], pa.string(), 2)
    assert isinstance(joined_rows([column, column]), Lists)
    assert list(joined_rows([column, [("c",)]])) == [("a",), ("b",), ("c",)]


def test_texts_in_parts_are_read_as_one_sequence() -> None:
    found = Texts([pa.array(["a", "Köln"]), pa.array([""])])
    assert (len(found), list(found), found[1], found[1:]) == (3, ["a", "Köln", ""], "Köln", ["Köln", ""])
