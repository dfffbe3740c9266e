"""Operations of the HTTP API about guidance. Written by tools/make_client.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cliffwatch.client.transport import Transport


class GuidanceApi(Transport):
    """Guidance."""

    def get_sensitivity(self, stream_id: int) -> dict[str, Any]:
        """How sensitive a stream is, what that promises, and what it sent.

        Needs the role viewer, or a token of scope read.
        """
        found: dict[str, Any] = self._ask("GET", f"/streams/{stream_id}/sensitivity")
        return found

    def set_sensitivity(self, stream_id: int, body: Mapping[str, Any]) -> dict[str, Any]:
        """Change how sensitive a stream is.

        It holds from the next run on. Needs the role editor, or a token of scope write.
        """
        found: dict[str, Any] = self._ask("PUT", f"/streams/{stream_id}/sensitivity", body=body)
        return found

    def undo_sensitivity(self, stream_id: int) -> dict[str, Any]:
        """Take the last change of a stream's sensitivity back.

        Needs the role editor, or a token of scope write.
        """
        found: dict[str, Any] = self._ask("POST", f"/streams/{stream_id}/sensitivity/undo")
        return found

    def run_backtest(self, stream_id: int, body: Mapping[str, Any]) -> dict[str, Any]:
        """What a sensitivity would have sent.

        Replays the stored history; nothing is changed. Without a start, all of it. Needs the role viewer, or a
        token of scope read.
        """
        found: dict[str, Any] = self._ask("POST", f"/streams/{stream_id}/backtest", body=body)
        return found

    def explain_point(
        self, stream_id: int, *, at: str, measure: str | None = None, slice_: str | None = None
    ) -> dict[str, Any]:
        """Why a point was expected so and judged so.

        Needs the role viewer, or a token of scope read.
        """
        found: dict[str, Any] = self._ask(
            "GET", f"/streams/{stream_id}/why", query={"at": at, "measure": measure, "slice": slice_}
        )
        return found

    def list_learning(self, stream_id: int) -> dict[str, Any]:
        """The series that are still being learned.

        Needs the role viewer, or a token of scope read.
        """
        found: dict[str, Any] = self._ask("GET", f"/streams/{stream_id}/learning")
        return found

    def list_labels(self, stream_id: int) -> dict[str, Any]:
        """What the team said of stretches of a stream's series.

        Labels, and marks of incidents. Needs the role viewer, or a token of scope read.
        """
        found: dict[str, Any] = self._ask("GET", f"/streams/{stream_id}/labels")
        return found

    def create_label(self, stream_id: int, body: Mapping[str, Any]) -> dict[str, Any]:
        """Say whether a stretch was an anomaly.

        Needs the role editor, or a token of scope write.
        """
        found: dict[str, Any] = self._ask("POST", f"/streams/{stream_id}/labels", body=body)
        return found

    def delete_label(self, stream_id: int, label_id: int) -> None:
        """Delete a label.

        Needs the role editor, or a token of scope write.
        """
        self._ask("DELETE", f"/streams/{stream_id}/labels/{label_id}")

    def restore_label(self, stream_id: int, label_id: int) -> dict[str, Any]:
        """Bring a deleted label back.

        Needs the role editor, or a token of scope write.
        """
        found: dict[str, Any] = self._ask("POST", f"/streams/{stream_id}/labels/{label_id}/restore")
        return found

    def list_marks(self, stream_id: int) -> dict[str, Any]:
        """What marks of incidents teach about a stream's series.

        Needs the role viewer, or a token of scope read.
        """
        found: dict[str, Any] = self._ask("GET", f"/streams/{stream_id}/marks")
        return found
