"""What the pages bring along: nothing was changed, nothing is missing, nothing breaks the content policy."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from cliffwatch.web.icons import icon
from cliffwatch.web.views.snippets import snippets

ROOT = Path(__file__).parents[2]
WEB = ROOT / "src/cliffwatch/web"
TEMPLATES = sorted((WEB / "templates").rglob("*.html"))


def test_vendored_files_are_as_they_were_laid_down() -> None:
    command = [sys.executable, str(ROOT / "tools/vendor.py"), "--check"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.stderr == ""
    assert done.returncode == 0


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_a_template_has_no_inline_script_or_style(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)", text)
    assert not re.search(r"\sstyle\s*=|<style|\son[a-z]+\s*=|hx-on|javascript:", text)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_a_template_asks_no_other_server(path: Path) -> None:
    assert not re.search(r'(?:src|href|action|hx-get)="(?:https?:)?//', path.read_text())


def test_every_icon_that_a_page_names_is_there() -> None:
    sources = "\n".join(path.read_text() for path in [*TEMPLATES, *WEB.rglob("*.py")])
    names = set(re.findall(r'icon\("([a-z0-9-]+)"', sources)) | set(re.findall(r'Badge\(.*, "([a-z0-9-]+)"\)', sources))
    assert len(names) > 30
    for name in names:
        assert "<svg" in icon(name)


def test_style_sheets_ask_no_other_server() -> None:
    for sheet in (WEB / "static/css").glob("*.css"):
        addresses = re.findall(r"url\(\"?([^)\"]+)", sheet.read_text())
        assert all(address.startswith(("../vendor/", "data:")) for address in addresses)


def test_snippets_carry_the_key_and_the_address_and_nothing_of_segment() -> None:
    found = snippets("KEY-1", "https://watch.example:8420")
    assert {snippet.key for snippet in found} == {"browser", "npm", "node", "python", "curl"}
    for snippet in found:
        assert "KEY-1" in snippet.code
        assert "watch.example:8420" in snippet.code
        assert "segment.com" not in snippet.code
        assert "segment.io/" not in snippet.code


def test_the_npm_snippet_keeps_every_request_on_this_server() -> None:
    code = next(one.code for one in snippets("KEY", "http://127.0.0.1:8420") if one.key == "npm")
    assert 'apiHost: "127.0.0.1:8420/v1", protocol: "http"' in code
    assert 'cdnURL: "http://127.0.0.1:8420"' in code
