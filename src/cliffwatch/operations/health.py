"""Whether a process should get requests: each part that an answer needs is asked, for real."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlalchemy import text

from cliffwatch.errors import CliffwatchError
from cliffwatch.services import Services

LEAST_FREE_BYTES = 100_000_000
"""Less than this on the data folder's disk, and a burst of events may not become durable."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an installation; `problem` is empty when it works."""

    name: str
    problem: str = ""

    @property
    def works(self) -> bool:
        return not self.problem


def ready(services: Services) -> list[Part]:
    """Every part and what is wrong with it. Blocking: each is really asked."""
    asked: Mapping[str, Callable[[], str]] = {
        "process": lambda: "is stopping" if services.closing.is_set() else "",
        "metadata": lambda: _metadata(services),
        "store": lambda: _store(services),
        "journal": lambda: services.ingest.stats().error,
        "disk": lambda: _disk(services),
    }
    return [Part(name, _asked(ask)) for name, ask in asked.items()]


def _asked(ask: Callable[[], str]) -> str:
    try:
        return ask()
    except CliffwatchError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 # whatever a driver raises, the part does not work; the probe must answer
        return type(error).__name__


def _metadata(services: Services) -> str:
    with services.database.read() as session:
        session.execute(text("SELECT 1"))
    return ""


def _store(services: Services) -> str:
    services.store.position("readiness")
    return ""


def _disk(services: Services) -> str:
    free = shutil.disk_usage(services.settings.data_dir).free
    if free < LEAST_FREE_BYTES:
        return (
            f"{free // 1_000_000} MB are free in the data folder; at least {LEAST_FREE_BYTES // 1_000_000} are needed"
        )
    return ""
