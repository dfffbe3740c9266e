"""Operations of the HTTP API about streams. Written by tools/make_client.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cliffwatch.client.transport import Transport


class StreamsApi(Transport):
    """Streams."""

    def list_streams(self) -> Iterator[dict[str, Any]]:
        """The workspace's streams.

        Needs the role viewer, or a token of scope read.
        """
        return self._pages("/streams")

    def create_stream(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create a stream.

        Needs the role editor, or a token of scope write.
        """
        found: dict[str, Any] = self._ask("POST", "/streams", body=body)
        return found

    def list_deleted(self) -> dict[str, Any]:
        """The deleted streams that can still be restored.

        Needs the role viewer, or a token of scope read.
        """
        found: dict[str, Any] = self._ask("GET", "/streams/deleted")
        return found

    def get_stream(self, stream_id: int) -> dict[str, Any]:
        """One stream.

        Needs the role viewer, or a token of scope read.
        """
        found: dict[str, Any] = self._ask("GET", f"/streams/{stream_id}")
        return found

    def update_stream(self, stream_id: int, body: Mapping[str, Any], *, if_match: str | None = None) -> dict[str, Any]:
        """Change a stream.

        Its points are made anew from the archive when what it measures has changed, or when. Needs the role editor,
        or a token of scope write.
        """
        found: dict[str, Any] = self._ask("PATCH", f"/streams/{stream_id}", body=body, headers={"if-match": if_match})
        return found

    def delete_stream(self, stream_id: int, *, if_match: str | None = None) -> None:
        """Delete a stream.

        It can be restored for 7 days; then what it measured is removed. Its incidents stay readable. Needs the role
        editor, or a token of scope write.
        """
        self._ask("DELETE", f"/streams/{stream_id}", headers={"if-match": if_match})

    def pause_stream(self, stream_id: int) -> dict[str, Any]:
        """Stop measuring.

        What is stored stays. Needs the role editor, or a token of scope write.
        """
        found: dict[str, Any] = self._ask("POST", f"/streams/{stream_id}/pause")
        return found

    def resume_stream(self, stream_id: int) -> dict[str, Any]:
        """Go on measuring.

        What came meanwhile is filled in from the archive. Needs the role editor, or a token of scope write.
        """
        found: dict[str, Any] = self._ask("POST", f"/streams/{stream_id}/resume")
        return found

    def restore_stream(self, stream_id: int) -> dict[str, Any]:
        """Bring a deleted stream back.

        It is as it was; what came meanwhile is filled in from the archive. For 7 days after its deletion. Needs the
        role editor, or a token of scope write.
        """
        found: dict[str, Any] = self._ask("POST", f"/streams/{stream_id}/restore")
        return found

    def clone_stream(self, stream_id: int, body: Mapping[str, Any]) -> dict[str, Any]:
        """Make another stream that measures the same.

        It is filled from the archive like any new stream, and as sensitive as the original. Needs the role editor,
        or a token of scope write.
        """
        found: dict[str, Any] = self._ask("POST", f"/streams/{stream_id}/clone", body=body)
        return found

    def preview_change(self, stream_id: int, body: Mapping[str, Any]) -> dict[str, Any]:
        """What a change would compute again.

        Nothing is changed. Send the same body with PATCH to make the change. Needs the role viewer, or a token of
        scope read.
        """
        found: dict[str, Any] = self._ask("POST", f"/streams/{stream_id}/changes", body=body)
        return found

    def list_runs(self, stream_id: int) -> Iterator[dict[str, Any]]:
        """The runs of a stream, the newest first.

        Needs the role viewer, or a token of scope read.
        """
        return self._pages(f"/streams/{stream_id}/runs")

    def list_next_runs(self, stream_id: int, *, count: int | None = None) -> dict[str, Any]:
        """When the next windows of a stream end.

        Needs the role viewer, or a token of scope read.
        """
        found: dict[str, Any] = self._ask("GET", f"/streams/{stream_id}/next-runs", query={"count": count})
        return found

    def get_backfill(self, stream_id: int) -> dict[str, Any]:
        """How far a stream is filled from the archive.

        Needs the role viewer, or a token of scope read.
        """
        found: dict[str, Any] = self._ask("GET", f"/streams/{stream_id}/backfill")
        return found

    def preview_stream(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """What a stream would have measured and told.

        The newest weeks of the archive go through the same steps as in a stream, in memory. Takes some seconds.
        Needs the role editor, or a token of scope write.
        """
        found: dict[str, Any] = self._ask("POST", "/streams/preview", body=body)
        return found
