"""What commands share: how errors are said, and where settings come from."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

import click

from cliffwatch.errors import CliffwatchError

if TYPE_CHECKING:
    from cliffwatch.settings import Settings

P = ParamSpec("P")

EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
DATA_DIR = click.option(
    "--data-dir", type=click.Path(path_type=Path), help="Folder that holds everything.  [default: data]"
)


def clear_errors(command: Callable[P, None]) -> Callable[P, None]:
    """Turn an error that a person can act on into its message and exit code 1, without a traceback."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except CliffwatchError as error:
            click.secho("Error: ", fg="red", bold=True, nl=False, err=True)
            click.echo(str(error), err=True)
            sys.exit(1)

    return run


def load_settings(**given: object) -> Settings:
    """Settings from options, environment, file and defaults; a wrong one is named with its rule."""
    from pydantic import ValidationError

    from cliffwatch.errors import InvalidInput
    from cliffwatch.settings import Settings

    options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    try:
        return Settings(**options)
    except ValidationError as error:
        first = error.errors()[0]
        name = "_".join(str(part) for part in first["loc"])
        raise InvalidInput(
            f"setting {name}", f"{first['msg']}.", f"Set CLIFFWATCH_{name.upper()} or the option of that name."
        ) from error
