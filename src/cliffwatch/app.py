"""The composition root: settings -> stores -> services -> routes. The only place that knows everyone."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import structlog
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp

from cliffwatch.accounts import Accounts
from cliffwatch.api import create_api
from cliffwatch.buckets import Buckets
from cliffwatch.clock import Clock, system_clock
from cliffwatch.connections import PREFIX, Connections, Outgoing
from cliffwatch.db import Database, open_keys
from cliffwatch.db.changes import watching
from cliffwatch.engage import Engage
from cliffwatch.engage.labels import EngageLabels
from cliffwatch.engage.profiles import PREFIX as PROFILES
from cliffwatch.engage.profiles import Profiles
from cliffwatch.errors import InvalidInput
from cliffwatch.folder import DELIVERIES, IMPORT, JOURNAL, UPLOADS
from cliffwatch.goals import Goals
from cliffwatch.guidance import Guidance
from cliffwatch.incidents import Incidents, MaintenanceWindows, Monitors, Moves, SavedFilters, Shares, Triage
from cliffwatch.ingest import Arrivals, Catalogue, Ingest, Sources
from cliffwatch.ingest.door import no_door
from cliffwatch.jobs import Jobs
from cliffwatch.loops import Loops
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
from cliffwatch.pipeline.preview import preview
from cliffwatch.processes import OwnFolder, ProcessRole, check_may_share, free_folders, own_folder
from cliffwatch.services import Services
from cliffwatch.settings import Settings
from cliffwatch.sso import SingleSignOn, SsoSettings, sso_settings
from cliffwatch.store import EventStore, open_store
from cliffwatch.streams import StreamProjector, Streams, StreamSelection
from cliffwatch.streams.backfill import MOST_PARTS
from cliffwatch.web import create_pages

log = structlog.get_logger(__name__)

LOOK_SECONDS = 15.0
"""How often it is looked for what a process left that did not come back."""


class Application:
    """One process of an installation: its services, and the ASGI application that answers for its role."""

    def __init__(self, services: Services, folder: OwnFolder | None = None) -> None:
        """`folder` is the process's own, where several share a data folder; it is let go of in `close`."""
        self.services = services
        self.role = ProcessRole(services.settings.role)
        self.backups = BackupWorker(services)
        self._folder = folder
        self._left = Loops({"left": self.take_over_left}, LOOK_SECONDS, "taking_over_failed")
        front = Front(self._pages() if self.role.shows_pages else self._no_pages(), services, Metrics(services))
        self.asgi: ASGIApp = services.ingest.door(front) if self.role.takes_events else no_door(front, self.role)

    @classmethod
    def open(cls, settings: Settings, *, clock: Clock = system_clock, inbox: Inbox | None = None) -> Application:
        """Open the stores and build every service. Raises InvalidInput or Unavailable with what to do about it."""
        check_may_share(settings)
        prepare_folder(settings.data_dir)
        refuse_moved(settings)
        database = open_database(settings)
        database.migrate()
        store = open_store(settings.effective_store, memory_limit=settings.duckdb_memory)
        folder = own_folder(settings.data_dir) if settings.is_shared else None
        own = folder.path if folder is not None else settings.data_dir
        return cls(build_services(settings, database, store, clock=clock, inbox=inbox, own=own), folder)

    def start(self) -> None:
        """Begin to absorb events, and to do what is due where that is this process's work."""
        services, works = self.services, self.role.works
        services.ingest.start(keeps_house=works)
        services.connections.start(imports=works)
        if works:
            services.pipeline.start()
            services.watcher.start()
            services.engage.start()
            self.backups.start()
        else:
            services.pipeline.start_hearing()
        if self._folder is not None:
            self._left.start()

    def close(self) -> None:
        """Finish what is under way and close the stores, in the order in which data flows."""
        self._left.stop(20.0)
        self.backups.stop()
        self.services.previews.close()
        self.services.engage.previews.close()
        self.services.watcher.stop()
        self.services.pipeline.stop()
        self.services.engage.stop()
        self.services.connections.stop_importing()
        self.services.ingest.stop()
        self.services.connections.stop()  # after the absorber, which still writes down what destinations get
        self.services.store.close()
        self.services.database.close()
        if self._folder is not None:
            self._folder.let_go()

    def take_over_left(self) -> bool:
        """Bring to the stores what processes left that shared the data folder and did not come back; False."""
        for folder in free_folders(self.services.settings.data_dir):
            try:
                if not folder.is_empty:
                    log.info("left_work_is_taken_over", folder=str(folder.path))
                    self.services.ingest.absorb_left(folder.path / JOURNAL, self._left.stopping)
                    self.services.connections.take_over(folder.path / DELIVERIES)
            finally:
                folder.let_go()
        return False

    def _pages(self) -> FastAPI:
        pages = create_pages(self.services, lifespan=self._lifespan)
        pages.mount("/api/v1", create_api(self.services))
        services = self.services
        profiles = Profiles(
            services.accounts,
            services.engage,
            services.sources,
            services.store,
            services.clock,
            services.buckets,
        )
        pages.mount(PROFILES, profiles.application())  # before what stands above its address
        pages.mount(PREFIX, self.services.connections.application())
        return pages

    def _no_pages(self) -> Starlette:
        async def none(_: Request, __: Exception) -> PlainTextResponse:
            return PlainTextResponse(f"This process has the role {self.role}: it has no pages and no API.\n", 404)

        return Starlette(lifespan=self._lifespan, exception_handlers={404: none})

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        self.start()
        yield
        self.close()


def build_services(
    settings: Settings,
    database: Database,
    store: EventStore,
    *,
    clock: Clock = system_clock,
    inbox: Inbox | None = None,
    own: Path | None = None,
) -> Services:
    """Every room's service over these stores: the one wiring, for the command and for tests. `own` is the folder that
    this process alone writes; without, the data folder."""
    own = own or settings.data_dir
    accounts, sources, catalogue = Accounts(database), Sources(database), Catalogue(database)
    arrivals = Arrivals(database)
    jobs, incidents, channels = Jobs(database), Incidents(database), Channels(database, apprise=settings.apprise)
    monitors, goals = Monitors(database), Goals(database)
    streams, guidance = Streams(database, store, jobs), Guidance(database)
    labels = EngageLabels(database, store.trails, clock)
    projector = StreamProjector(streams, labels)
    private = settings.allow_private_urls
    outgoing = Outgoing(own / DELIVERIES, database, clock, allow_private=private)
    ingest = Ingest(
        own / JOURNAL,
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
    buckets = Buckets(database)
    connections = Connections(
        database=database,
        accounts=accounts,
        sources=sources,
        catalogue=catalogue,
        ingest=ingest,
        outgoing=outgoing,
        jobs=jobs,
        buckets=buckets,
        clock=clock,
        uploads=settings.upload_dir or settings.data_dir / UPLOADS,
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
        fillers=settings.effective_backfill_threads,
        parts=MOST_PARTS if settings.store else settings.effective_backfill_threads,
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
        previews=Previews(lambda request, tell: preview(store, request, clock(), tell, labels), clock),
        buckets=buckets,
        connections=connections,
        engage=engage,
        around=around,
        mail=mail_settings(settings),
        sso=SingleSignOn(oidc_settings(settings), accounts, database.keys, settings.effective_base_url),
        inbox=inbox,
    )


@contextlib.contextmanager
def opened_accounts(settings: Settings) -> Iterator[Accounts]:
    """The people of an installation, whether or not its service is running."""
    prepare_folder(settings.data_dir)
    database = open_database(settings)
    try:
        database.migrate()
        with watching():
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
        probe.unlink(missing_ok=True)  # several processes look at once
    except OSError as error:
        raise InvalidInput(
            f"data folder {folder}",
            f"cannot be written ({error.strerror}).",
            "Give this user the right to write there, or choose another: --data-dir or CLIFFWATCH_DATA_DIR.",
        ) from error
