"""The documents say what the product does: checked against the code that they speak of."""

from __future__ import annotations

import dataclasses
import re
import shlex
from pathlib import Path

import click
import pytest

from cliffwatch import cli
from cliffwatch.notify import KINDS
from cliffwatch.settings import Settings

ROOT = Path(__file__).parent.parent


def commands(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], click.Command]]:
    found: list[tuple[tuple[str, ...], click.Command]] = []
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            found += commands(command, (*path, name))
        else:
            found.append(((*path, name), command))
    return found


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_each_setting_is_documented_with_its_default_and_meaning(name: str) -> None:
    text = (ROOT / "docs/settings.md").read_text()
    field = Settings.model_fields[name]
    assert f"| `CLIFFWATCH_{name.upper()}` | {default_of(name)} | {field.description} |" in text


def default_of(name: str) -> str:
    value = Settings.model_fields[name].default
    return f"`{value}`" if str(value) else "(empty)"


@pytest.mark.parametrize(("path", "command"), commands(cli.main), ids=str)
def test_each_command_and_option_is_documented(path: tuple[str, ...], command: click.Command) -> None:
    text = (ROOT / "docs/command-line.md").read_text()
    section = text.partition(f"## cliffwatch {' '.join(path)}\n")[2].partition("\n## ")[0]
    assert section, f"docs/command-line.md has no section '## cliffwatch {' '.join(path)}'"
    for parameter in command.params:
        for option in parameter.opts if isinstance(parameter, click.Option) else ():
            assert f"`{option}" in section, f"{option} of {' '.join(path)} is not documented"


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_each_kind_of_channel_is_documented_with_its_settings(kind: str) -> None:
    (line,) = [row for row in (ROOT / "docs/channels.md").read_text().splitlines() if row.startswith(f"| `{kind}` |")]
    for field in dataclasses.fields(KINDS[kind].settings):
        assert f"`{field.name}`" in line


def test_each_cliffwatch_command_in_the_readme_exists() -> None:
    known = {path for path, _ in commands(cli.main)}
    lines = re.findall(r"^(?:\$ )?(?:\.venv/bin/)?cliffwatch (.+)$", (ROOT / "README.md").read_text(), re.M)
    assert lines
    for line in lines:
        words = tuple(word for word in shlex.split(line, comments=True) if not word.startswith("-"))
        assert any(words[: len(path)] == path for path in known), line


def test_the_readme_names_the_two_scripts_that_do_everything() -> None:
    text = (ROOT / "README.md").read_text()
    assert "script/demo" in text
    assert "script/test" in text


def test_each_room_says_what_it_takes_and_gives() -> None:
    rooms = [path for path in (ROOT / "src/cliffwatch").glob("*/__init__.py") if path.parent.name != "migrations"]
    silent = [path.parent.name for path in rooms if not path.read_text().lstrip().startswith('"""')]
    assert silent == []


def test_nothing_in_the_repository_names_a_registry_or_a_lock_file_with_addresses() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        assert "://" not in (ROOT / name).read_text()
    assert not (ROOT / "uv.lock").exists()
