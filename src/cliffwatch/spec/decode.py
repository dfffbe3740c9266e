"""JSON as clients really send it: strict and quick first, forgiving where one bad value would cost the good ones.

Python's client writes bare NaN and Infinity, JavaScript's writes lone surrogates and NUL as escapes, and bodies in
odd encodings exist (segment-spec, 1.4). Such values become null or U+FFFD; only text that is no JSON at all fails.
"""

from __future__ import annotations

import json
import math

import msgspec

from cliffwatch.errors import InvalidInput

_decode_strict = msgspec.json.Decoder().decode
_REPLACEMENT = "\ufffd"


def decode_json(data: bytes) -> object:
    """The JSON value of `data`. Raises InvalidInput when it is not JSON, or nested beyond reason.

    The strings of the result can be encoded as UTF-8 and hold no NUL; its numbers are finite.
    """
    if b"\\u0000" not in data:
        try:
            return _decode_strict(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            pass  # one odd value is enough; the forgiving way decides
        except RecursionError as error:
            raise _malformed("is nested too deeply") from error
    return _decode_forgiving(data)


def _decode_forgiving(data: bytes) -> object:
    try:
        text = data.decode(json.detect_encoding(data), "replace")
        return scrub(json.loads(text.removeprefix("\ufeff"), strict=False, parse_constant=lambda _: None))
    except RecursionError as error:
        raise _malformed("is nested too deeply") from error
    except ValueError as error:
        raise _malformed(f"is not JSON ({error})") from error


def scrub(value: object) -> object:
    """The value with NUL and lone surrogates replaced by U+FFFD and numbers that are not finite by None."""
    if isinstance(value, str):
        return _scrub_text(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        return [scrub(item) for item in value]
    if isinstance(value, dict):
        return {_scrub_text(key): scrub(item) for key, item in value.items()}
    return value


def _scrub_text(text: str) -> str:
    if text.isascii():
        return text.replace("\0", _REPLACEMENT) if "\0" in text else text
    # Escaped halves of a pair have been joined by the JSON parser; what is left alone becomes "?" bytes on encoding.
    joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return joined.replace("\0", _REPLACEMENT)


def _malformed(rule: str) -> InvalidInput:
    return InvalidInput("The body", f"{rule}.", "Send one message or a batch of messages as JSON.")
