"""A source's rules applied to what arrives, before anything of it is written. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any

import msgspec

from cliffwatch.errors import InvalidInput
from cliffwatch.ingest.privacy.model import PropertyRule
from cliffwatch.spec.decode import decode_json
from cliffwatch.spec.paths import split_path

HASH_PREFIX = "hash:"


def keyed_hash(key: bytes, value: Any) -> str:
    """128 bits of keyed BLAKE2b of a value, as hex: equal values stay equal, nobody without the key learns which."""
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return HASH_PREFIX + blake2b(text.encode("utf-8", "replace"), digest_size=16, key=key).hexdigest()


class Plan:
    """The rules of one source. Traits are looked for in `traits` and in `context.traits`, arrays are gone through."""

    def __init__(self, rules: Sequence[PropertyRule], key: bytes) -> None:
        self._key = key
        self.keeps_ip = all(rule.path not in ("context", "context.ip") for rule in rules)
        self._steps = [(place, rule.action) for rule in rules for place in _places(rule.path)]

    def clean(self, body: bytes) -> bytes:
        """A body of one message, an array of messages or a batch, with the rules applied.

        Raises InvalidInput when it is no JSON: nothing can be left out of what cannot be read.
        """
        value = decode_json(body)
        self.clean_value(value)
        return msgspec.json.encode(value)

    def clean_value(self, value: object) -> None:
        """The same in place, for a decoded body."""
        if isinstance(value, list):
            for element in value:
                self.clean_value(element)
        elif isinstance(value, dict):
            for place, action in self._steps:
                self._visit(value, place, action)
            if isinstance(value.get("batch"), list):
                self.clean_value(value["batch"])

    def cleaned_or_nothing(self, body: bytes) -> bytes:
        """A body that was refused: cleaned, or a note in its place when it cannot be read."""
        try:
            return self.clean(body)
        except InvalidInput:
            return msgspec.json.encode({"not_kept": f"{len(body)} bytes that could not be read"})

    def stored_id(self, name: str, identifier: str) -> str:
        """What is kept of a userId or anonymousId."""
        hashed = any(place == (name,) and action == "hash" for place, action in self._steps)
        return keyed_hash(self._key, identifier) if hashed else identifier

    def _visit(self, value: Any, names: tuple[str, ...], action: str) -> None:
        name, rest = names[0], names[1:]
        if isinstance(value, list):
            if name.isascii() and name.isdecimal() and len(name) < 6:
                if int(name) < len(value):
                    self._change(value, int(name), rest, action)
            else:
                for element in value:
                    self._visit(element, names, action)
        elif isinstance(value, dict) and name in value:
            self._change(value, name, rest, action)

    def _change(self, holder: Any, at: Any, rest: tuple[str, ...], action: str) -> None:
        if rest:
            self._visit(holder[at], rest, action)
        elif action == "hash":
            holder[at] = _mapped(holder[at], lambda value: keyed_hash(self._key, value))
        elif isinstance(holder, dict):
            del holder[at]
        else:
            holder[at] = None


def _mapped(value: Any, change: Callable[[Any], str]) -> Any:
    """The value hashed; of an array each element, of nothing nothing, and what is hashed already stays."""
    if value is None or value == "" or (isinstance(value, str) and value.startswith(HASH_PREFIX)):
        return value
    return [_mapped(element, change) for element in value] if isinstance(value, list) else change(value)


def _places(path: str) -> list[tuple[str, ...]]:
    names = split_path(path)
    return [names, ("context", *names)] if names[0] in ("traits", "groupId") else [names]
