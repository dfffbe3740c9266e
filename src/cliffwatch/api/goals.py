"""Goals: how much of a measure is to be reached by when, and how likely that is."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request, Response
from pydantic import ConfigDict, Field

from cliffwatch.accounts import Identity
from cliffwatch.api.auth import Editor, Reader
from cliffwatch.api.changes import location, note
from cliffwatch.api.paging import DEFAULT_LIMIT, Cursor, Limit, ascending
from cliffwatch.api.shapes import MAX_ID, Body, Id, Moment, Name, Page, Shown, Text
from cliffwatch.goals import Aim, Goal, GoalGiven, Pace, Repeat, Standing, standing
from cliffwatch.incidents.goal_words import outlook
from cliffwatch.streams import Stream
from cliffwatch.streams.model import make_slice

if TYPE_CHECKING:
    from cliffwatch.services import Services


class GoalShape(Body):
    """What a goal asks for."""

    name: Annotated[Name, Field(examples=["Revenue of the month"])]
    measure: Annotated[Text, Field(max_length=400, description="Key of a measure that adds up: a count or a sum.")]
    slice: Annotated[
        dict[Text, Text],
        Field(max_length=1, description="One dimension value; empty: the total.", default_factory=dict),
    ]
    aim: Aim = Aim.AT_LEAST
    target: Annotated[float, Field(gt=0, le=1e15, description="In the measure's unit.")]
    repeat: Annotated[
        Repeat, Field(description="Each calendar period of the workspace's time zone, or `once`, with days.")
    ] = Repeat.MONTH
    first: Annotated[dt.date | None, Field(description="First day of a goal that is there once.")] = None
    last: Annotated[dt.date | None, Field(description="Its last day.")] = None
    warn_below: Annotated[
        float, Field(ge=0.01, le=0.95, description="Warn when the target is less likely than this share.")
    ] = 0.5


class GoalBody(GoalShape):
    """A goal to create, to change into, or to try."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "name": "Revenue of the month",
                    "stream_id": 1,
                    "measure": "sum(properties.revenue)",
                    "target": 1_200_000,
                }
            ]
        },
    )

    stream_id: Annotated[int, Field(ge=1, le=MAX_ID)]

    def given(self) -> GoalGiven:
        return GoalGiven(
            name=self.name,
            stream_id=self.stream_id,
            measure=self.measure,
            target=self.target,
            aim=self.aim,
            slice=make_slice(self.slice),
            repeat=self.repeat,
            first=self.first.isoformat() if self.first else "",
            last=self.last.isoformat() if self.last else "",
            warn_below=self.warn_below,
        )


class PaceShown(Shown):
    """Where the current period stands. What is null is not known yet: a forecast needs about four weeks of history."""

    period: str
    start: Moment
    end: Moment
    measured_until: Moment
    so_far: float
    landing: Annotated[float | None, Field(description="What the period is expected to end at.")]
    low: Annotated[float | None, Field(description="Four of five such periods end between `low` and `high`.")]
    high: float | None
    chance: Annotated[float | None, Field(description="How likely the target is fulfilled, a share.")]
    outlook: Annotated[str, Field(description="All of it in one sentence.")]


class GoalShown(Shown):
    """A goal, and where its current period stands."""

    id: int
    name: str
    stream_id: int
    measure: str
    slice: dict[str, str]
    aim: Aim
    target: float
    repeat: Repeat
    first: dt.date | None
    last: dt.date | None
    warn_below: float
    made_by: str
    created_at: Moment
    standing: Annotated[Standing, Field(description="How it stands, as its page says it.")]
    pace: Annotated[PaceShown | None, Field(description="Null until the stream has run once.")]


def router(services: Services) -> APIRouter:
    routes = APIRouter(prefix="/goals", tags=["Goals"])

    def stream_of(who: Identity, given: GoalBody) -> Stream:
        return services.streams.get(who.workspace.id, given.stream_id)

    def shown(goal: Goal) -> GoalShown:
        return shown_all([goal])[0]

    def shown_all(goals: Sequence[Goal]) -> list[GoalShown]:
        streams = services.streams.by_ids([one.given.stream_id for one in goals])
        warned = services.incidents.live_numbers([one.incident_id for one in goals if one.incident_id is not None])
        return [goal_shown(one, streams.get(one.given.stream_id), warned=one.incident_id in warned) for one in goals]

    @routes.get("", summary="The workspace's goals, and where they stand")
    def list_goals(who: Reader, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None) -> Page[GoalShown]:
        found, rest = ascending(services.goals.list(who.workspace.id), lambda one: one.id, cursor, limit)
        return Page(data=shown_all(found), next_cursor=rest)

    @routes.post("", status_code=201, summary="Create a goal")
    def create_goal(who: Editor, request: Request, response: Response, given: GoalBody) -> GoalShown:
        zone, now = ZoneInfo(who.workspace.time_zone), services.clock()
        goal = services.goals.create(stream_of(who, given), given.given(), zone, by=who.label, now=now)
        note(services, request, who, "goal.create", f"goal:{goal.id}", given.model_dump(mode="json"))
        response.headers.update(location(request, f"/goals/{goal.id}"))
        return shown(services.pipeline.goals.look_at(goal, now))

    @routes.post("/preview", summary="Where a goal would stand today")
    def preview_goal(who: Reader, given: GoalBody) -> PaceShown:
        stream = stream_of(who, given)
        asked = given.given()
        found = services.pipeline.goals.preview(stream, asked, services.clock())
        return pace_shown(asked, found, stream.definition.measure(asked.measure).unit)

    @routes.get("/{goal_id}", summary="One goal, and where it stands")
    def get_goal(who: Reader, goal_id: Id) -> GoalShown:
        return shown(services.goals.get(who.workspace.id, goal_id))

    @routes.put("/{goal_id}", summary="Change a goal")
    def change_goal(who: Editor, request: Request, goal_id: Id, given: GoalBody) -> GoalShown:
        """It is followed anew from the current period on."""
        services.goals.get(who.workspace.id, goal_id)
        zone, now = ZoneInfo(who.workspace.time_zone), services.clock()
        goal = services.goals.change(stream_of(who, given), goal_id, given.given(), zone, now)
        note(services, request, who, "goal.update", f"goal:{goal_id}", given.model_dump(mode="json"))
        return shown(services.pipeline.goals.look_at(goal, now))

    @routes.delete("/{goal_id}", status_code=204, summary="Delete a goal")
    def delete_goal(who: Editor, request: Request, goal_id: Id) -> None:
        goal = services.goals.delete(who.workspace.id, goal_id, services.clock())
        services.pipeline.goals.stop(goal, services.clock())
        note(services, request, who, "goal.delete", f"goal:{goal_id}")

    @routes.post("/{goal_id}/restore", summary="Bring a deleted goal back")
    def restore_goal(who: Editor, request: Request, goal_id: Id) -> GoalShown:
        goal = services.goals.restore(who.workspace.id, goal_id)
        note(services, request, who, "goal.restore", f"goal:{goal_id}")
        return shown(services.pipeline.goals.look_at(goal, services.clock()))

    return routes


def goal_shown(goal: Goal, stream: Stream | None, *, warned: bool) -> GoalShown:
    given = goal.given
    measure = stream.definition.find_measure(given.measure) if stream is not None else None
    unit = measure.unit if measure is not None else None
    return GoalShown(
        id=goal.id,
        name=given.name,
        stream_id=given.stream_id,
        measure=given.measure,
        slice=dict(given.slice),
        aim=given.aim,
        target=given.target,
        repeat=given.repeat,
        first=dt.date.fromisoformat(given.first) if given.first else None,
        last=dt.date.fromisoformat(given.last) if given.last else None,
        warn_below=given.warn_below,
        made_by=goal.made_by,
        created_at=goal.created_ms,
        standing=standing(given, goal.pace, warned=warned),
        pace=pace_shown(given, goal.pace, unit) if goal.pace is not None else None,
    )


def pace_shown(given: GoalGiven, pace: Pace, unit: str | None) -> PaceShown:
    return PaceShown(
        period=pace.span.name,
        start=pace.span.start_ms,
        end=pace.span.end_ms,
        measured_until=pace.until_ms,
        so_far=pace.so_far,
        landing=pace.landing,
        low=pace.low,
        high=pace.high,
        chance=pace.chance,
        outlook=outlook(given, pace, unit),
    )
