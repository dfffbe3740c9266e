"""Operations of the HTTP API about own events. Written by tools/make_client.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cliffwatch.client.transport import Transport


class OwnEventsApi(Transport):
    """Own events."""

    def list_annotations(self, *, since: str | None = None, until: str | None = None) -> Iterator[dict[str, Any]]:
        """The workspace's own events, the newest first.

        Needs the role viewer, or a token of scope read.
        """
        return self._pages("/annotations", query={"since": since, "until": until})

    def create_annotation(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Tell of an own event.

        A deployment's script may call this with a token of scope `write`; `{"title": "..."}` is enough. Needs the
        role editor, or a token of scope write.
        """
        found: dict[str, Any] = self._ask("POST", "/annotations", body=body)
        return found

    def get_annotation(self, annotation_id: int) -> dict[str, Any]:
        """One own event.

        Needs the role viewer, or a token of scope read.
        """
        found: dict[str, Any] = self._ask("GET", f"/annotations/{annotation_id}")
        return found

    def delete_annotation(self, annotation_id: int) -> None:
        """Delete an own event.

        Needs the role editor, or a token of scope write.
        """
        self._ask("DELETE", f"/annotations/{annotation_id}")

    def restore_annotation(self, annotation_id: int) -> dict[str, Any]:
        """Bring a deleted own event back.

        Needs the role editor, or a token of scope write.
        """
        found: dict[str, Any] = self._ask("POST", f"/annotations/{annotation_id}/restore")
        return found
