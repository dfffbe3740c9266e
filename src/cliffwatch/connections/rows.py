"""Rows to frozen values. Pure."""

from __future__ import annotations

from cliffwatch.connections.delivery.filters import of_document
from cliffwatch.connections.model import App, Connection, Destination, Install, Method
from cliffwatch.db.connections import ConnectionRow, DestinationRow, OAuthAppRow, OAuthInstallRow


def connection_of(row: ConnectionRow) -> Connection:
    return Connection(
        row.id,
        row.workspace_id,
        row.source_id,
        row.integration,
        Method(row.method),
        row.name,
        row.remote,
        row.created_ms,
        row.last_error,
    )


def app_of(row: OAuthAppRow) -> App:
    return App(row.id, row.workspace_id, row.name, row.client_id, row.scope, tuple(row.redirect_uris), row.created_ms)


def install_of(row: OAuthInstallRow) -> Install:
    return Install(row.id, row.app_id, row.workspace_id, row.source_id, row.person_id, row.created_ms)


def destination_of(row: DestinationRow) -> Destination:
    return Destination(
        row.id,
        row.workspace_id,
        row.source_id,
        row.install_id,
        row.kind,
        row.slug,
        row.name,
        row.enabled,
        row.settings,
        tuple(row.mappings),
        tuple(of_document(one) for one in row.filters),
        row.created_ms,
        row.retry_ms,
        row.attempts,
        row.last_error,
        row.last_error_ms,
        row.last_delivery_ms,
    )
