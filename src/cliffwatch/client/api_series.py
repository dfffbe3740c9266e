"""Operations of the HTTP API about series. Written by tools/make_client.py."""

from __future__ import annotations

from typing import Any

from cliffwatch.client.transport import Transport


class SeriesApi(Transport):
    """Series."""

    def list_series(self, stream_id: int) -> dict[str, Any]:
        """The series of a stream with their newest points.

        Needs the role viewer, or a token of scope read.
        """
        found: dict[str, Any] = self._ask("GET", f"/streams/{stream_id}/series")
        return found

    def get_points(
        self,
        stream_id: int,
        *,
        measure: str | None = None,
        slice_: str | None = None,
        start: str | None = None,
        end: str | None = None,
    ) -> dict[str, Any]:
        """The points of one series.

        Needs the role viewer, or a token of scope read.
        """
        found: dict[str, Any] = self._ask(
            "GET",
            f"/streams/{stream_id}/points",
            query={"measure": measure, "slice": slice_, "start": start, "end": end},
        )
        return found

    def list_anomalies(self, stream_id: int, *, start: str | None = None, end: str | None = None) -> dict[str, Any]:
        """The anomalies of a stream in order of time.

        Needs the role viewer, or a token of scope read.
        """
        found: dict[str, Any] = self._ask("GET", f"/streams/{stream_id}/anomalies", query={"start": start, "end": end})
        return found

    def explain_window(
        self,
        stream_id: int,
        *,
        start: str,
        end: str,
        measure: str | None = None,
        slice_: str | None = None,
        base: str | None = None,
        base_start: str | None = None,
        base_end: str | None = None,
    ) -> dict[str, Any]:
        """Why a stretch of time differs from what was expected.

        The few slices that explain the change, most important first, each with its share of it. `sentence` says it
        in plain words. `driver`, where there is one, says of what the causes' numbers speak: a percentile is
        explained by the share of events above its expected value. Needs the role viewer, or a token of scope read.
        """
        found: dict[str, Any] = self._ask(
            "GET",
            f"/streams/{stream_id}/explain",
            query={
                "start": start,
                "end": end,
                "measure": measure,
                "slice": slice_,
                "base": base,
                "base_start": base_start,
                "base_end": base_end,
            },
        )
        return found
