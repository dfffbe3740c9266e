"""Microsoft Teams by a workflow that waits for a web request."""

from cliffwatch.notify.channels.teams.channel import TEAMS, TeamsSettings

__all__ = ["TEAMS", "TeamsSettings"]
