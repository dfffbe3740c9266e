"""A migrated SQLite database with a workspace, a member and two streams, and short ways to say "anomaly"."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from tests.databases import Backend

from cliffwatch.db import Database
from cliffwatch.db.people import MembershipRow, PersonRow, WorkspaceRow
from cliffwatch.db.sources import SourceRow
from cliffwatch.db.streams import StreamRow
from cliffwatch.incidents import AnomalyReport, Cause, Incidents, Transition
from cliffwatch.streams.model import TOTAL, Slice, make_slice

HOUR = 3_600_000
MINUTE = 60_000
T0 = 1_795_953_600_000  # Sun 29 Nov 2026, 12:00 UTC
REVENUE, CHECKOUT = 1, 2


@dataclass(frozen=True, slots=True)
class Somebody:
    id: int
    email: str
    name: str


@dataclass(frozen=True, slots=True)
class Place:
    id: int
    name: str
    slug: str
    time_zone: str
    country: str | None
    created_ms: int


def report(**changes: Any) -> AnomalyReport:
    """Revenue's total, 31 % below expected in the hour from T0, and going on."""
    base = AnomalyReport(
        workspace_id=1,
        stream_id=REVENUE,
        measure="sum(properties.revenue)",
        measure_name="Revenue",
        unit="USD",
        slice=TOTAL,
        kind="dip",
        direction=-1,
        start_ms=T0,
        end_ms=T0 + HOUR,
        ongoing=True,
        actual=690.0,
        expected=1000.0,
        score=-6.0,
        stream_name="Orders",
        additive=True,
    )
    return replace(base, **changes)


def cause(*slices: dict[str, str], sentence: str = "It comes from there.") -> Cause:
    return Cause({"causes": [{"slice": slice_, "share": 0.9} for slice_ in slices]}, sentence)


Because = Cause | Callable[[AnomalyReport], Cause | None] | None


@dataclass
class World:
    """An installation's incidents with a clock that the test moves."""

    database: Database
    incidents: Incidents
    workspace: Place
    person: Somebody
    explained: list[AnomalyReport] = field(default_factory=list)

    def take(
        self,
        reports: Sequence[AnomalyReport],
        *,
        end: int = T0 + HOUR,
        stream: int = REVENUE,
        because: Because = None,
        now: int | None = None,
        rescored: int | None = None,
    ) -> list[Transition]:
        explain = self._explaining(because)
        with self.database.write() as session:
            return self.incidents.take(
                session,
                self.workspace,  # type: ignore[arg-type]
                reports,
                explain,
                end + 2 * MINUTE if now is None else now,
                stream_id=stream,
                window_end_ms=end,
                rescored_from_ms=rescored,
            )

    def take_live(self, reports: Sequence[AnomalyReport], *, because: Because = None) -> list[Transition]:
        now, explain = max(report.end_ms for report in reports), self._explaining(because)
        with self.database.write() as session:
            return self.incidents.take_live(
                session,
                self.workspace,  # type: ignore[arg-type]
                reports,
                explain,
                now,
                stream_id=REVENUE,
            )

    def _explaining(self, because: Because) -> Callable[[AnomalyReport], Cause | None]:
        def explain(asked: AnomalyReport) -> Cause | None:
            self.explained.append(asked)
            return because(asked) if callable(because) else because

        return explain


def furnish(database: Database) -> None:
    """A workspace, a member and two streams."""
    with database.write() as session:
        session.add(WorkspaceRow(id=1, name="Shop", slug="shop", time_zone="Europe/Berlin", created_ms=0))
        session.add(WorkspaceRow(id=2, name="Other", slug="other", time_zone="UTC", created_ms=0))
        session.add(PersonRow(id=1, email="robin@shop.example", name="Robin", password_hash="", created_ms=0))
        session.flush()
        session.add(MembershipRow(workspace_id=1, person_id=1, role="owner", created_ms=0))
        session.add(SourceRow(**source_columns()))
        session.flush()
        for number, name in ((REVENUE, "Orders"), (CHECKOUT, "Checkout")):
            session.add(StreamRow(**stream_columns(number, name)))


@pytest.fixture
def world(tmp_path: Path, backend: Backend) -> Iterator[World]:
    database = Database(backend.copy(furnish, tmp_path))
    yield World(
        database,
        Incidents(database),
        Place(1, "Shop", "shop", "Europe/Berlin", "DE", 0),
        Somebody(1, "robin@shop.example", "Robin"),
    )
    database.close()


def source_columns() -> dict[str, Any]:
    return {"id": 1, "workspace_id": 1, "name": "Shop", "slug": "shop", "kind": "built_in", "archive_days": 30} | {
        "enabled": True,
        "created_ms": 0,
    }


def stream_columns(number: int, name: str) -> dict[str, Any]:
    return {
        "id": number,
        "workspace_id": 1,
        "source_id": 1,
        "name": name,
        "definition": {},
        "state": "active",
        "revision": 1,
        "facts_id": number,
        "created_ms": 0,
        "updated_ms": 0,
        "live_from_ms": 0,
    }


def of(**values: str) -> Slice:
    return make_slice({f"properties.{name}": value for name, value in values.items()})
