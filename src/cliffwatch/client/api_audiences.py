"""Operations of the HTTP API about audiences. Written by tools/make_client.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cliffwatch.client.transport import Transport


class AudiencesApi(Transport):
    """Audiences."""

    def list_audiences(self) -> Iterator[dict[str, Any]]:
        """The workspace's audiences and computed traits.

        Needs the role viewer, or a token of scope read.
        """
        return self._pages("/audiences")

    def create_audience(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create an audience or a computed trait.

        Needs the role editor, or a token of scope write.
        """
        found: dict[str, Any] = self._ask("POST", "/audiences", body=body)
        return found

    def list_deleted_audiences(self) -> dict[str, Any]:
        """The deleted audiences and traits that can still be brought back.

        Needs the role viewer, or a token of scope read.
        """
        found: dict[str, Any] = self._ask("GET", "/audiences/deleted")
        return found

    def preview_audience(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """How many people a query finds, and some of them.

        Nothing is saved. 503 while it is still being read: ask again. Needs the role viewer, or a token of scope
        read.
        """
        found: dict[str, Any] = self._ask("POST", "/audiences/preview", body=body)
        return found

    def get_audience(self, audience_id: int) -> dict[str, Any]:
        """One audience or computed trait.

        Needs the role viewer, or a token of scope read.
        """
        found: dict[str, Any] = self._ask("GET", f"/audiences/{audience_id}")
        return found

    def change_audience(self, audience_id: int, body: Mapping[str, Any]) -> dict[str, Any]:
        """Change an audience or a computed trait.

        Needs the role editor, or a token of scope write.
        """
        found: dict[str, Any] = self._ask("PATCH", f"/audiences/{audience_id}", body=body)
        return found

    def delete_audience(self, audience_id: int) -> None:
        """Delete an audience or a computed trait.

        It is computed and sent no more, and can be brought back for 7 days; its key is never used again. Needs the
        role editor, or a token of scope write.
        """
        self._ask("DELETE", f"/audiences/{audience_id}")

    def restore_audience(self, audience_id: int) -> dict[str, Any]:
        """Bring a deleted audience or trait back.

        Needs the role editor, or a token of scope write.
        """
        found: dict[str, Any] = self._ask("POST", f"/audiences/{audience_id}/restore")
        return found

    def list_members(self, audience_id: int) -> Iterator[dict[str, Any]]:
        """Who is in it, or has a value.

        Needs the role viewer, or a token of scope read.
        """
        return self._pages(f"/audiences/{audience_id}/members")

    def list_transitions(self, audience_id: int) -> Iterator[dict[str, Any]]:
        """Who came and went, the newest first.

        Those after the first computation. Needs the role viewer, or a token of scope read.
        """
        return self._pages(f"/audiences/{audience_id}/transitions")

    def list_evaluations(self, audience_id: int) -> Iterator[dict[str, Any]]:
        """Its size over time, the newest first.

        Needs the role viewer, or a token of scope read.
        """
        return self._pages(f"/audiences/{audience_id}/evaluations")

    def list_syncs(self) -> Iterator[dict[str, Any]]:
        """Where the workspace's audiences and traits are sent.

        Needs the role viewer, or a token of scope read.
        """
        return self._pages("/syncs")

    def create_sync(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Begin to send an audience or a trait somewhere.

        Needs the role admin, or a token of scope admin.
        """
        found: dict[str, Any] = self._ask("POST", "/syncs", body=body)
        return found

    def get_sync(self, sync_id: int) -> dict[str, Any]:
        """One sync.

        Needs the role viewer, or a token of scope read.
        """
        found: dict[str, Any] = self._ask("GET", f"/syncs/{sync_id}")
        return found

    def change_sync(self, sync_id: int, body: Mapping[str, Any]) -> dict[str, Any]:
        """Change a sync: its name, secrets, mode, rate; pause and resume it.

        Needs the role admin, or a token of scope admin.
        """
        found: dict[str, Any] = self._ask("PATCH", f"/syncs/{sync_id}", body=body)
        return found

    def delete_sync(self, sync_id: int) -> None:
        """Send nothing there any more.

        What was sent stays there. Needs the role admin, or a token of scope admin.
        """
        self._ask("DELETE", f"/syncs/{sync_id}")

    def list_sync_runs(self, sync_id: int) -> Iterator[dict[str, Any]]:
        """What a sync sent, the newest first.

        Needs the role viewer, or a token of scope read.
        """
        return self._pages(f"/syncs/{sync_id}/runs")
