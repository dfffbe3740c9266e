"""The noise review: what was sent lately, what would have sent less, and each fix with its undo.

A fix is written down before it is made, so that a crash between the two leaves something to undo, never something that
cannot be undone. The only writer of `noise_fixes`.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from cliffwatch.db import Database, owned
from cliffwatch.db.incidents import AnomalyRow, IncidentRow
from cliffwatch.db.upkeep import NoiseFixRow
from cliffwatch.detect import Directions
from cliffwatch.errors import CliffwatchError, Conflict, InvalidInput
from cliffwatch.guidance import Guidance, Sensitivity, dump_sensitivity, measures_of, parse_sensitivity
from cliffwatch.incidents import Incidents, Monitors
from cliffwatch.incidents.goal_words import GOAL
from cliffwatch.incidents.headline import name_of, percent
from cliffwatch.incidents.model import IncidentState, SeriesKey
from cliffwatch.incidents.rule import dump_rule
from cliffwatch.incidents.store import Actor
from cliffwatch.notify.noise.model import Fix, FixKind, Noise, Review, Seen, Sent
from cliffwatch.notify.noise.propose import StreamNow, for_monitor, for_series, for_stream
from cliffwatch.streams.model import Stream, make_slice, parse_slice_key

DAY_MS = 86_400_000
DAYS = 30
SHOWN = 10
OF_A_STREAM = (FixKind.BUDGET, FixKind.EFFECT, FixKind.DIRECTION, FixKind.DURATION)


class NoiseReviews:
    """Looks at noise, and makes and undoes fixes."""

    def __init__(self, database: Database, incidents: Incidents, monitors: Monitors, guidance: Guidance) -> None:
        self._database = database
        self._incidents = incidents
        self._monitors = monitors
        self._guidance = guidance

    def review(
        self, workspace_id: int, streams: Sequence[Stream], series_count: Callable[[Stream], int], now: int
    ) -> Review:
        """The noisiest streams, series and monitors of the last 30 days. `series_count` is of a stream's newest run."""
        known = {stream.id: stream for stream in streams}
        with self._database.read() as session:
            sent = _sent(session, workspace_id, now - DAYS * DAY_MS, known)
        rules = {one.id: one.rule for one in self._monitors.list(workspace_id) if one.enabled}
        names = {one.id: one.name for one in self._monitors.list(workspace_id)}
        by_stream = _grouped(sent, lambda one: {seen.stream_id for seen in one.seen} & known.keys())
        by_series = _grouped(sent, lambda one: {one.series} if one.series[0] in known else set())
        by_monitor = _grouped(sent, lambda one: set(one.monitors) & rules.keys())
        return Review(
            DAYS,
            len(sent),
            sum(one.dismissed for one in sent),
            tuple(self._stream(known[key], group, series_count) for key, group in by_stream[:SHOWN]),
            tuple(_series(known[key[0]], key, group) for key, group in by_series[:SHOWN]),
            tuple(
                _noise(str(key), names[key], "", group, for_monitor(key, rules, group))
                for key, group in by_monitor[:SHOWN]
            ),
        )

    def _stream(self, stream: Stream, sent: Sequence[Sent], series_count: Callable[[Stream], int]) -> Noise:
        advice, count = self._guidance.advice(stream), series_count(stream)
        step_ms = stream.definition.schedule.frequency_minutes * 60_000
        now = StreamNow(stream.id, step_ms, advice.sensitivity, count, advice.widths(count, step_ms))
        return _noise(str(stream.id), stream.name, "", sent, for_stream(now, sent))

    def fixes(self, workspace_id: int, limit: int = 20) -> list[Fix]:
        """What was done against noise, the newest first."""
        query = select(NoiseFixRow).where(NoiseFixRow.workspace_id == workspace_id).order_by(NoiseFixRow.id.desc())
        with self._database.read() as session:
            return [_fix(row) for row in session.scalars(query.limit(limit))]

    def fix(
        self,
        workspace_id: int,
        kind: FixKind,
        key: str,
        value: Any,
        stream_of: Callable[[int], Stream],
        actor: Actor,
        by: str,
        now: int,
    ) -> Fix:
        """Make what was proposed of a stream, series or monitor, which `key` names as its review does.

        Raises InvalidInput for a value that cannot be set, NotFound, Conflict.
        """
        if kind in (FixKind.MUTE, FixKind.EXPECTED):
            series = series_of(key)
            stream = stream_of(series[0])
            measure = stream.definition.find_measure(series[1])
            name = f"{name_of(measure.name if measure else series[1], series[2])} of “{stream.name}”"
            if kind is FixKind.MUTE:
                return self.mute(workspace_id, series, name, by, now)
            if not isinstance(value, list) or any(type(one) is not int for one in value):
                raise InvalidInput("incidents", "must be numbers.", "Take the value of a proposal.")
            return self.expect(workspace_id, value, name, actor, by, now)
        if not (key.isascii() and key.isdigit() and len(key) < 19):
            raise InvalidInput("key", "must say what the fix is for.", "Take the key of the review.")
        if kind is FixKind.MONITOR_EFFECT:
            return self.fix_monitor(workspace_id, int(key), value, by, now)
        return self.fix_stream(stream_of(int(key)), kind, value, by, now)

    def fix_stream(self, stream: Stream, kind: FixKind, value: Any, by: str, now: int) -> Fix:
        """Make a stream quieter. Raises InvalidInput for a value that cannot be set."""
        before = self._guidance.sensitivities.get(stream).sensitivity
        after = _changed(before, kind, value)
        data = dump_sensitivity(after)
        parse_sensitivity(data, measures_of(stream))
        what = f"“{stream.name}”: {_words(kind, value)}"
        row_id = self._write_down(
            stream.workspace_id,
            kind,
            what,
            {"stream": stream.id, "sensitivity": dump_sensitivity(before)},
            {"stream": stream.id, "sensitivity": data},
            by,
            now,
        )
        return self._made(row_id, lambda: self._guidance.sensitivities.set(stream, after, by, now))

    def fix_monitor(self, workspace_id: int, monitor_id: int, effect: float, by: str, now: int) -> Fix:
        """A least effect in a monitor's rule. Raises NotFound, InvalidInput."""
        if isinstance(effect, bool) or not isinstance(effect, int | float):
            raise InvalidInput("value", "must be a share.", "0.2 lets only changes of 20 % or more through.")
        monitor = self._monitors.get(workspace_id, monitor_id)
        after = {**dump_rule(monitor.rule), "min_relative": effect}
        before = {"monitor": monitor_id, "rule": dump_rule(monitor.rule)}
        what = f"Monitor “{monitor.name}”: {_words(FixKind.EFFECT, effect)}"
        made = {"monitor": monitor_id, "rule": after}
        row_id = self._write_down(workspace_id, FixKind.MONITOR_EFFECT, what, before, made, by, now)
        return self._made(row_id, lambda: self._monitors.update(workspace_id, monitor_id, rule=after))

    def mute(self, workspace_id: int, series: SeriesKey, name: str, by: str, now: int) -> Fix:
        """Tell of a series no more: in every monitor of the workspace."""
        muted = {"stream": series[0], "measure": series[1], "slice": dict(series[2])}
        what = f"{name} is muted"
        row_id = self._write_down(workspace_id, FixKind.MUTE, what, {"series": muted}, {"series": muted}, by, now)
        return self._made(row_id, lambda: self._set_muted(workspace_id, series, muted=True))

    def expect(self, workspace_id: int, numbers: Sequence[int], name: str, actor: Actor, by: str, now: int) -> Fix:
        """Mark incidents as expected: what was measured meanwhile teaches nothing. Those that are marked stay."""
        marked = [one for one in numbers if self._incidents.get(workspace_id, one).state not in _MARKED]
        if not marked:
            raise Conflict("These incidents", "are marked already.")
        count = f"{len(marked):,} incident{'' if len(marked) == 1 else 's'}"
        what = f"{name}: {count} marked as expected"
        kept = {"incidents": marked}
        row_id = self._write_down(workspace_id, FixKind.EXPECTED, what, kept, kept, by, now)

        def mark() -> None:
            for number in marked:
                self._incidents.expected(workspace_id, number, actor, now)

        return self._made(row_id, mark)

    def undo(self, workspace_id: int, fix_id: int, stream_of: Callable[[int], Stream], by: str, now: int) -> Fix:
        """Take a fix back. Raises NotFound, or Conflict when it was undone or somebody changed the same since."""
        with self._database.read() as session:
            row = owned(session, NoiseFixRow, workspace_id, fix_id)
            fix = _fix(row)
        if fix.undone_ms is not None:
            raise Conflict("This fix", "was taken back already.")
        if fix.kind in OF_A_STREAM:
            self._restore_stream(fix, stream_of(fix.before["stream"]), by, now)
        elif fix.kind is FixKind.MONITOR_EFFECT:
            self._restore_monitor(workspace_id, fix)
        elif fix.kind is FixKind.MUTE:
            series = fix.before["series"]
            key = (series["stream"], series["measure"], make_slice(series["slice"]))
            self._set_muted(workspace_id, key, muted=False)
        else:
            self._unmark(workspace_id, fix.before["incidents"], by, now)
        with self._database.write() as session:
            session.get_one(NoiseFixRow, fix_id).undone_ms = now
        return replace(fix, undone_ms=now)

    def _restore_stream(self, fix: Fix, stream: Stream, by: str, now: int) -> None:
        current = dump_sensitivity(self._guidance.sensitivities.get(stream).sensitivity)
        if current == fix.before["sensitivity"]:
            return
        if current != fix.after["sensitivity"]:
            raise Conflict(
                f"The sensitivity of “{stream.name}”", "was changed since.", "Change it on the stream's page."
            )
        before = parse_sensitivity(fix.before["sensitivity"], measures_of(stream))
        self._guidance.sensitivities.set(stream, before, by, now)

    def _restore_monitor(self, workspace_id: int, fix: Fix) -> None:
        monitor = self._monitors.get(workspace_id, fix.before["monitor"])
        current = dump_rule(monitor.rule)
        if current["min_relative"] not in (fix.after["rule"]["min_relative"], fix.before["rule"]["min_relative"]):
            raise Conflict(f"The monitor “{monitor.name}”", "was changed since.", "Change it on its page.")
        rule = {**current, "min_relative": fix.before["rule"]["min_relative"]}
        self._monitors.update(workspace_id, monitor.id, rule=rule)

    def _unmark(self, workspace_id: int, numbers: Iterable[int], by: str, now: int) -> None:
        """They keep their mark; what was measured meanwhile teaches again."""
        for number in numbers:
            try:
                self._guidance.marks.undo(workspace_id, number, by, now)
            except Conflict:  # somebody reopened it, or has undone its mark: it teaches again
                continue

    def _set_muted(self, workspace_id: int, series: SeriesKey, *, muted: bool) -> None:
        for monitor in self._monitors.list(workspace_id):
            kept = tuple(one for one in monitor.rule.muted if one != series)
            rule = replace(monitor.rule, muted=(*kept, series) if muted else kept)
            if rule != monitor.rule:
                self._monitors.update(workspace_id, monitor.id, rule=dump_rule(rule))

    def _write_down(
        self,
        workspace_id: int,
        kind: FixKind,
        what: str,
        before: Mapping[str, Any],
        after: Mapping[str, Any],
        by: str,
        now: int,
    ) -> int:
        row = NoiseFixRow(
            workspace_id=workspace_id,
            kind=kind.value,
            what=what,
            before=dict(before),
            after=dict(after),
            made_by=by,
            made_ms=now,
        )
        with self._database.write() as session:
            session.add(row)
            session.flush()
            return row.id

    def _made(self, row_id: int, make: Callable[[], object]) -> Fix:
        """Make it; what cannot be made is not written down either."""
        try:
            make()
        except CliffwatchError:
            with self._database.write() as session:
                session.execute(delete(NoiseFixRow).where(NoiseFixRow.id == row_id))
            raise
        with self._database.read() as session:
            return _fix(session.get_one(NoiseFixRow, row_id))


_MARKED = (IncidentState.EXPECTED, IncidentState.FALSE_ALARM, IncidentState.NEW_NORMAL)


def series_of(key: str) -> SeriesKey:
    """The series that a fix names. Raises InvalidInput."""
    try:
        stream_id, measure, slice_ = json.loads(key)
        return int(stream_id), str(measure), make_slice({str(p): str(v) for p, v in slice_.items()})
    except (ValueError, TypeError, AttributeError) as error:
        raise InvalidInput("series", "is not one.", "Use the buttons of the page.") from error


def key_of(series: SeriesKey) -> str:
    """What a fix calls a series; inverse of `series_of`."""
    return json.dumps([series[0], series[1], dict(series[2])], separators=(",", ":"), ensure_ascii=False)


def _changed(before: Sensitivity, kind: FixKind, value: Any) -> Sensitivity:
    if kind is FixKind.BUDGET:
        return replace(before, alerts_per_week=value)
    if kind is FixKind.DIRECTION and value not in list(Directions):
        raise InvalidInput("directions", "are both, up or down.")
    field, set_to = {
        FixKind.EFFECT: ("minimum_effect", value),
        FixKind.DURATION: ("minimum_windows", value),
        FixKind.DIRECTION: ("directions", Directions(value) if kind is FixKind.DIRECTION else value),
    }[kind]
    filters = replace(before.filters, **{field: set_to})
    own = {key: replace(one, **{field: set_to}) for key, one in before.measures.items()}
    return replace(before, filters=filters, measures=own)


def _words(kind: FixKind, value: Any) -> str:
    if kind is FixKind.BUDGET:
        return f"at most {value:g} alerts a week where nothing happens"
    if kind is FixKind.EFFECT:
        return f"only changes of {percent(value)} or more"
    if kind is FixKind.DIRECTION:
        return "only dips" if value == "down" else "only spikes"
    return f"only what lasts {value} windows or longer"


def _sent(session: Session, workspace_id: int, since_ms: int, streams: Mapping[int, Stream]) -> list[Sent]:
    """The incidents opened since then with their anomalies; those that were taken back count: they were told."""
    query = select(
        IncidentRow.id,
        IncidentRow.number,
        IncidentRow.state,
        IncidentRow.opened_ms,
        IncidentRow.stream_id,
        IncidentRow.measure,
        IncidentRow.slice,
        IncidentRow.explanation["monitors"],
    ).where(IncidentRow.workspace_id == workspace_id, IncidentRow.opened_ms >= since_ms, IncidentRow.kind != GOAL)
    rows = session.execute(query).all()
    seen: dict[int, list[Seen]] = defaultdict(list)
    parts = select(AnomalyRow).join(IncidentRow, IncidentRow.id == AnomalyRow.incident_id)
    parts = parts.where(IncidentRow.workspace_id == workspace_id, IncidentRow.opened_ms >= since_ms)
    for row in session.scalars(parts):
        stream = streams.get(row.stream_id)
        window_ms = stream.definition.schedule.frequency_minutes * 60_000 if stream else 3_600_000
        seen[row.incident_id or 0].append(_seen(row, window_ms))
    return [
        Sent(
            number,
            IncidentState(state),
            opened_ms,
            (stream_id, measure, parse_slice_key(slice_)),
            _measure_name(streams.get(stream_id), measure),
            tuple(monitors or ()),
            tuple(seen[incident_id]),
        )
        for incident_id, number, state, opened_ms, stream_id, measure, slice_, monitors in rows
        if seen[incident_id]
    ]


def _seen(row: AnomalyRow, window_ms: int) -> Seen:
    relative = row.impact / abs(row.expected) if row.expected else None
    series = (row.stream_id, row.measure, parse_slice_key(row.slice))
    return Seen(*series, row.direction, row.start_ms, row.end_ms, window_ms, row.impact, relative, row.score)


def _measure_name(stream: Stream | None, key: str) -> str:
    return measures_of(stream).get(key, key) if stream else key


def _grouped(sent: Sequence[Sent], keys: Callable[[Sent], set[Any]]) -> list[tuple[Any, list[Sent]]]:
    groups: dict[Any, list[Sent]] = defaultdict(list)
    for one in sent:
        for key in keys(one):
            groups[key].append(one)
    return sorted(groups.items(), key=lambda item: (-len(item[1]), str(item[0])))


def _series(stream: Stream, series: SeriesKey, sent: Sequence[Sent]) -> Noise:
    name = name_of(sent[0].measure_name, series[2])
    return _noise(key_of(series), name, stream.name, sent, for_series(series, sent))


def _noise(key: str, name: str, where: str, sent: Sequence[Sent], proposals: Any) -> Noise:
    return Noise(key, name, where, len(sent), sum(one.dismissed for one in sent), tuple(proposals))


def _fix(row: NoiseFixRow) -> Fix:
    return Fix(row.id, FixKind(row.kind), row.what, row.before, row.after, row.made_by, row.made_ms, row.undone_ms)
