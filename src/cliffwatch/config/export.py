"""A document as YAML that people like to read, and that `read` gives back as it was."""

from __future__ import annotations

from typing import Any

import yaml

from cliffwatch.config.document import KINDS, Document, StreamItem

HEAD = """\
# Cliffwatch configuration. `cliffwatch plan FILE` shows what differs, `cliffwatch apply FILE` makes it so.
# Things are known by their names. Secrets are references: ${env:NAME} or ${file:/path}.
"""


class Dumper(yaml.SafeDumper):
    """Indents lists below their key."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        del indentless
        super().increase_indent(flow, indentless=False)


def to_yaml(document: Document) -> str:
    """Without what is as it is by default; a stream's definition stays whole, to be read without knowing defaults."""
    value: dict[str, Any] = {"version": document.version}
    for kind in KINDS:
        items = document.items(kind)
        if items is not None:
            value[kind] = [led(shown(item)) for item in items]
    text: str = yaml.dump(value, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=110)
    return f"{HEAD}{text}"


def shown(item: Any) -> dict[str, Any]:
    plain: dict[str, Any] = item.model_dump(mode="json", exclude_defaults=True)
    if isinstance(item, StreamItem):
        definition = {key: value for key, value in item.definition().items() if value not in ("", [])}
        plain = {key: value for key, value in plain.items() if key in ("name", "source", "paused")} | definition
    return plain


def led(item: dict[str, Any]) -> dict[str, Any]:
    """With its name first."""
    first = [key for key in ("name", "source", "audience", "kind", "stream") if key in item]
    return {key: item[key] for key in (*first, *(key for key in item if key not in first))}
