"""Rejected messages with their reason, kept so that people can look at them and replay them after a fix."""

from __future__ import annotations

import builtins
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b

from sqlalchemy import ColumnElement, delete, func, insert, select, update
from sqlalchemy.orm import Session

from cliffwatch.db import Database
from cliffwatch.db.sources import QuarantineRow
from cliffwatch.errors import InvalidInput, NotFound
from cliffwatch.ingest.sources import Sources
from cliffwatch.spec.accept import BATCH_LIMIT
from cliffwatch.spec.decode import decode_json
from cliffwatch.spec.verdict import Verdict

KEPT_PER_SOURCE = 10_000
"""Newest rejected messages kept of each source; the counters go on counting."""
KEPT_PER_GROUP = 500
"""Of one source and one pass; a flood of bad messages must not keep the good ones waiting."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A rejected message on its way into quarantine."""

    source_id: int
    received_ms: int
    verdict: Verdict
    body: bytes


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A message in quarantine. `body` is what arrived: one message, or a whole body where that was rejected."""

    id: int
    source_id: int
    received_ms: int
    reason: Verdict
    detail: str
    body: str
    replayed_ms: int | None


class Quarantine:
    """The only writer of the quarantine table."""

    def __init__(self, database: Database, sources: Sources) -> None:
        self._database = database
        self._sources = sources

    def keep(self, rejected: Sequence[Rejected]) -> None:
        """Keep messages; one that is there already, from a pass that a crash cut short, is not kept twice."""
        by_source: dict[int, list[Rejected]] = defaultdict(list)
        for item in rejected:
            if len(by_source[item.source_id]) < KEPT_PER_GROUP:
                by_source[item.source_id].append(self._without_keys(item))
        if not by_source:
            return
        with self._database.write() as session:
            for source_id, items in by_source.items():
                _keep(session, source_id, items)
                _trim(session, source_id)

    def _without_keys(self, item: Rejected) -> Rejected:
        """Without the source's write keys, wherever they stand in it: whoever may look here may not have them."""
        source, body = self._sources.find(item.source_id), item.body
        for key in source.write_keys if source is not None else ():
            body = body.replace(key.key.encode(), b"(write key)")
        return replace(item, body=body)

    def list(
        self,
        source_id: int,
        *,
        reason: Verdict | None = None,
        search: str = "",
        before_id: int | None = None,
        limit: int = 100,
    ) -> list[Quarantined]:
        """Newest first. `search` looks for a text in the message, whatever its case."""
        conditions: list[ColumnElement[bool]] = [QuarantineRow.source_id == source_id]
        if reason is not None:
            conditions.append(QuarantineRow.reason == str(reason))
        if search:
            conditions.append(QuarantineRow.body.icontains(search, autoescape=True))
        if before_id is not None:
            conditions.append(QuarantineRow.id < before_id)
        with self._database.read() as session:
            rows = session.scalars(
                select(QuarantineRow).where(*conditions).order_by(QuarantineRow.id.desc()).limit(limit)
            )
            return [_value(row) for row in rows]

    def get(self, source_id: int, ids: Sequence[int]) -> builtins.list[Quarantined]:
        """These messages of the source. Raises NotFound when one is missing."""
        with self._database.read() as session:
            rows = session.scalars(
                select(QuarantineRow).where(QuarantineRow.source_id == source_id, QuarantineRow.id.in_(ids))
            ).all()
        missing = sorted(set(ids) - {row.id for row in rows})
        if missing:
            raise NotFound(f"Quarantined message {missing[0]}", "does not exist on this source.")
        return [_value(row) for row in rows]

    def counts(self, source_id: int) -> dict[Verdict, int]:
        """Messages in quarantine by reason, those replayed already left out."""
        with self._database.read() as session:
            rows = session.execute(
                select(QuarantineRow.reason, func.count())
                .where(QuarantineRow.source_id == source_id, QuarantineRow.replayed_ms.is_(None))
                .group_by(QuarantineRow.reason)
            )
            return {Verdict(reason): count for reason, count in rows}

    def forget_person(self, source_ids: Sequence[int], user_ids: Sequence[str], anonymous_ids: Sequence[str]) -> int:
        """Delete messages that name one of these ids as theirs; returns how many went."""
        ids = (*user_ids, *anonymous_ids)
        gone: builtins.list[int] = []
        with self._database.read() as session:
            for identifier in ids:
                written = json.dumps(identifier, ensure_ascii=False)[1:-1]
                rows = session.execute(
                    select(QuarantineRow.id, QuarantineRow.body).where(
                        QuarantineRow.source_id.in_(source_ids),
                        QuarantineRow.body.contains(written, autoescape=True)
                        | QuarantineRow.body.contains(json.dumps(identifier)[1:-1], autoescape=True),
                    )
                )
                gone += [id_ for id_, body in rows if _names(body, ids)]
        with self._database.write() as session:
            session.execute(delete(QuarantineRow).where(QuarantineRow.id.in_(gone)))
        return len(set(gone))

    def mark_replayed(self, ids: Sequence[int], now: int) -> None:
        with self._database.write() as session:
            session.execute(update(QuarantineRow).where(QuarantineRow.id.in_(ids)).values(replayed_ms=now))


def _names(body: str, ids: Sequence[str]) -> bool:
    """Whether a body is of one of these people; one that cannot be read and holds their id is taken for theirs."""
    try:
        value = decode_json(body.encode("utf-8", "replace"))
    except InvalidInput:
        return True
    batch = value.get("batch") if isinstance(value, dict) else value
    messages = batch if isinstance(batch, list) else [value]
    return any(
        isinstance(message, dict) and (message.get("userId") in ids or message.get("anonymousId") in ids)
        for message in messages
    )


def _keep(session: Session, source_id: int, items: Sequence[Rejected]) -> None:
    wanted = {(_hash(item.body), item.received_ms, str(item.verdict)): item for item in items}
    there = session.execute(
        select(QuarantineRow.message_hash, QuarantineRow.received_ms, QuarantineRow.reason).where(
            QuarantineRow.source_id == source_id,
            QuarantineRow.message_hash.in_([hash_ for hash_, _, _ in wanted]),
        )
    )
    known = {(hash_, received_ms, reason) for hash_, received_ms, reason in there}
    rows = [
        {
            "source_id": source_id,
            "received_ms": item.received_ms,
            "reason": str(item.verdict),
            "detail": item.verdict.sentence,
            "body": item.body[:BATCH_LIMIT].decode("utf-8", "replace").replace("\0", "\ufffd"),
            "message_hash": key[0],
            "replayed_ms": None,
        }
        for key, item in wanted.items()
        if key not in known
    ]
    if rows:
        session.execute(insert(QuarantineRow), rows)


def _trim(session: Session, source_id: int) -> None:
    oldest_kept = session.scalar(
        select(QuarantineRow.id)
        .where(QuarantineRow.source_id == source_id)
        .order_by(QuarantineRow.id.desc())
        .offset(KEPT_PER_SOURCE)
        .limit(1)
    )
    if oldest_kept is not None:
        session.execute(
            delete(QuarantineRow).where(QuarantineRow.source_id == source_id, QuarantineRow.id <= oldest_kept)
        )


def _hash(body: bytes) -> int:
    return int.from_bytes(blake2b(body, digest_size=8).digest(), "little", signed=True)


def _value(row: QuarantineRow) -> Quarantined:
    return Quarantined(
        row.id, row.source_id, row.received_ms, Verdict(row.reason), row.detail, row.body, row.replayed_ms
    )
