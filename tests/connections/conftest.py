"""Two real servers in one process: one that is asked, one that asks; and what a browser and a program do with them."""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx2
import pytest
import uvicorn
from tests.databases import Backend
from tests.owners import EMAIL, NOW, PASSWORD, owned

from cliffwatch.accounts import SESSION_COOKIE, Identity, Scope
from cliffwatch.app import Application
from cliffwatch.connections import App
from cliffwatch.ingest import Source
from cliffwatch.processes import listen
from cliffwatch.services import Services
from cliffwatch.settings import Settings


class HandClock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


@dataclass
class Side:
    """One installation with its owner signed in."""

    address: str
    application: Application
    owner: Identity
    clock: HandClock
    browser: httpx2.Client

    @property
    def services(self) -> Services:
        return self.application.services

    @property
    def workspace(self) -> int:
        return self.owner.workspace.id

    def sources(self) -> list[Source]:
        return self.services.sources.list(self.workspace)

    def post(self, path: str, form: dict[str, str]) -> httpx2.Response:
        """What a form of a page posts."""
        return self.browser.post(self.address + path, data=form, headers={"sec-fetch-site": "same-origin"})

    def token(self, scope: str = "admin") -> str:
        person = self.owner.person
        assert person is not None
        _, plain = self.services.accounts.create_token(
            self.workspace, person.id, scope, Scope(scope), expires_ms=None, now=self.clock()
        )
        return plain


@contextmanager
def running(folder: Path, metadata_url: str, **given: Any) -> Iterator[Side]:
    """A side with its data in this folder; the metadata database has its owner."""
    folder.mkdir(exist_ok=True)
    clock = HandClock()
    listener = listen("127.0.0.1", 0)
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    settings = Settings(
        **{"data_dir": folder, "metadata_url": metadata_url, "log_level": "error", "allow_private_urls": True, **given}
    )
    application = Application.open(settings, clock=clock)
    services = application.services
    services.ingest.start()
    server = uvicorn.Server(uvicorn.Config(application.asgi, lifespan="off", log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    session = services.accounts.sign_in(EMAIL, PASSWORD, address="127.0.0.1", user_agent="test", now=NOW)
    owner = services.accounts.session(session, NOW)
    assert owner is not None
    with httpx2.Client(cookies={SESSION_COOKIE: session}, follow_redirects=False, timeout=20) as browser:
        yield Side(address, application, owner, clock, browser)
    server.should_exit = True
    thread.join(10)
    application.close()


@dataclass
class Pair:
    """`asked` has a source and an app; `asking` has the app's secret."""

    asking: Side
    asked: Side
    source: Source
    app: App
    secret: str

    @property
    def redirect_uri(self) -> str:
        return f"{self.asking.address}/integrations/callback"

    @property
    def basic(self) -> dict[str, str]:
        return basic(self.app.client_id, self.secret)

    def begin(self, name: str = "Web shop") -> str:
        """Name it and click Authorise; gives the address of the other side's authorise page."""
        page = self.asking.post(
            "/integrations/segment",
            {
                "method": "authorise",
                "name": name,
                "region": "own",
                "address": self.asked.address,
                "client_id": self.app.client_id,
                "client_secret": self.secret,
            },
        )
        assert page.status_code == 200, page.text
        to = re.search(r"/integrations/authorise/\d+", page.text)
        assert to is not None
        return self.asking.browser.get(self.asking.address + to[0]).headers["location"]

    def answer(self, authorise: str, decision: str = "allow", source: int | None = None) -> str:
        """Decide on the authorise page; gives the address that the browser is sent back to."""
        query = dict(parse_qsl(urlsplit(authorise).query))
        form = {
            **query,
            "workspace": str(self.asked.workspace),
            "source": str(source or self.source.id),
            "decision": decision,
        }
        answer = self.asked.post("/segment/oauth2/auth", form)
        assert answer.status_code == 303, answer.text
        return str(answer.headers["location"])

    def connect(self) -> httpx2.Response:
        return self.asking.browser.get(self.answer(self.begin()))

    def exchange(
        self, code: str, verifier: str, headers: dict[str, str] | None = None, **changes: str
    ) -> httpx2.Response:
        """Ask the token endpoint as a program does."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "code_verifier": verifier,
            **changes,
        }
        return httpx2.post(f"{self.asked.address}/segment/oauth2/token", data=form, headers=headers or self.basic)

    def nothing_is_left(self) -> bool:
        """No source, connection or destination at either side."""
        asking, asked = self.asking, self.asked
        return (
            asking.sources() == []
            and list(asking.services.connections.store.list(asking.workspace)) == []
            and list(asked.services.connections.destinations.list(asked.workspace)) == []
        )


def basic(user: str, password: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def query_of(address: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}


def said(page: httpx2.Response) -> str:
    """The text of a page."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page.text.partition("<main")[2])).split())


@pytest.fixture
def metadata_url(tmp_path: Path, backend: Backend) -> str:
    return backend.copy(owned, tmp_path)


@pytest.fixture
def side(tmp_path: Path, metadata_url: str) -> Iterator[Side]:
    with running(tmp_path, metadata_url) as side:
        yield side


@pytest.fixture
def pair(tmp_path: Path, metadata_url: str, backend: Backend) -> Iterator[Pair]:
    (tmp_path / "asked").mkdir()
    other_url = backend.copy(owned, tmp_path / "asked")
    with running(tmp_path, metadata_url) as asking, running(tmp_path / "asked", other_url) as asked:
        source = asked.services.sources.create(asked.workspace, "Shop", NOW)
        redirect = f"{asking.address}/integrations/callback"
        app, secret = asked.services.connections.apps.create(asked.workspace, "Analytics", [redirect], NOW)
        yield Pair(asking, asked, source, app, secret)
