"""Templates to answers: one Jinja environment, versioned static files, messages that survive a redirect."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from fastapi import Request
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse, RedirectResponse, Response

HERE = Path(__file__).parent
STATIC = HERE / "static"
FLASH = "cliffwatch_flash"
THEME = "cliffwatch_theme"


@cache
def environment() -> Environment:
    from cliffwatch.web import formats
    from cliffwatch.web.icons import icon

    found = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.globals.update(icon=icon, static=static_url, plural=formats.plural)
    return found


@cache
def static_url(path: str) -> str:
    """The address of a static file with its content's hash, so that browsers may keep it for ever."""
    digest = hashlib.sha256((STATIC / path).read_bytes()).hexdigest()[:10]
    return f"/static/{path}?v={digest}"


def render(request: Request, template: str, status: int = 200, **values: Any) -> Response:
    """A page. A message left by the request before is shown once."""
    flash = _read_flash(request)
    theme = request.cookies.get(THEME, "")
    body = (
        environment()
        .get_template(template)
        .render(request=request, flash=flash, theme=theme if theme in ("light", "dark") else "", **values)
    )
    response = HTMLResponse(body, status, headers={"cache-control": "no-store"})
    if flash:
        response.delete_cookie(FLASH)
    return response


def see_other(path: str, message: str = "", *, tone: str = "good") -> Response:
    """Send the browser to a page after something was done, with a message for it to show."""
    response = RedirectResponse(path, 303)
    if message:
        response.set_cookie(FLASH, quote(f"{tone}|{message}"[:900]), max_age=60, httponly=True, samesite="lax")
    return response


def _read_flash(request: Request) -> tuple[str, str] | None:
    tone, bar, text = unquote(request.cookies.get(FLASH, "")).partition("|")
    return (tone, text) if bar and tone in ("good", "bad") else None
