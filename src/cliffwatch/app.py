"""The composition root: settings -> stores -> services -> routes. The only place that knows everyone."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog
import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp

from cliffwatch import logs
from cliffwatch.accounts import Accounts
from cliffwatch.api import create_api
from cliffwatch.clock import Clock, system_clock
from cliffwatch.connections import PREFIX, Connections, Outgoing
from cliffwatch.db import Database, open_keys
from cliffwatch.engage import Engage
from cliffwatch.engage.profiles import PREFIX as PROFILES
from cliffwatch.engage.profiles import Profiles
from cliffwatch.errors import InvalidInput
from cliffwatch.folder import DELIVERIES, IMPORT, JOURNAL, UPLOADS
from cliffwatch.goals import Goals
from cliffwatch.guidance import Guidance
from cliffwatch.incidents import Incidents, MaintenanceWindows, Monitors, Moves, SavedFilters, Shares, Triage
from cliffwatch.ingest import Arrivals, Catalogue, Ingest, Sources
from cliffwatch.ingest.patience import PatientProtocol
from cliffwatch.jobs import Jobs
from cliffwatch.notify import Channels, Inbox, MailSettings, Outbox, PointCharts
from cliffwatch.notify.digests import Digests
from cliffwatch.notify.links import Links
from cliffwatch.notify.noise import NoiseReviews
from cliffwatch.notify.routing import Routing
from cliffwatch.notify.watcher import Beats, Watcher
from cliffwatch.operations import Front, Metrics
from cliffwatch.operations.backup import BackupWorker
from cliffwatch.operations.move import refuse_moved
from cliffwatch.pipeline import Around, Pipeline, Previews
from cliffwatch.services import Services
from cliffwatch.settings import Settings
from cliffwatch.sso import SingleSignOn, SsoSettings, sso_settings
from cliffwatch.store import EventStore, open_store
from cliffwatch.streams import StreamProjector, Streams, StreamSelection
from cliffwatch.web import create_pages

if TYPE_CHECKING:
    from uvicorn.config import Config

log = structlog.get_logger(__name__)

GRACE_SECONDS = 10


class Application:
    """One running installation: its services, and the ASGI application that serves them."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.backups = BackupWorker(services)
        self.asgi: ASGIApp = services.ingest.door(Front(self._pages(), services, Metrics(services)))

    @classmethod
    def open(cls, settings: Settings, *, clock: Clock = system_clock, inbox: Inbox | None = None) -> Application:
        """Open the stores and build every service. Raises InvalidInput or Unavailable with what to do about it."""
        prepare_folder(settings.data_dir)
        refuse_moved(settings)
        database = open_database(settings)
        database.migrate()
        store = open_store(settings.effective_store, memory_limit=settings.duckdb_memory)
        return cls(build_services(settings, database, store, clock=clock, inbox=inbox))

    def start(self) -> None:
        """Begin to absorb events and to run what is due."""
        self.services.ingest.start()
        self.services.pipeline.start()
        self.services.watcher.start()
        self.services.connections.start()
        self.services.engage.start()
        self.backups.start()

    def close(self) -> None:
        """Finish what is under way and close the stores, in the order in which data flows."""
        self.backups.stop()
        self.services.previews.close()
        self.services.watcher.stop()
        self.services.pipeline.stop()
        self.services.engage.stop()
        self.services.connections.stop_importing()
        self.services.ingest.stop()
        self.services.connections.stop()  # after the absorber, which still writes down what destinations get
        self.services.store.close()
        self.services.database.close()

    def _pages(self) -> FastAPI:
        @contextlib.asynccontextmanager
        async def lifespan(_: FastAPI) -> AsyncIterator[None]:
            self.start()
            yield
            self.close()

        pages = create_pages(self.services, lifespan=lifespan)
        pages.mount("/api/v1", create_api(self.services))
        services = self.services
        profiles = Profiles(services.accounts, services.engage, services.sources, services.store, services.clock)
        pages.mount(PROFILES, profiles.application())  # before what stands above its address
        pages.mount(PREFIX, self.services.connections.application())
        return pages


def build_services(
    settings: Settings,
    database: Database,
    store: EventStore,
    *,
    clock: Clock = system_clock,
    inbox: Inbox | None = None,
) -> Services:
    """Every room's service over these stores: the one wiring, for the command and for tests."""
    accounts, sources, catalogue = Accounts(database), Sources(database), Catalogue(database)
    arrivals = Arrivals(database)
    jobs, incidents, channels = Jobs(database), Incidents(database), Channels(database, apprise=settings.apprise)
    monitors, goals = Monitors(database), Goals(database)
    streams, guidance = Streams(database, store, jobs), Guidance(database)
    projector = StreamProjector(streams)
    private = settings.allow_private_urls
    outgoing = Outgoing(settings.data_dir / DELIVERIES, database, clock, allow_private=private)
    ingest = Ingest(
        settings.data_dir / JOURNAL,
        database=database,
        store=store,
        sources=sources,
        catalogue=catalogue,
        projector=outgoing.tapped(projector),
        selection=StreamSelection(streams),
        arrivals=arrivals,
        clock=clock,
        strict_auth=settings.strict_auth,
        base_url=settings.base_url,
        max_queue_bytes=settings.max_queue_mb * 1_000_000,
    )
    ingest.deletions.also_from(outgoing)
    connections = Connections(
        database=database,
        accounts=accounts,
        sources=sources,
        catalogue=catalogue,
        ingest=ingest,
        outgoing=outgoing,
        jobs=jobs,
        clock=clock,
        uploads=settings.data_dir / UPLOADS,
        exports=settings.import_dir or settings.data_dir / IMPORT,
        allow_private=private,
    )
    engage = Engage(
        database=database,
        store=store,
        sources=sources,
        streams=streams,
        ingest=ingest,
        clock=clock,
        allow_private=private,
    )
    charts = PointCharts(store)
    outbox = Outbox(
        database,
        mail=mail_settings(settings),
        base_url=settings.effective_base_url,
        allow_private_urls=settings.allow_private_urls,
        charts=charts,
        apprise=settings.apprise,
    )
    incidents.tells(outbox.enqueue)
    digests = Digests(database, outbox, settings.effective_base_url, charts)
    watcher = Watcher(
        database,
        outbox,
        clock=clock,
        base_url=settings.effective_base_url,
        probe=lambda: store.position("watcher"),
        ping_url=settings.heartbeat_url,
        also=(digests.send_due,),
    )
    around = Around(
        store=store, streams=streams, incidents=incidents, catalogue=catalogue, arrivals=arrivals, guidance=guidance
    )
    pipeline = Pipeline(
        database=database,
        store=store,
        accounts=accounts,
        streams=streams,
        projector=projector,
        jobs=jobs,
        incidents=incidents,
        outbox=outbox,
        guidance=guidance,
        arrivals=arrivals,
        goals=goals,
        clock=clock,
        beat=Beats(database).beat,
        verdict=around.verdict,
    )
    return Services(
        settings=settings,
        clock=clock,
        database=database,
        store=store,
        accounts=accounts,
        sources=sources,
        catalogue=catalogue,
        arrivals=arrivals,
        ingest=ingest,
        streams=streams,
        jobs=jobs,
        incidents=incidents,
        guidance=guidance,
        goals=goals,
        moves=Moves(database),
        shares=Shares(database),
        triage=Triage(),
        filters=SavedFilters(database),
        monitors=monitors,
        maintenance=MaintenanceWindows(database),
        routing=Routing(database),
        links=Links(database, settings.effective_base_url),
        channels=channels,
        outbox=outbox,
        digests=digests,
        noise=NoiseReviews(database, incidents, monitors, guidance),
        watcher=watcher,
        pipeline=pipeline,
        previews=Previews(store, clock),
        connections=connections,
        engage=engage,
        around=around,
        mail=mail_settings(settings),
        sso=SingleSignOn(oidc_settings(settings), accounts, database.keys, settings.effective_base_url),
        inbox=inbox,
    )


def serve_forever(settings: Settings, ready: Callable[[Application, str], None], *, inbox: Inbox | None = None) -> None:
    """Serve until SIGTERM or Ctrl+C. `ready` is called with the address once requests are answered."""
    logs.configure(settings.log_level, as_json=settings.log_json)
    listener = listen(settings.host, settings.port)
    port = listener.getsockname()[1]
    settings = settings.model_copy(update={"port": port})
    with contextlib.closing(listener):
        application = Application.open(settings, inbox=inbox)
        config = uvicorn.Config(
            application.asgi,
            loop="uvloop",
            http=PatientProtocol,
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            **_transport(settings),
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        closing = application.services.closing.set
        _Server(config, lambda: ready(application, settings.effective_base_url), closing).run(sockets=[listener])


def _transport(settings: Settings) -> dict[str, Any]:
    """TLS, and which proxies are believed when they say whom they speak for. Raises InvalidInput."""
    found: dict[str, Any] = {
        "proxy_headers": bool(settings.trusted_proxies),
        "forwarded_allow_ips": settings.trusted_proxies or "",
    }
    if settings.tls_certificate is not None:
        key = settings.tls_key or settings.tls_certificate
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(settings.tls_certificate, key)
        except (OSError, ssl.SSLError) as error:
            raise InvalidInput(
                f"TLS certificate {settings.tls_certificate}",
                f"cannot be used ({error}).",
                "Give PEM files that belong together: CLIFFWATCH_TLS_CERTIFICATE and CLIFFWATCH_TLS_KEY.",
            ) from error
        found |= {"ssl_certfile": str(settings.tls_certificate), "ssl_keyfile": str(key)}
    return found


class _Server(uvicorn.Server):
    def __init__(self, config: Config, ready: Callable[[], None], closing: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready
        self._closing = closing

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        if self.started:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._closing()  # answers without an end, such as live events, end now
        await super().shutdown(sockets=sockets)


@contextlib.contextmanager
def opened_accounts(settings: Settings) -> Iterator[Accounts]:
    """The people of an installation, whether or not its service is running."""
    prepare_folder(settings.data_dir)
    database = open_database(settings)
    try:
        database.migrate()
        yield Accounts(database)
    finally:
        database.close()


def open_database(settings: Settings) -> Database:
    """The metadata database with the keys that its secrets are sealed with. Raises InvalidInput."""
    keys = open_keys(settings.secret_key, settings.effective_key_file)
    return Database(settings.effective_metadata_url, keys=keys)


def mail_settings(settings: Settings) -> MailSettings:
    return MailSettings(
        host=settings.smtp_host,
        port=settings.smtp_port,
        user=settings.smtp_user,
        password=settings.smtp_password,
        security=settings.smtp_security,
        sender=settings.mail_from,
    )


def oidc_settings(settings: Settings) -> SsoSettings:
    return sso_settings(
        issuer=settings.oidc_issuer,
        client_id=settings.oidc_client_id,
        client_secret=settings.oidc_client_secret,
        name=settings.oidc_name,
        domains=settings.oidc_domains,
        group_claim=settings.oidc_group_claim,
        roles=settings.oidc_roles,
        default_role=settings.oidc_default_role,
        allow_private=settings.oidc_allow_private,
    )


def prepare_folder(folder: Path) -> None:
    """Make sure that the data folder is there and can be written."""
    probe = folder / ".writable"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InvalidInput(
            f"data folder {folder}",
            f"cannot be written ({error.strerror}).",
            "Give this user the right to write there, or choose another: --data-dir or CLIFFWATCH_DATA_DIR.",
        ) from error


def listen(host: str, port: int) -> socket.socket:
    """A listening socket, taken before anything is opened, so that a port in use is found at once."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise InvalidInput(
            f"address {host}:{port}",
            f"cannot be listened on ({error.strerror}).",
            "Stop the program that uses it, or choose another port: --port or CLIFFWATCH_PORT.",
        ) from error
    return listener
