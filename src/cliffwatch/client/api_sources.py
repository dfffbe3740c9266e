"""Operations of the HTTP API about sources. Written by tools/make_client.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cliffwatch.client.transport import Transport


class SourcesApi(Transport):
    """Sources."""

    def list_sources(self) -> Iterator[dict[str, Any]]:
        """The workspace's sources.

        Needs the role viewer, or a token of scope read.
        """
        return self._pages("/sources")

    def create_source(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create a source.

        Needs the role admin, or a token of scope admin.
        """
        found: dict[str, Any] = self._ask("POST", "/sources", body=body)
        return found

    def get_source(self, source_id: int) -> dict[str, Any]:
        """One source.

        Needs the role viewer, or a token of scope read.
        """
        found: dict[str, Any] = self._ask("GET", f"/sources/{source_id}")
        return found

    def update_source(self, source_id: int, body: Mapping[str, Any]) -> dict[str, Any]:
        """Change a source.

        Needs the role admin, or a token of scope admin.
        """
        found: dict[str, Any] = self._ask("PATCH", f"/sources/{source_id}", body=body)
        return found

    def list_write_keys(self, source_id: int) -> Iterator[dict[str, Any]]:
        """The write keys of a source.

        Needs the role admin, or a token of scope admin.
        """
        return self._pages(f"/sources/{source_id}/keys")

    def create_write_key(self, source_id: int) -> dict[str, Any]:
        """Add a write key.

        The others stay valid, so that SDKs can be moved to the new one without a gap. Needs the role admin, or a
        token of scope admin.
        """
        found: dict[str, Any] = self._ask("POST", f"/sources/{source_id}/keys")
        return found

    def revoke_write_key(self, source_id: int, key_id: int) -> None:
        """Revoke a write key.

        Events that are sent with it are refused from now on. Needs the role admin, or a token of scope admin.
        """
        self._ask("DELETE", f"/sources/{source_id}/keys/{key_id}")

    def list_addresses(self, source_id: int) -> Iterator[dict[str, Any]]:
        """The addresses that Segment delivers to.

        Needs the role admin, or a token of scope admin.
        """
        return self._pages(f"/sources/{source_id}/addresses")

    def create_address(self, source_id: int, body: Mapping[str, Any]) -> dict[str, Any]:
        """Add an address.

        Only connected sources have addresses. The others stay valid. Needs the role admin, or a token of scope
        admin.
        """
        found: dict[str, Any] = self._ask("POST", f"/sources/{source_id}/addresses", body=body)
        return found

    def change_address(self, source_id: int, address_id: int, body: Mapping[str, Any]) -> dict[str, Any]:
        """Change an address.

        A new shared secret is good at once; the one before stays good for four hours. Needs the role admin, or a
        token of scope admin.
        """
        found: dict[str, Any] = self._ask("PATCH", f"/sources/{source_id}/addresses/{address_id}", body=body)
        return found

    def revoke_address(self, source_id: int, address_id: int) -> None:
        """Revoke an address.

        Needs the role admin, or a token of scope admin.
        """
        self._ask("DELETE", f"/sources/{source_id}/addresses/{address_id}")

    def list_oauth_keys(self, source_id: int) -> Iterator[dict[str, Any]]:
        """The OAuth keys of a source.

        Needs the role admin, or a token of scope admin.
        """
        return self._pages(f"/sources/{source_id}/oauth-keys")

    def create_oauth_key(self, source_id: int, body: Mapping[str, Any]) -> dict[str, Any]:
        """Add an OAuth key.

        Needs the role admin, or a token of scope admin.
        """
        found: dict[str, Any] = self._ask("POST", f"/sources/{source_id}/oauth-keys", body=body)
        return found

    def revoke_oauth_key(self, source_id: int, oauth_key_id: int) -> None:
        """Revoke an OAuth key.

        Its tokens are refused at once. Needs the role admin, or a token of scope admin.
        """
        self._ask("DELETE", f"/sources/{source_id}/oauth-keys/{oauth_key_id}")

    def list_rules(self, source_id: int) -> Iterator[dict[str, Any]]:
        """The privacy rules of a source.

        Needs the role admin, or a token of scope admin.
        """
        return self._pages(f"/sources/{source_id}/rules")

    def create_rule(self, source_id: int, body: Mapping[str, Any]) -> dict[str, Any]:
        """Add a privacy rule.

        Needs the role admin, or a token of scope admin.
        """
        found: dict[str, Any] = self._ask("POST", f"/sources/{source_id}/rules", body=body)
        return found

    def remove_rule(self, source_id: int, rule_id: int) -> None:
        """Remove a privacy rule.

        The property is kept again, of what arrives from now on. Needs the role admin, or a token of scope admin.
        """
        self._ask("DELETE", f"/sources/{source_id}/rules/{rule_id}")

    def list_events(
        self, source_id: int, *, kind: str | None = None, search: str | None = None, limit: int | None = None
    ) -> dict[str, Any]:
        """The events seen on a source, the most frequent first.

        A source has at most a few thousand event names; there is one page of them. Needs the role viewer, or a
        token of scope read.
        """
        found: dict[str, Any] = self._ask(
            "GET", f"/sources/{source_id}/catalogue", query={"kind": kind, "search": search, "limit": limit}
        )
        return found

    def list_properties(self, source_id: int, *, kind: str, name: Sequence[str] | None = None) -> dict[str, Any]:
        """The property paths of events.

        Needs the role viewer, or a token of scope read.
        """
        found: dict[str, Any] = self._ask(
            "GET", f"/sources/{source_id}/catalogue/properties", query={"kind": kind, "name": name}
        )
        return found

    def get_verdicts(self, source_id: int, *, since: str | None = None) -> dict[str, Any]:
        """Messages of a source by what became of them.

        Needs the role viewer, or a token of scope read.
        """
        found: dict[str, Any] = self._ask("GET", f"/sources/{source_id}/verdicts", query={"since": since})
        return found

    def list_quarantine(
        self, source_id: int, *, reason: str | None = None, search: str | None = None
    ) -> Iterator[dict[str, Any]]:
        """Rejected messages of a source, the newest first.

        Needs the role viewer, or a token of scope read.
        """
        return self._pages(f"/sources/{source_id}/quarantine", query={"reason": reason, "search": search})

    def replay_quarantine(self, source_id: int, body: Mapping[str, Any]) -> dict[str, Any]:
        """Send rejected messages through the rules again.

        They keep the time at which they came; a message that is replayed twice counts once. Needs the role editor,
        or a token of scope write.
        """
        found: dict[str, Any] = self._ask("POST", f"/sources/{source_id}/quarantine/replay", body=body)
        return found
