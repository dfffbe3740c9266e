"""JSON as clients really send it."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cliffwatch.errors import InvalidInput
from cliffwatch.spec.decode import decode_json, scrub

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def test_bare_nan_and_infinity_become_null_and_cost_nothing_beside_them() -> None:
    assert decode_json(b'{"a": NaN, "b": [Infinity, -Infinity, 1], "c": "kept"}') == {
        "a": None,
        "b": [None, None, 1],
        "c": "kept",
    }


def test_a_number_beyond_all_bounds_becomes_null() -> None:
    assert decode_json(b"[1e400, 1e21]") == [None, 1e21]


def test_a_lone_surrogate_becomes_the_replacement_character() -> None:
    assert decode_json(b'{"\\ud83c": "x\\udc00y"}') == {"\ufffd": "x\ufffdy"}


def test_a_pair_of_surrogates_is_one_character() -> None:
    assert decode_json(b'["\\ud83c\\udf89", "\\ud83c"]') == ["🎉", "\ufffd"]


def test_nul_becomes_the_replacement_character_in_keys_and_values() -> None:
    assert decode_json(b'{"a\\u0000": "b\\u0000c"}') == {"a\ufffd": "b\ufffdc"}


def test_an_escaped_backslash_before_u0000_is_left_alone() -> None:
    assert decode_json(b'["\\\\u0000"]') == ["\\u0000"]


def test_bytes_that_are_no_utf8_cost_only_themselves() -> None:
    assert decode_json(b'{"a": "x\xffy", "b": 1}') == {"a": "x\ufffdy", "b": 1}


def test_a_byte_order_mark_and_utf16_are_understood() -> None:
    assert decode_json(b"\xef\xbb\xbf[1]") == [1]
    assert decode_json('{"a": "ü"}'.encode("utf-16-le")) == {"a": "ü"}


def test_whole_numbers_beyond_64_bits_stay_exact() -> None:
    assert decode_json(b"[123456789012345678901234567890]") == [123456789012345678901234567890]


@pytest.mark.parametrize("data", [b"", b"{", b"{'a': 1}", b"[1,]", b"[1] x", b"\x00", b"\x1f\x8b\x08"])
def test_what_is_no_json_is_refused_with_a_reason(data: bytes) -> None:
    with pytest.raises(InvalidInput, match="is not JSON"):
        decode_json(data)


@pytest.mark.parametrize("data", [b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 100_000, b'["\\u0000",' + b"[" * 100_000])
def test_nesting_beyond_reason_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidInput):
        decode_json(data)


@given(JSON)
def test_sound_json_comes_through_unchanged(value: object) -> None:
    assert decode_json(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")) == scrub(value)


@given(st.text(st.characters(categories=["Lu", "Ll", "Cs", "Cc", "So"])))
def test_a_scrubbed_text_can_be_encoded_and_holds_no_nul(text: str) -> None:
    clean = scrub(text)
    assert isinstance(clean, str)
    assert b"\0" not in clean.encode()


def test_a_scrubbed_number_is_finite() -> None:
    assert scrub([math.nan, math.inf, 1.5]) == [None, None, 1.5]
