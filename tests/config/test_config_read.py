"""Reading a configuration file: what YAML means, and complaints with their line."""

from __future__ import annotations

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from cliffwatch.config import Document, read, schema, to_yaml
from cliffwatch.errors import InvalidInput

FILE = """\
version: 1
channels:
  - name: Alerts
    kind: slack
    settings: {webhook_url: "${env:SLACK_URL}"}
    quiet: {start: 22:00, end: 07:00}
policies:
  - name: On call
    steps:
      - channels: [Alerts]
      - {after_minutes: 15, channels: [Alerts], urgent: true}
streams:
  - name: Orders
    source: Website
    spec_type: track
    events: [Order Completed, no]
    schedule: {frequency_minutes: 180, anchor: 01:30, time_zone: Europe/Oslo}
monitors:
  - name: Everything
    enabled: false
"""


def test_clock_times_and_the_word_no_are_text() -> None:
    document, _ = read(FILE)
    assert document.channels is not None
    assert document.streams is not None
    assert document.channels[0].quiet is not None
    assert document.channels[0].quiet.start == "22:00"
    assert document.streams[0].schedule.anchor == "01:30"
    assert document.streams[0].events == ["Order Completed", "no"]


def test_a_section_that_is_left_out_is_not_an_empty_one() -> None:
    document, _ = read("version: 1\nstreams: []\n")
    assert (document.streams, document.monitors) == ([], None)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "f.yaml: is empty"),
        ("- a\n", "must be a mapping"),
        ("version: 1\nstreams: [\n", "f.yaml, line 3: is not YAML"),
        ("version: 2\n", "f.yaml, line 1, version: "),
        ("version: 1\nversion: 1\n", "f.yaml, line 2: says 'version' a second time"),
        ("version: 1\n? [a]\n: 1\n", "f.yaml, line 2: has a key that is not plain text"),
        (FILE.replace("kind: slack", "kimd: slack"), "f.yaml, line 3, channels[0].kind: is needed. (1 more after it.)"),
        (FILE.replace("after_minutes: 15", "after_minutes: -1"), "f.yaml, line 11, policies[0].steps[1].after_minutes"),
        (b"version: 1\nstreams: \xff\n", "f.yaml: is not YAML in UTF-8"),
        ("a: &a [*a]\n", "f.yaml, line 1: makes the file too large or too deep"),
    ],
)
def test_a_complaint_names_the_file_the_line_and_the_rule(text: str | bytes, told: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read(text, "f.yaml")
    assert told in str(caught.value)


def test_a_small_file_cannot_become_a_large_one_by_aliases() -> None:
    levels = "\n".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12))
    with pytest.raises(InvalidInput, match="too large or too deep"):
        read(f"a0: &a0 [x]\n{levels}\n")


def test_a_document_written_as_yaml_is_read_as_it_was() -> None:
    written = to_yaml(read(FILE)[0])
    assert to_yaml(read(written)[0]) == written
    assert read(written)[0].channels == read(FILE)[0].channels


def test_the_schema_takes_what_the_reader_takes_and_refuses_what_it_refuses() -> None:
    document, _ = read(FILE)
    plain = document.model_dump(mode="json", exclude_none=True)
    jsonschema.validate(plain, schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**plain, "stream": []}, schema())


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=300), st.binary(max_size=200), st.text("ab:-[]{}&*!|>'\"#\n 01", max_size=200)))
def test_any_text_is_a_document_or_a_clear_error(text: str | bytes) -> None:
    try:
        document, _ = read(text)
    except InvalidInput:
        return
    assert isinstance(document, Document)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(["version", "channels", "policies", "streams", "monitors"]), JSON))
def test_any_values_in_its_sections_are_a_document_or_a_clear_error(value: dict[str, object]) -> None:
    try:
        document, _ = read(yaml.safe_dump(value))
    except InvalidInput:
        return
    assert isinstance(document, Document)
