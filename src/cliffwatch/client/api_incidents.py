"""Operations of the HTTP API about incidents. Written by tools/make_client.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cliffwatch.client.transport import Transport


class IncidentsApi(Transport):
    """Incidents."""

    def list_incidents(
        self, *, state: Sequence[str] | None = None, stream_id: int | None = None, owner: str | None = None
    ) -> Iterator[dict[str, Any]]:
        """The workspace's incidents, the newest first.

        Needs the role viewer, or a token of scope read.
        """
        return self._pages("/incidents", query={"state": state, "stream_id": stream_id, "owner": owner})

    def get_incident(self, number: int) -> dict[str, Any]:
        """One incident.

        Needs the role viewer, or a token of scope read.
        """
        found: dict[str, Any] = self._ask("GET", f"/incidents/{number}")
        return found

    def look_around(self, number: int) -> dict[str, Any]:
        """What happened around an incident: its verdict, and what else moved.

        Whether tracking broke or business fell, with the evidence; other streams, the source's health and what
        people wrote down that they did, ranked by how well they fit. Needs the role viewer, or a token of scope
        read.
        """
        found: dict[str, Any] = self._ask("GET", f"/incidents/{number}/around")
        return found

    def acknowledge_incident(self, number: int) -> dict[str, Any]:
        """Take an incident on.

        Needs the role editor, or a token of scope write.
        """
        found: dict[str, Any] = self._ask("POST", f"/incidents/{number}/acknowledge")
        return found

    def snooze_incident(self, number: int, body: Mapping[str, Any]) -> dict[str, Any]:
        """Keep an incident quiet until a time.

        Needs the role editor, or a token of scope write.
        """
        found: dict[str, Any] = self._ask("POST", f"/incidents/{number}/snooze", body=body)
        return found

    def resolve_incident(self, number: int) -> dict[str, Any]:
        """Say that an incident is over.

        Needs the role editor, or a token of scope write.
        """
        found: dict[str, Any] = self._ask("POST", f"/incidents/{number}/resolve")
        return found

    def mark_false_alarm(self, number: int) -> dict[str, Any]:
        """Say that nothing had happened.

        Needs the role editor, or a token of scope write.
        """
        found: dict[str, Any] = self._ask("POST", f"/incidents/{number}/false-alarm")
        return found

    def mark_expected(self, number: int) -> dict[str, Any]:
        """Say that it was meant to happen.

        Needs the role editor, or a token of scope write.
        """
        found: dict[str, Any] = self._ask("POST", f"/incidents/{number}/expected")
        return found

    def mark_new_normal(self, number: int) -> dict[str, Any]:
        """Say that it happened and stays.

        Needs the role editor, or a token of scope write.
        """
        found: dict[str, Any] = self._ask("POST", f"/incidents/{number}/new-normal")
        return found

    def undo_mark(self, number: int) -> dict[str, Any]:
        """Let the mark of an incident teach nothing.

        The incident stays as it was marked; the band, the base line and the forecast are as without it. Needs the
        role editor, or a token of scope write.
        """
        found: dict[str, Any] = self._ask("POST", f"/incidents/{number}/undo-mark")
        return found

    def renew_mark(self, number: int) -> dict[str, Any]:
        """Let an undone mark teach again.

        Needs the role editor, or a token of scope write.
        """
        found: dict[str, Any] = self._ask("POST", f"/incidents/{number}/renew-mark")
        return found

    def reopen_incident(self, number: int) -> dict[str, Any]:
        """Open an incident again.

        Needs the role editor, or a token of scope write.
        """
        found: dict[str, Any] = self._ask("POST", f"/incidents/{number}/reopen")
        return found

    def comment_on_incident(self, number: int, body: Mapping[str, Any]) -> dict[str, Any]:
        """Leave a remark on an incident.

        Needs the role editor, or a token of scope write.
        """
        found: dict[str, Any] = self._ask("POST", f"/incidents/{number}/comment", body=body)
        return found

    def merge_incident(self, number: int, body: Mapping[str, Any]) -> dict[str, Any]:
        """Make an incident part of another one.

        Answers with the surviving incident. What comes later of either joins it; messages keep their threads. Needs
        the role editor, or a token of scope write.
        """
        found: dict[str, Any] = self._ask("POST", f"/incidents/{number}/merge", body=body)
        return found

    def split_incident(self, number: int, body: Mapping[str, Any]) -> dict[str, Any]:
        """Take anomalies out into an incident of their own.

        Answers with the new incident. Needs the role editor, or a token of scope write.
        """
        found: dict[str, Any] = self._ask("POST", f"/incidents/{number}/split", body=body)
        return found

    def list_moves(self, number: int) -> dict[str, Any]:
        """What was merged into an incident, or split off, by hand.

        Needs the role viewer, or a token of scope read.
        """
        found: dict[str, Any] = self._ask("GET", f"/incidents/{number}/moves")
        return found

    def undo_move(self, number: int, move_id: int) -> dict[str, Any]:
        """Take a merge or a split back.

        Needs the role editor, or a token of scope write.
        """
        found: dict[str, Any] = self._ask("POST", f"/incidents/{number}/moves/{move_id}/undo")
        return found

    def list_shares(self, number: int) -> dict[str, Any]:
        """Links by which anybody may read an incident.

        Needs the role editor, or a token of scope write.
        """
        found: dict[str, Any] = self._ask("GET", f"/incidents/{number}/shares")
        return found

    def create_share(self, number: int, body: Mapping[str, Any]) -> dict[str, Any]:
        """Make a link by which anybody may read an incident.

        Needs the role editor, or a token of scope write.
        """
        found: dict[str, Any] = self._ask("POST", f"/incidents/{number}/shares", body=body)
        return found

    def revoke_share(self, number: int, share_id: int) -> None:
        """Revoke a share link.

        Needs the role editor, or a token of scope write.
        """
        self._ask("DELETE", f"/incidents/{number}/shares/{share_id}")

    def export_incident(self, number: int) -> Any:
        """An incident as Markdown.

        The whole story as a document: figures, why, what else moved, and what was done. Needs the role viewer, or a
        token of scope read.
        """
        found: Any = self._ask("GET", f"/incidents/{number}/export")
        return found

    def triage_incidents(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """One step with many incidents at once.

        Needs the role editor, or a token of scope write.
        """
        found: dict[str, Any] = self._ask("POST", "/incidents/triage", body=body)
        return found

    def undo_triage(self, triage_id: int) -> dict[str, Any]:
        """Take a step with many incidents back.

        One's own; what somebody has touched since stays as it is. Needs the role editor, or a token of scope write.
        """
        found: dict[str, Any] = self._ask("POST", f"/incidents/triage/{triage_id}/undo")
        return found

    def list_filters(self) -> Iterator[dict[str, Any]]:
        """Saved filters of the list of incidents: one's own, and those that are shared.

        Needs the role viewer, or a token of scope read.
        """
        return self._pages("/filters")

    def save_filter(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Save a filter under a name.

        Needs the role editor, or a token of scope write.
        """
        found: dict[str, Any] = self._ask("POST", "/filters", body=body)
        return found

    def get_filter(self, filter_id: int) -> dict[str, Any]:
        """One saved filter.

        Needs the role viewer, or a token of scope read.
        """
        found: dict[str, Any] = self._ask("GET", f"/filters/{filter_id}")
        return found

    def delete_filter(self, filter_id: int) -> None:
        """Delete a saved filter of one's own.

        Needs the role editor, or a token of scope write.
        """
        self._ask("DELETE", f"/filters/{filter_id}")

    def restore_filter(self, filter_id: int) -> dict[str, Any]:
        """Bring a deleted filter back.

        Needs the role editor, or a token of scope write.
        """
        found: dict[str, Any] = self._ask("POST", f"/filters/{filter_id}/restore")
        return found
