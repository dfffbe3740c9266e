"""Lucide icons as inline SVG, from the vendored sprite."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from markupsafe import Markup

SPRITE = Path(__file__).parent / "static/vendor/icons.svg"
_SYMBOL = re.compile(r'<symbol id="([^"]+)"[^>]*>(.*?)</symbol>', re.DOTALL)


@cache
def _shapes() -> dict[str, str]:
    return dict(_SYMBOL.findall(SPRITE.read_text()))


def icon(name: str, css: str = "") -> Markup:
    """An icon that screen readers skip; the text beside it, or the label of its button, says what it means.

    Raises KeyError for a name that tools/vendor.py did not bring.
    """
    return Markup(  # noqa: S704 - shapes come from our own file, `css` from our templates
        f'<svg class="{f"icon {css}".strip()}" viewBox="0 0 24 24" aria-hidden="true" focusable="false">'
        f"{_shapes()[name]}</svg>"
    )
