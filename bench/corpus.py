"""Loads a corpus of cases with known answers, which is a Python file outside this repository."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType


def load(path: Path) -> ModuleType:
    """The corpus' module; ends the program with a clear message when the file is not there."""
    if not path.exists():
        sys.exit(f"{path}: is not there. Name the corpus' Python file with --corpus.")
    spec = importlib.util.spec_from_file_location("loaded_corpus", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
