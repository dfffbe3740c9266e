"""Forms are small and arrive soon: what is neither is refused before anybody holds it."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator

import httpx2
import pytest
import uvicorn
from fastapi import FastAPI
from tests.web.conftest import House

from cliffwatch.ingest import patience
from cliffwatch.ingest.patience import PatientProtocol
from cliffwatch.web.bodies import MAX_FORM_BYTES, SmallBodies
from cliffwatch.web.forms import PostedForm

TYPE = {"content-type": "application/x-www-form-urlencoded"}


def endless() -> Iterator[bytes]:
    """A body that never says how long it is."""
    for _ in range(MAX_FORM_BYTES // 1_000 + 2):
        yield b"a=" + b"x" * 998


def test_a_form_that_is_too_large_is_refused_before_it_is_held(house: House) -> None:
    answer = house.client(None).post("/sign-in", content=b"a=" + b"x" * MAX_FORM_BYTES, headers=TYPE)
    assert answer.status_code == 413


def test_a_form_that_hides_its_size_is_refused_when_it_is_too_large(house: House) -> None:
    answer = httpx2.post(f"{house.address}/sign-in", content=endless(), headers=TYPE)
    assert answer.status_code == 413
    assert "too much at once" in answer.text


def app_with_little_patience() -> FastAPI:
    app = FastAPI()
    app.add_middleware(SmallBodies, seconds=0.2)

    @app.post("/form")
    async def take(posted: PostedForm) -> str:
        return posted.text("a")

    return app


def test_a_form_that_drips_over_a_socket_is_told_so_and_its_connection_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "BODY_SECONDS", 1.0)
    config = uvicorn.Config(app_with_little_patience(), http=PatientProtocol, lifespan="off", log_level="error")
    server, listener = uvicorn.Server(config), socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    held = b""
    with socket.create_connection(listener.getsockname(), timeout=0.1) as wire:
        wire.sendall(b"POST /form HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n")
        wire.sendall(b"Content-Length: 100000\r\n\r\na=")
        for _ in range(600):
            try:
                if not (said := wire.recv(65_536)):
                    break
                held += said
            except TimeoutError:
                wire.sendall(b"1")
            except ConnectionError:
                break
        else:
            pytest.fail("the connection is still open")
    server.should_exit = True
    thread.join(20)
    assert held.startswith(b"HTTP/1.1 408 ")
    assert held.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(("pause", "status"), [(0.0, 200), (5.0, 408)])
def test_a_form_that_trickles_in_for_ever_is_let_go(pause: float, status: int) -> None:
    async def slowly() -> AsyncIterator[bytes]:
        yield b"a="
        await asyncio.sleep(pause)
        yield b"1"

    async def ask() -> int:
        transport = httpx2.ASGITransport(app=app_with_little_patience())
        async with httpx2.AsyncClient(transport=transport, base_url="http://here") as client:
            return (await client.post("/form", content=slowly(), headers=TYPE)).status_code

    assert asyncio.run(ask()) == status
