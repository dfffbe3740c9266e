"""Own events of a workspace (releases, campaigns, flags, outages): the only writer of annotations."""

from __future__ import annotations

from sqlalchemy import select

from cliffwatch.db import Database, owned, unknown
from cliffwatch.db.guidance import AnnotationRow
from cliffwatch.errors import InvalidInput
from cliffwatch.guidance.model import Annotation, AnnotationKind
from cliffwatch.streams.model import TOTAL, Slice, make_slice

MAX_TITLE = 120
MAX_URL = 500
LONGEST_MS = 400 * 86_400_000
POINT_MS = 3_600_000
"""How long an event without an end lasts: its effect is looked for in the hour after it."""
FURTHEST_MS = 4_000_000_000_000  # Unix ms, in the year 2096
Found = list[Annotation]


class Annotations:
    """Create, list, delete and bring back own events."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(
        self,
        workspace_id: int,
        kind: AnnotationKind,
        title: str,
        start_ms: int,
        end_ms: int | None,
        *,
        by: str,
        now: int,
        scope: Slice = TOTAL,
        url: str = "",
    ) -> Annotation:
        """An event over [start_ms, end_ms); without an end it counts as an hour. Raises InvalidInput."""
        title = " ".join(title.split())
        if not 1 <= len(title) <= MAX_TITLE:
            raise InvalidInput("title", f"has 1 to {MAX_TITLE} characters.")
        end_ms = start_ms + POINT_MS if end_ms is None else end_ms
        if end_ms <= start_ms:
            raise InvalidInput("end", "must lie after the start.", "Choose a later end, or leave it out.")
        if end_ms - start_ms > LONGEST_MS:
            raise InvalidInput("end", "must lie within 400 days of the start.")
        if not 0 <= start_ms <= FURTHEST_MS:
            raise InvalidInput("start", "must lie between 1970 and 2096.")
        if len(url) > MAX_URL or (url and not url.startswith(("https://", "http://"))):
            raise InvalidInput("url", f"begins with https:// and has at most {MAX_URL} characters.")
        with self._database.write() as session:
            row = AnnotationRow(
                workspace_id=workspace_id,
                kind=kind.value,
                title=title,
                start_ms=start_ms,
                end_ms=end_ms,
                scope=dict(scope),
                url=url,
                made_by=by,
                created_ms=now,
                deleted_ms=None,
            )
            session.add(row)
            session.flush()
            return annotation_of(row)

    def list(self, workspace_id: int, since_ms: int | None = None, until_ms: int | None = None) -> Found:
        """The workspace's events that touch [since_ms, until_ms), the newest first."""
        query = select(AnnotationRow).where(
            AnnotationRow.workspace_id == workspace_id, AnnotationRow.deleted_ms.is_(None)
        )
        if since_ms is not None:
            query = query.where(AnnotationRow.end_ms > since_ms)
        if until_ms is not None:
            query = query.where(AnnotationRow.start_ms < until_ms)
        with self._database.read() as session:
            ordered = query.order_by(AnnotationRow.start_ms.desc(), AnnotationRow.id.desc())
            return [annotation_of(row) for row in session.scalars(ordered)]

    def get(self, workspace_id: int, annotation_id: int) -> Annotation:
        """Raises NotFound."""
        with self._database.read() as session:
            row = owned(session, AnnotationRow, workspace_id, annotation_id)
            if row.deleted_ms is not None:
                raise unknown(AnnotationRow, annotation_id)
            return annotation_of(row)

    def delete(self, workspace_id: int, annotation_id: int, now: int) -> Annotation:
        """Raises NotFound."""
        return self._set(workspace_id, annotation_id, now)

    def restore(self, workspace_id: int, annotation_id: int) -> Annotation:
        """Bring a deleted one back. Raises NotFound."""
        return self._set(workspace_id, annotation_id, None)

    def _set(self, workspace_id: int, annotation_id: int, deleted_ms: int | None) -> Annotation:
        with self._database.write() as session:
            row = owned(session, AnnotationRow, workspace_id, annotation_id)
            if (row.deleted_ms is None) == (deleted_ms is None):
                raise unknown(AnnotationRow, annotation_id)
            row.deleted_ms = deleted_ms
            return annotation_of(row)


def annotation_of(row: AnnotationRow) -> Annotation:
    return Annotation(
        id=row.id,
        workspace_id=row.workspace_id,
        kind=AnnotationKind(row.kind),
        title=row.title,
        start_ms=row.start_ms,
        end_ms=row.end_ms,
        scope=make_slice({str(path): str(value) for path, value in row.scope.items()}),
        url=row.url,
        made_by=row.made_by,
        created_ms=row.created_ms,
        deleted=row.deleted_ms is not None,
    )
