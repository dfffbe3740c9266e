"""What the wizard's pages and its live parts both ask of a draft: its definition, its zone, its next runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from cliffwatch.errors import NotFound
from cliffwatch.ingest import Source
from cliffwatch.spec.model import SpecType
from cliffwatch.streams.definition import InvalidDefinition, dump, parse
from cliffwatch.streams.model import Definition, Schedule
from cliffwatch.streams.schedule import next_runs
from cliffwatch.web import formats
from cliffwatch.web.forms import Posted
from cliffwatch.web.views import problems, wizard
from cliffwatch.web.views import streams as views
from cliffwatch.web.views.wizard import Draft
from cliffwatch.web.visit import Visit


def typed(visit: Visit, sources: Sequence[Source]) -> Draft:
    """The draft in the address, of a source that there is."""
    draft = wizard.read(Posted.of(visit.request.query_params.multi_items()))
    known = {source.id for source in sources}
    return draft if draft.source in known else replace(draft, source=sources[0].id)


def base_of(visit: Visit, draft: Draft) -> Mapping[str, Any] | None:
    """The definition that the draft started from; None when it is new, or that stream is gone."""
    if draft.base is None:
        return None
    try:
        return dump(visit.services.streams.get(visit.workspace_id, draft.base).definition)
    except NotFound:
        return None


def checked(visit: Visit, draft: Draft) -> tuple[Definition | None, dict[str, str]]:
    """The definition, or what is wrong with each field."""
    extra = {"every": "Type a whole number."} if draft.minutes is None else {}
    if draft.spec_type == SpecType.TRACK and not any(draft.events):
        extra["events"] = "Name at least one event."
    extra |= draft.filter.errors()
    try:
        definition = parse(draft.definition(visit.identity.workspace.time_zone, base_of(visit, draft)))
    except InvalidDefinition as error:
        return None, problems.placed(error.fields, draft) | extra
    return (None, extra) if extra else (definition, {})


def zone_of(visit: Visit, draft: Draft) -> str:
    """A new stream keeps the workspace's time; one that is edited keeps its own."""
    base = base_of(visit, draft)
    zone: str = base["schedule"]["time_zone"] if base else visit.identity.workspace.time_zone
    return zone


def next_runs_of(visit: Visit, draft: Draft) -> tuple[tuple[views.NextRun, ...], str]:
    """The next runs, or why there are none."""
    minutes = draft.minutes
    if minutes is None or not 1 <= minutes <= 44_640:
        return (), "A frequency from 1 minute to 31 days."
    hour, _, minute = draft.anchor.partition(":")
    if not (hour.isdigit() and minute.isdigit() and int(hour) < 24 and int(minute) < 60):
        return (), "An anchor time such as 09:00."
    zone = zone_of(visit, draft)
    schedule = Schedule(minutes, f"{int(hour):02}:{int(minute):02}", zone)
    return views.next_runs(next_runs(schedule, visit.now, 3), formats.zone_of(zone), visit.now), ""
