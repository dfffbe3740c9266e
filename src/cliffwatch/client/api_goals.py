"""Operations of the HTTP API about goals. Written by tools/make_client.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cliffwatch.client.transport import Transport


class GoalsApi(Transport):
    """Goals."""

    def list_goals(self) -> Iterator[dict[str, Any]]:
        """The workspace's goals, and where they stand.

        Needs the role viewer, or a token of scope read.
        """
        return self._pages("/goals")

    def create_goal(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create a goal.

        Needs the role editor, or a token of scope write.
        """
        found: dict[str, Any] = self._ask("POST", "/goals", body=body)
        return found

    def preview_goal(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Where a goal would stand today.

        Needs the role viewer, or a token of scope read.
        """
        found: dict[str, Any] = self._ask("POST", "/goals/preview", body=body)
        return found

    def get_goal(self, goal_id: int) -> dict[str, Any]:
        """One goal, and where it stands.

        Needs the role viewer, or a token of scope read.
        """
        found: dict[str, Any] = self._ask("GET", f"/goals/{goal_id}")
        return found

    def change_goal(self, goal_id: int, body: Mapping[str, Any]) -> dict[str, Any]:
        """Change a goal.

        It is followed anew from the current period on. Needs the role editor, or a token of scope write.
        """
        found: dict[str, Any] = self._ask("PUT", f"/goals/{goal_id}", body=body)
        return found

    def delete_goal(self, goal_id: int) -> None:
        """Delete a goal.

        Needs the role editor, or a token of scope write.
        """
        self._ask("DELETE", f"/goals/{goal_id}")

    def restore_goal(self, goal_id: int) -> dict[str, Any]:
        """Bring a deleted goal back.

        Needs the role editor, or a token of scope write.
        """
        found: dict[str, Any] = self._ask("POST", f"/goals/{goal_id}/restore")
        return found
