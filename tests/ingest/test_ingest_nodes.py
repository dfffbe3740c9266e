"""Several doors, each with a journal of its own, before one store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx2

from cliffwatch.clock import system_clock
from cliffwatch.ingest import Ingest


async def _no_page(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("the door takes it")


def test_a_message_that_comes_through_two_nodes_counts_once(own_server: Callable[..., Any]) -> None:
    server = own_server()
    source = server.new_source()
    other = Ingest(
        server.folder / "journal of another node",
        database=server.database,
        store=server.store,
        sources=server.sources,
        catalogue=server.catalogue,
        projector=server.projector,
        clock=system_clock,
    )
    other.start()
    batch = {"batch": [{"type": "track", "event": "E", "userId": "u", "messageId": f"m-{n}"} for n in range(50)]}

    async def send() -> None:
        through = httpx2.ASGITransport(app=other.door(_no_page))
        async with httpx2.AsyncClient(transport=through, base_url="http://node") as client:
            for _ in range(2):
                answer = await client.post("/v1/batch", json=batch, auth=(source.write_key, ""))
                assert answer.status_code == 200

    for _ in range(2):
        asyncio.run(send())
        answer = httpx2.post(f"{server.url}/v1/batch", json=batch, auth=(source.write_key, ""))
        assert answer.status_code == 200
    assert other.wait_absorbed()
    assert len(server.stored(source)) == 50
    assert server.counted(source) == 50
    other.stop()
