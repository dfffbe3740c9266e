"""Elements of a JSON array as raw bytes, and Segment's signature over them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cliffwatch.ingest.deliveries.scanner import elements, signed_part
from cliffwatch.ingest.deliveries.signature import fits, sign

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)
SPACE = st.text(" \t\r\n", max_size=3)


@given(values=st.lists(JSON, max_size=6), ascii_only=st.booleans(), space=SPACE, indent=st.sampled_from([None, 0, 2]))
def test_the_elements_of_any_array_are_the_bytes_between_its_commas(
    values: list[Any], ascii_only: bool, space: str, indent: int | None
) -> None:
    written = [json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode() for value in values]
    blank = space.encode()
    body = blank + b"[" + b",".join(blank + piece + blank for piece in written) + b"]" + blank
    assert elements(body) == written
    for limit in range(1, len(written) + 1):
        assert elements(body, limit) == written[:limit]


@given(data=st.binary(max_size=60) | st.text('[]{}",\\:1 a', max_size=40).map(str.encode))
def test_any_bytes_have_elements_or_none(data: bytes) -> None:
    found = elements(data)
    try:
        value = json.loads(data)
    except ValueError:
        return
    assert (found is not None) == isinstance(value, list)


@given(values=st.lists(JSON, min_size=1, max_size=4), cut=st.integers(1, 200))
def test_an_array_that_ends_too_early_has_no_elements(values: list[Any], cut: int) -> None:
    body = json.dumps(values).encode()
    assert elements(body[: -min(cut, len(body))]) is None


@pytest.mark.parametrize("body", [b"", b"{}", b"[1,]", b"[,1]", b"[1 2", b"[1]]", b"[{]}", b'["a]', b"[1],"])
def test_what_is_no_array_has_no_elements(body: bytes) -> None:
    assert elements(body) is None


def test_a_single_event_is_signed_whole_and_a_batch_by_its_first_event() -> None:
    first = b'{"price":1.5e-7,"text":"], \\"[{"}'
    assert signed_part(first) == first
    assert signed_part(b"[" + first + b',{"b":1}]') == first
    assert sign("topsecret", b"[" + first + b"]") == sign("topsecret", first)


def test_a_signature_fits_any_of_the_secrets_and_nothing_else() -> None:
    body = b'{"a":1}'
    told = sign("first-one", body).encode()
    assert fits(["second-one", "first-one"], told, body)
    assert fits(["first-one"], told.upper(), body)
    assert not fits(["second-one"], told, body)
    assert not fits(["first-one"], told, body + b" ")
    assert not fits(["first-one"], b"", body)
    assert fits([], b"", body)
