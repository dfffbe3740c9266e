"""What the wizard's pages and its live parts both ask of a draft: its definition, its zone, its next runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cliffwatch.errors import NotFound
from cliffwatch.ingest import Source
from cliffwatch.spec.model import SpecType
from cliffwatch.streams.definition import InvalidDefinition, dump, parse
from cliffwatch.streams.model import Definition, Schedule
from cliffwatch.streams.schedule import anchored, next_runs
from cliffwatch.web import formats
from cliffwatch.web.forms import Posted, whole
from cliffwatch.web.views import problems, wizard
from cliffwatch.web.views import streams as views
from cliffwatch.web.views.wizard import Draft
from cliffwatch.web.visit import Visit


def typed(visit: Visit, sources: Sequence[Source]) -> Draft:
    """The draft in the address, of a source that there is."""
    draft = wizard.read(Posted.of(visit.request.query_params.multi_items()))
    known = {source.id for source in sources}
    return draft if draft.source in known else replace(draft, source=sources[0].id)


def base_of(visit: Visit, draft: Draft) -> Definition | None:
    """The definition that the draft started from; None when it is new, or that stream is gone."""
    if draft.base is None:
        return None
    try:
        return visit.services.streams.get(visit.workspace_id, draft.base).definition
    except NotFound:
        return None


def checked(visit: Visit, draft: Draft) -> tuple[Definition | None, dict[str, str]]:
    """The definition, with the windows that it will have, or what is wrong with each field."""
    extra = {"every": "Type a whole number."} if draft.minutes is None else {}
    if draft.spec_type == SpecType.TRACK and not any(draft.events):
        extra["events"] = "Name at least one event."
    extra |= draft.filter.errors()
    base = base_of(visit, draft)
    try:
        definition = parse(draft.definition(visit.identity.workspace.time_zone, dump(base) if base else None))
        visit.services.streams.check(visit.workspace_id, definition)
    except InvalidDefinition as error:
        return None, problems.placed(error.fields, draft) | extra
    schedule = anchored(definition.schedule, visit.now, base.schedule if base else None)
    return (None, extra) if extra else (replace(definition, schedule=schedule), {})


def zone_of(visit: Visit, draft: Draft) -> str:
    """A new stream keeps the workspace's time; one that is edited keeps its own."""
    base = base_of(visit, draft)
    return base.schedule.time_zone if base else visit.identity.workspace.time_zone


def next_runs_of(visit: Visit, draft: Draft) -> tuple[tuple[views.NextRun, ...], str]:
    """The next runs, or why there are none."""
    minutes = draft.minutes
    if minutes is None or not 1 <= minutes <= 44_640:
        return (), "A frequency from 1 minute to 31 days."
    hour, minute = (whole(part, 2) for part in (draft.anchor + ":").split(":")[:2])
    if hour is None or minute is None or hour > 23 or minute > 59:
        return (), "An anchor time such as 09:00."
    base, zone = base_of(visit, draft), zone_of(visit, draft)
    asked = Schedule(minutes, f"{hour:02}:{minute:02}", zone)
    schedule = anchored(asked, visit.now, base.schedule if base else None)
    return views.next_runs(next_runs(schedule, visit.now, 3), formats.zone_of(zone), visit.now), ""
