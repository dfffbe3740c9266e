"""Addresses that Segment delivers to: the only writer of their table, with the look-up of the door in memory."""

from __future__ import annotations

import builtins
import secrets
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select, update

from cliffwatch.db import Database
from cliffwatch.db.doors import DeliveryAddressRow
from cliffwatch.errors import InvalidInput, NotFound
from cliffwatch.ingest.deliveries.model import DESTINATION_NAMES, PREVIOUS_SECRET_MS, DeliveryAddress
from cliffwatch.ingest.model import Source
from cliffwatch.ingest.sources import Sources

_MAX_NAMES = 20


class Deliveries:
    """Connected sources and where Segment delivers their events."""

    def __init__(self, database: Database, sources: Sources) -> None:
        self._database = database
        self._sources = sources
        self._lock = threading.Lock()
        self._by_token: Mapping[str, DeliveryAddress] | None = None
        self._names: Mapping[int, frozenset[str]] = {}

    def create_source(
        self,
        workspace_id: int,
        name: str,
        now: int,
        *,
        archive_days: int = 0,
        signing_secret: str = "",
        destination_names: Sequence[str] = (),
    ) -> tuple[Source, DeliveryAddress]:
        """A connected source with the address that Segment delivers to.

        With 0 archive days only what data streams measure is kept; with more, the selected properties of selected
        events are kept for so long. The source's write key is the API key of the Direct form.
        """
        secret, names = _checked_secret(signing_secret), _checked_names(destination_names)
        source = self._sources.create(workspace_id, name, now, archive_days=archive_days, kind="connected")
        return source, self._add(source.id, secret, names, now)

    def add(self, workspace_id: int, source_id: int, now: int, *, signing_secret: str = "") -> DeliveryAddress:
        """One more address of a connected source, valid beside the others."""
        source = self._connected(workspace_id, source_id)
        return self._add(source.id, _checked_secret(signing_secret), (), now)

    def list(self, workspace_id: int, source_id: int) -> builtins.list[DeliveryAddress]:
        """The addresses of a source that are not revoked, oldest first."""
        self._sources.get(workspace_id, source_id)
        with self._database.read() as session:
            rows = session.scalars(
                select(DeliveryAddressRow)
                .where(DeliveryAddressRow.source_id == source_id, DeliveryAddressRow.revoked_ms.is_(None))
                .order_by(DeliveryAddressRow.id)
            )
            return [_address(row) for row in rows]

    def get(self, workspace_id: int, source_id: int, address_id: int) -> DeliveryAddress:
        """Raises NotFound when the source has no such valid address."""
        for address in self.list(workspace_id, source_id):
            if address.id == address_id:
                return address
        raise NotFound(f"Delivery address {address_id}", "does not exist on this source, or is revoked.")

    def set_secret(self, workspace_id: int, source_id: int, address_id: int, secret: str, now: int) -> DeliveryAddress:
        """Ask for signatures with this shared secret; "" stops to look at them.

        The secret before stays good for four hours, because Segment tries deliveries again for so long.
        """
        before = self.get(workspace_id, source_id, address_id)
        secret = _checked_secret(secret)
        keep = before.signing_secret if secret and secret != before.signing_secret else before.previous_secret
        return self._change(
            before,
            signing_secret=secret,
            previous_secret=keep if secret else "",
            previous_until_ms=now + PREVIOUS_SECRET_MS if secret and keep else 0,
        )

    def set_names(self, workspace_id: int, source_id: int, address_id: int, names: Sequence[str]) -> DeliveryAddress:
        """Names by which `integrations` may speak of this destination, beside those of Segment's catalogue."""
        before = self.get(workspace_id, source_id, address_id)
        return self._change(before, destination_names="\n".join(_checked_names(names)))

    def revoke(self, workspace_id: int, source_id: int, address_id: int, now: int) -> None:
        """Deliveries to the address are refused from now on."""
        self._change(self.get(workspace_id, source_id, address_id), revoked_ms=now)

    def find_by_token(self, token: str) -> DeliveryAddress | None:
        """The address with this token, from memory."""
        if self._by_token is None:
            self.refresh()
        return (self._by_token or {}).get(token)

    def names_of(self, source_id: int) -> frozenset[str]:
        """All names by which messages may speak of the source's destination, from memory."""
        if self._by_token is None:
            self.refresh()
        return self._names.get(source_id, frozenset(DESTINATION_NAMES))

    def refresh(self) -> None:
        """Read every address anew."""
        with self._lock, self._database.read() as session:
            rows = session.scalars(select(DeliveryAddressRow).where(DeliveryAddressRow.revoked_ms.is_(None)))
            found = [_address(row) for row in rows]
            names: dict[int, set[str]] = {}
            for address in found:
                names.setdefault(address.source_id, set(DESTINATION_NAMES)).update(address.destination_names)
            self._names = {source_id: frozenset(some) for source_id, some in names.items()}
            self._by_token = {address.token: address for address in found}

    def _connected(self, workspace_id: int, source_id: int) -> Source:
        source = self._sources.get(workspace_id, source_id)
        if source.kind != "connected":
            raise InvalidInput(
                f"Source “{source.name}”", "takes events from SDKs.", "Create a source that Segment delivers to."
            )
        return source

    def _add(self, source_id: int, secret: str, names: Sequence[str], now: int) -> DeliveryAddress:
        with self._database.write() as session:
            row = DeliveryAddressRow(
                source_id=source_id,
                token=secrets.token_urlsafe(24),
                signing_secret=secret,
                previous_secret="",
                previous_until_ms=0,
                destination_names="\n".join(names),
                created_ms=now,
                revoked_ms=None,
            )
            session.add(row)
            session.flush()
            address = _address(row)
        self.refresh()
        return address

    def _change(self, before: DeliveryAddress, **values: Any) -> DeliveryAddress:
        with self._database.write() as session:
            session.execute(update(DeliveryAddressRow).where(DeliveryAddressRow.id == before.id).values(**values))
            row = session.get_one(DeliveryAddressRow, before.id)
            address = _address(row)
        self.refresh()
        return address


def _address(row: DeliveryAddressRow) -> DeliveryAddress:
    return DeliveryAddress(
        row.id,
        row.source_id,
        row.token,
        row.signing_secret,
        row.previous_secret,
        row.previous_until_ms,
        tuple(row.destination_names.splitlines()),
        row.created_ms,
        row.revoked_ms,
    )


def _checked_secret(secret: str) -> str:
    secret = secret.strip()
    if secret and not 8 <= len(secret) <= 200:
        raise InvalidInput("Shared secret", "has 8 to 200 characters.", "Use the one that the destination has.")
    return secret


def _checked_names(names: Sequence[str]) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(plain for name in names if (plain := " ".join(name.split()))))
    if len(found) > _MAX_NAMES or any(len(name) > 100 for name in found):
        raise InvalidInput("Destination names", f"are {_MAX_NAMES} at most, of 100 characters each.")
    return found
