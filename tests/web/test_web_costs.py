"""A page asks the databases as often for many streams and sources as for few."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event
from tests.owners import set_up_owner
from tests.web.conftest import DEFINITION, NOW, OWNER, PASSWORD, House

from cliffwatch.store.duckdb_file import DuckDBFile
from cliffwatch.streams import parse

NAMES = ("Order Completed", "Signed Up", "Product Viewed", "Cart Viewed", "Video Playback Started")


@contextmanager
def counted(house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """How often the metadata and the event store are asked meanwhile."""
    counts: Counter[str] = Counter()

    def hear(*_: Any) -> None:
        counts["metadata"] += 1

    reader = DuckDBFile.reader

    def counting(self: DuckDBFile) -> Any:
        counts["events"] += 1
        return reader(self)

    engine = house.services.database.engine
    with monkeypatch.context() as patch:
        patch.setattr(DuckDBFile, "reader", counting)
        event.listen(engine, "before_cursor_execute", hear)
        yield counts
        event.remove(engine, "before_cursor_execute", hear)


def more(house: House, workspace_id: int, sources: int, streams: int) -> None:
    """Sources that have seen what templates look for, and streams that have run."""
    services = house.services
    for number in range(sources):
        source = services.sources.create(workspace_id, f"Source {number}", NOW)
        for name in NAMES:
            body = {"event": name, "userId": "u1", "properties": {"revenue": 9.5, "country": "DE"}}
            sent = house.client(None).post("/v1/track", auth=(source.write_key, ""), json=body)
            assert sent.status_code == 200
        for one in range(streams):
            services.streams.create(workspace_id, source.id, f"Stream {number}-{one}", parse(DEFINITION), NOW)
    assert services.ingest.wait_absorbed(20)
    while services.pipeline.work():
        pass


def test_no_page_asks_once_per_stream_or_source(new_house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = set_up_owner(new_house.services.accounts, NOW, email=OWNER, password=PASSWORD)
    more(new_house, owner.workspace.id, sources=1, streams=1)
    client = new_house.client()

    def cost(page: str) -> tuple[int, int]:
        """(questions to the metadata, to the event store): the fewest of some visits, for what is read once a minute
        is remembered, and the server has other work, too."""
        visits = []
        for _ in range(5):
            with counted(new_house, monkeypatch) as counts:
                assert client.get(page).status_code == 200
            visits.append((counts["metadata"], counts["events"]))
        return min(visits)

    pages = ("/streams", "/", "/streams/1", "/streams/new", "/sources")
    few = {page: cost(page) for page in pages}
    more(new_house, owner.workspace.id, sources=2, streams=2)
    assert {page: cost(page) for page in pages} == few
    assert few["/streams"][1] == 1
