"""An incident as a document: its own story, and what happened around it. For pages and API alike."""

from __future__ import annotations

from datetime import tzinfo

from cliffwatch.incidents import Incident, Incidents
from cliffwatch.incidents.markdown import markdown
from cliffwatch.pipeline.around import Surroundings


def incident_markdown(
    incidents: Incidents, around: Surroundings, incident: Incident, zone: tzinfo, now: int, url: str
) -> str:
    """The incident in Markdown, with what fits best in time and slice of what was found around it."""
    return markdown(
        incident,
        incidents.anomalies(incident.id),
        incidents.timeline(incident.id),
        zone=zone,
        now=now,
        url=url,
        near=[one.text for one in around.near],
    )
