"""Operations of the HTTP API about workspace. Written by tools/make_client.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cliffwatch.client.transport import Transport


class WorkspaceApi(Transport):
    """Workspace."""

    def get_workspace(self) -> dict[str, Any]:
        """The workspace of this token.

        Needs the role viewer, or a token of scope read.
        """
        found: dict[str, Any] = self._ask("GET", "/workspace")
        return found

    def update_workspace(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Change the workspace.

        Changing the time zone or the country changes what is expected from the next run on. Needs the role admin,
        or a token of scope admin.
        """
        found: dict[str, Any] = self._ask("PATCH", "/workspace", body=body)
        return found

    def get_heartbeat(self) -> dict[str, Any]:
        """What is watched, and whether all of it is.

        Needs the role viewer, or a token of scope read.
        """
        found: dict[str, Any] = self._ask("GET", "/heartbeat")
        return found
