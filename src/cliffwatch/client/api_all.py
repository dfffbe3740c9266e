"""Every operation of the HTTP API. Written by tools/make_client.py."""

from __future__ import annotations

from cliffwatch.client.api_audiences import AudiencesApi
from cliffwatch.client.api_channels import ChannelsApi
from cliffwatch.client.api_goals import GoalsApi
from cliffwatch.client.api_guidance import GuidanceApi
from cliffwatch.client.api_incidents import IncidentsApi
from cliffwatch.client.api_own_events import OwnEventsApi
from cliffwatch.client.api_privacy import PrivacyApi
from cliffwatch.client.api_routing import RoutingApi
from cliffwatch.client.api_series import SeriesApi
from cliffwatch.client.api_sources import SourcesApi
from cliffwatch.client.api_streams import StreamsApi
from cliffwatch.client.api_workspace import WorkspaceApi


class Operations(
    AudiencesApi,
    ChannelsApi,
    GoalsApi,
    GuidanceApi,
    IncidentsApi,
    OwnEventsApi,
    PrivacyApi,
    RoutingApi,
    SeriesApi,
    SourcesApi,
    StreamsApi,
    WorkspaceApi,
):
    """All operations."""
