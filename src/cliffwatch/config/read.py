"""Reads a configuration file: YAML 1.2's core schema, every complaint with its line.

YAML 1.1 reads `22:00` as 1320 and `no` as false; quiet hours and Norway are neither. What a file refers to by aliases
counts each time, so that a small file cannot become a large one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml
from pydantic import ValidationError

from cliffwatch.api.problems import rule_of
from cliffwatch.config.document import Document
from cliffwatch.errors import InvalidInput

MAX_BYTES = 5_000_000
MAX_NODES = 200_000
MAX_DEPTH = 40

Path = tuple[str | int, ...]
Lines = Mapping[Path, int]

_NULL = re.compile(r"~|null|Null|NULL|")
_TRUE, _FALSE = re.compile("true|True|TRUE"), re.compile("false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_STRING = "tag:yaml.org,2002:str"


def read(text: str | bytes, name: str = "the file") -> tuple[Document, Lines]:
    """The document and the line of each of its parts, from 1. Raises InvalidInput naming the line and the rule."""
    if len(text) > MAX_BYTES:
        raise InvalidInput(name, f"is larger than {MAX_BYTES:,} bytes.", "Split it into several files.")
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}, line {mark.line + 1}" if mark else name
        raise InvalidInput(where, f"is not YAML: {error.problem or error.context}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InvalidInput(name, "is not YAML in UTF-8.", str(error).splitlines()[0]) from error
    if node is None:
        raise InvalidInput(name, "is empty.", "`cliffwatch export` writes what there is now.")
    lines: dict[Path, int] = {}
    value = built(node, (), lines, name)
    if not isinstance(value, dict):
        raise InvalidInput(name, "must be a mapping with `version: 1` and sections such as `streams:`.")
    try:
        document = Document.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = tuple(first["loc"])
        count = error.error_count()
        more = f" ({count - 1} more after it.)" if count > 1 else ""
        subject = f"{name}, line {line_of(place, lines)}, {dotted(place)}"
        raise InvalidInput(subject, f"{rule_of(first)}.{more}") from error
    return document, lines


def built(node: yaml.Node, path: Path, lines: dict[Path, int], name: str) -> Any:
    """A node's plain value; notes the line of each part."""
    line = node.start_mark.line + 1
    lines[path] = line
    if len(lines) > MAX_NODES or len(path) > MAX_DEPTH:
        raise InvalidInput(f"{name}, line {line}", "makes the file too large or too deep.", "Use fewer aliases.")
    if isinstance(node, yaml.ScalarNode):
        return scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return [built(one, (*path, i), lines, name) for i, one in enumerate(node.value)]
    found: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key_line = key_node.start_mark.line + 1
        if not isinstance(key_node, yaml.ScalarNode):
            raise InvalidInput(f"{name}, line {key_line}", "has a key that is not plain text.")
        key = str(key_node.value)
        if key in found:
            raise InvalidInput(f"{name}, line {key_line}", f"says {key!r} a second time.", "Keep one of them.")
        found[key] = built(value_node, (*path, key), lines, name)
    return found


def scalar(node: yaml.ScalarNode) -> Any:
    """The value of plain or quoted text by YAML 1.2's core schema (10.3.2)."""
    text = str(node.value)
    if node.style is not None or node.tag == _STRING:
        return text
    if _NULL.fullmatch(text):
        return None
    if _TRUE.fullmatch(text) or _FALSE.fullmatch(text):
        return bool(_TRUE.fullmatch(text))
    if _INT.fullmatch(text) and len(text) < 30:
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def line_of(path: Path, lines: Lines) -> int:
    """The line of a part, or of the nearest part around it that is there."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


def dotted(path: Path) -> str:
    """`streams[0].measures[1].path`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "the document"
