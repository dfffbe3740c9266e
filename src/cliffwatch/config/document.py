"""What a configuration file holds: the shapes of the HTTP API, with names where the API has ids."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from cliffwatch.api.audiences import AudienceShape
from cliffwatch.api.channels import QuietGiven, SettingValue
from cliffwatch.api.definitions import DefinitionBody
from cliffwatch.api.goals import GoalShape
from cliffwatch.api.routing import RuleGiven, StepGiven
from cliffwatch.api.shapes import Body, Name, Text
from cliffwatch.api.syncs import SyncShape
from cliffwatch.engage import default_schedule
from cliffwatch.engage.language import show
from cliffwatch.engage.store import definition_of

VERSION = 1
KINDS = ("channels", "policies", "audiences", "syncs", "streams", "monitors", "goals")
"""In the order in which they can be made: each refers to those before it alone."""


class ChannelItem(Body):
    """A channel. A secret is given as `${env:NAME}` or `${file:/path}`; it is read when the file is applied."""

    name: Name
    kind: Annotated[Text, Field(max_length=24, examples=["slack"])]
    settings: Annotated[dict[str, SettingValue], Field(max_length=20)]
    enabled: bool = True
    quiet: QuietGiven | None = None


class StepItem(StepGiven):
    """A step of a policy: channels and on-call rotations by name."""

    channels: Annotated[list[Name], Field(max_length=50)] = Field(default_factory=list)  # type: ignore[assignment]
    rotations: Annotated[list[Name], Field(max_length=50)] = Field(default_factory=list)  # type: ignore[assignment]


class PolicyItem(Body):
    """An escalation policy."""

    name: Name
    steps: Annotated[list[StepItem], Field(min_length=1, max_length=10)]
    repeats: Annotated[int, Field(ge=0, le=9)] = 0


class AudienceItem(AudienceShape):
    """An audience or a computed trait."""

    enabled: bool = True

    def plain(self) -> dict[str, Any]:
        """It in the one form in which audiences are compared: the query as it is printed, the schedule that it gets.
        Raises InvalidInput."""
        definition = definition_of(self.kind, self.query)
        every = default_schedule(definition) if self.every_minutes is None else self.every_minutes
        return self.model_dump(mode="json", exclude={"name"}) | {"query": show(definition), "every_minutes": every}


class SyncItem(SyncShape):
    """Where an audience or a trait is sent: the audience by name, and so the source of the kind `cliffwatch`. A secret
    is given by reference, as in a channel."""

    name: Name
    audience: Name
    settings: Annotated[dict[Text, Text], Field(max_length=10)]  # type: ignore[assignment]


class StreamItem(DefinitionBody):
    """A data stream: its source by name, and its definition."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": []})

    name: Name
    source: Name
    paused: bool = False

    def definition(self) -> dict[str, Any]:
        """The definition in the one form that the server would give back. Raises InvalidInput."""
        own = self.model_dump(mode="json", exclude={"name", "source", "paused"}, exclude_none=True)
        value = DefinitionBody.model_validate(own).value()
        return canonical(value)


class RuleItem(RuleGiven):
    """Which anomalies a monitor lets through: streams by name."""

    streams: Annotated[list[Name], Field(max_length=1000)] = Field(default_factory=list)  # type: ignore[assignment]


class MonitorItem(Body):
    """A monitor, with its policy by name; none tells everybody at once."""

    name: Name
    rule: RuleItem = Field(default_factory=RuleItem)  # type: ignore[arg-type] # pydantic fills the defaults
    policy: Name | None = None
    enabled: bool = True


class GoalItem(GoalShape):
    """A goal, with its stream by name."""

    stream: Name


class Document(Body):
    """A configuration. A section that is left out is not managed by the file; an empty one says that there is none."""

    version: Literal[1] = 1
    channels: Annotated[list[ChannelItem] | None, Field(max_length=500)] = None
    policies: Annotated[list[PolicyItem] | None, Field(max_length=500)] = None
    audiences: Annotated[list[AudienceItem] | None, Field(max_length=500)] = None
    syncs: Annotated[list[SyncItem] | None, Field(max_length=1_000)] = None
    streams: Annotated[list[StreamItem] | None, Field(max_length=2_000)] = None
    monitors: Annotated[list[MonitorItem] | None, Field(max_length=500)] = None
    goals: Annotated[list[GoalItem] | None, Field(max_length=500)] = None

    def items(self, kind: str) -> list[Any] | None:
        """The section's items; None where the file does not manage it."""
        found: list[Any] | None = getattr(self, kind)
        return found


def canonical(definition: Any) -> dict[str, Any]:
    """A stream's definition as plain JSON, without what is not set."""
    from cliffwatch.api.definitions import shown

    return shown(definition).model_dump(mode="json", exclude_none=True)


def schema() -> dict[str, Any]:
    """The JSON Schema of a file, for editors: draft 2020-12."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Cliffwatch configuration",
        **Document.model_json_schema(),
    }
