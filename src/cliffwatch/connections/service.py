"""The room's service: connections, apps, destinations and imports over the services below."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starlette.routing import BaseRoute, Mount, Router

from cliffwatch.accounts import Accounts
from cliffwatch.buckets import Buckets
from cliffwatch.clock import Clock
from cliffwatch.connections.delivery.service import Outgoing
from cliffwatch.connections.http import oauth
from cliffwatch.connections.http.config_api import ConfigApi
from cliffwatch.connections.http.filters import FiltersApi
from cliffwatch.connections.http.metrics import Metrics
from cliffwatch.connections.http.public_api import PublicApi
from cliffwatch.connections.imports.store import Imports
from cliffwatch.connections.imports.worker import Importer
from cliffwatch.connections.library import Integration
from cliffwatch.connections.model import Connection, Install, Method
from cliffwatch.connections.oauth.apps import Apps
from cliffwatch.connections.oauth.authorise import Authorisations, checked_name
from cliffwatch.connections.oauth.server import Server
from cliffwatch.connections.remote import asker
from cliffwatch.connections.segment import SegmentTokens
from cliffwatch.connections.store import ConnectionStore
from cliffwatch.db import Database
from cliffwatch.ingest import Catalogue, Ingest, Sources
from cliffwatch.jobs import Jobs


class Connections:
    """One per process. `start` begins to deliver and to import, `stop` ends it."""

    def __init__(
        self,
        *,
        database: Database,
        accounts: Accounts,
        sources: Sources,
        catalogue: Catalogue,
        ingest: Ingest,
        outgoing: Outgoing,
        jobs: Jobs,
        buckets: Buckets,
        clock: Clock,
        uploads: Path,
        exports: Path,
        allow_private: bool,
    ) -> None:
        """`uploads` keeps files that people upload, `exports` is where the operator lays those of a warehouse."""
        self._accounts = accounts
        self._sources = sources
        self._catalogue = catalogue
        self._ingest = ingest
        self._clock = clock
        self._outgoing = outgoing
        self._buckets = buckets
        ask = asker(allow_private=allow_private)
        self.store = ConnectionStore(database)
        self.apps = Apps(database)
        self.server = Server(self.apps, self.names, clock)
        self.destinations = outgoing.destinations
        self.forwarder = outgoing.forwarder
        self.authorisations = Authorisations(database, sources, self.store, ask, clock)
        self.imports = Imports(database, jobs)
        self.importer = Importer(
            self.imports,
            jobs,
            database,
            ingest,
            clock,
            uploads=uploads,
            exports=exports,
            allow_private=allow_private,
        )
        self.segment = SegmentTokens(sources, ingest.deliveries, self.store, ask, clock)

    def routes(self) -> list[BaseRoute]:
        """What answers other programs in Segment's shape, to be mounted at `endpoints.PREFIX`."""
        config = ConfigApi(self.server, self._accounts, self._sources, self.destinations, self._clock, self._buckets)
        public = PublicApi(self._accounts, self._sources, self.destinations, self._clock, self._buckets)
        metrics = Metrics(public, self._sources, self._catalogue, self._ingest, self.destinations)
        filters = FiltersApi(public, self.destinations)
        here = [*public.routes(), *metrics.routes(), *filters.routes()]
        return [*oauth.routes(self.server), *config.routes(), Mount("/public", routes=here)]

    def application(self) -> Router:
        return Router(self.routes(), redirect_slashes=False)

    def start(self, *, imports: bool = True) -> None:
        self._outgoing.start()
        if imports:
            self.importer.start()

    def take_over(self, folder: Path) -> None:
        """Deliver what another process left in its delivery journal. Raises Conflict when that process runs."""
        self._outgoing.take_over(folder)

    def stop_importing(self) -> None:
        """Call it before ingest stops, which takes what is imported."""
        self.importer.stop()

    def stop(self) -> None:
        """Call it after ingest has stopped."""
        self._outgoing.stop()

    def names(self, install: Install) -> tuple[str, str]:
        """(workspaces/<slug>, workspaces/<slug>/sources/<slug>), as Segment names them."""
        workspace = self._accounts.workspace(install.workspace_id)
        source = self._sources.get(install.workspace_id, install.source_id)
        return f"workspaces/{workspace.slug}", f"workspaces/{workspace.slug}/sources/{source.slug}"

    def connect_sdk(self, workspace_id: int, integration: Integration, name: str) -> Connection:
        """A built-in source with a write key, for whatever speaks the tracking API. Raises InvalidInput."""
        name = checked_name(name)
        now = self._clock()
        source = self._sources.create(workspace_id, name, now)
        return self.store.add(workspace_id, source.id, integration.key, Method.WRITE_KEY, name, {}, {}, now)

    def connect_import(
        self, workspace_id: int, integration: Integration, name: str, method: Method, remote: Mapping[str, Any]
    ) -> Connection:
        """A built-in source that imports fill. Raises InvalidInput."""
        name, now = checked_name(name), self._clock()
        source = self._sources.create(workspace_id, name, now)
        return self.store.add(workspace_id, source.id, integration.key, method, name, remote, {}, now)

    def disconnect(self, connection: Connection) -> None:
        """End a connection, at the other side first. The source and what was measured stay; the source is switched off.

        Raises what the other side's answers raise; then nothing changed here.
        """
        if connection.method is Method.AUTHORISE:
            self.authorisations.disconnect(connection, self._secret(connection))
        if connection.method is Method.TOKEN:
            self.segment.disconnect(connection, self._secret(connection))
        self.forget(connection)

    def forget(self, connection: Connection) -> None:
        """End a connection here, whatever the other side says."""
        self._sources.update(connection.workspace_id, connection.source_id, enabled=False)
        self.store.remove(connection.workspace_id, connection.id)

    def segment_metrics(self, connection: Connection) -> Mapping[str, int]:
        """What the other side says of its deliveries. Raises what its answers raise."""
        return self.segment.metrics(connection, self._secret(connection))

    def _secret(self, connection: Connection) -> Mapping[str, Any]:
        return self.store.secret(connection.workspace_id, connection.id)
