"""Operations of the HTTP API about privacy. Written by tools/make_client.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cliffwatch.client.transport import Transport


class PrivacyApi(Transport):
    """Privacy."""

    def list_deletions(self) -> Iterator[dict[str, Any]]:
        """Requests to delete people, the newest first.

        Needs the role admin, or a token of scope admin.
        """
        return self._pages("/deletions")

    def delete_person(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Delete a person.

        Their events and facts are deleted in every source of the workspace, within moments and for good. Needs the
        role admin, or a token of scope admin.
        """
        found: dict[str, Any] = self._ask("POST", "/deletions", body=body)
        return found

    def get_deletion(self, deletion_id: int) -> dict[str, Any]:
        """One request to delete a person.

        Needs the role admin, or a token of scope admin.
        """
        found: dict[str, Any] = self._ask("GET", f"/deletions/{deletion_id}")
        return found
