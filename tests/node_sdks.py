"""Runs a program of tests/node over the real SDKs from npm, and gives what it printed."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[1]


def node_environment() -> dict[str, str]:
    """In which Node finds the SDKs."""
    folder = Path(os.environ.get("CLIFFWATCH_NODE_MODULES", REPOSITORY / ".cache" / "node" / "node_modules"))
    assert (folder / "@segment").is_dir(), (
        f"{folder} does not hold the packages of tests/node/package.json; script/test installs them, "
        "or set CLIFFWATCH_NODE_MODULES"
    )
    return {**os.environ, "NODE_PATH": str(folder), "NODE_NO_WARNINGS": "1"}


def run_node(program: str, given: Any, *, seconds: float = 90) -> Any:
    """What `program` (a file of tests/node) says to `given`: the JSON of its last line."""
    done = subprocess.run(
        ["node", str(REPOSITORY / "tests" / "node" / program), json.dumps(given)],
        env=node_environment(),
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.strip().splitlines()[-1])
