"""Operations of the HTTP API about routing. Written by tools/make_client.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cliffwatch.client.transport import Transport


class RoutingApi(Transport):
    """Routing."""

    def list_monitors(self) -> Iterator[dict[str, Any]]:
        """The workspace's monitors.

        Needs the role viewer, or a token of scope read.
        """
        return self._pages("/monitors")

    def create_monitor(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create a monitor.

        Needs the role editor, or a token of scope write.
        """
        found: dict[str, Any] = self._ask("POST", "/monitors", body=body)
        return found

    def preview_monitor(self, body: Mapping[str, Any], *, days: int | None = None) -> dict[str, Any]:
        """What a rule would have let through lately.

        Needs the role viewer, or a token of scope read.
        """
        found: dict[str, Any] = self._ask("POST", "/monitors/preview", body=body, query={"days": days})
        return found

    def get_monitor(self, monitor_id: int) -> dict[str, Any]:
        """One monitor.

        Needs the role viewer, or a token of scope read.
        """
        found: dict[str, Any] = self._ask("GET", f"/monitors/{monitor_id}")
        return found

    def change_monitor(self, monitor_id: int, body: Mapping[str, Any]) -> dict[str, Any]:
        """Change a monitor.

        Needs the role editor, or a token of scope write.
        """
        found: dict[str, Any] = self._ask("PATCH", f"/monitors/{monitor_id}", body=body)
        return found

    def delete_monitor(self, monitor_id: int) -> None:
        """Delete a monitor.

        The default monitor can be switched off, but not deleted. Needs the role editor, or a token of scope write.
        """
        self._ask("DELETE", f"/monitors/{monitor_id}")

    def list_policies(self) -> Iterator[dict[str, Any]]:
        """Escalation policies.

        Needs the role viewer, or a token of scope read.
        """
        return self._pages("/policies")

    def create_policy(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create an escalation policy.

        Needs the role admin, or a token of scope admin.
        """
        found: dict[str, Any] = self._ask("POST", "/policies", body=body)
        return found

    def get_policy(self, policy_id: int) -> dict[str, Any]:
        """One escalation policy.

        Needs the role viewer, or a token of scope read.
        """
        found: dict[str, Any] = self._ask("GET", f"/policies/{policy_id}")
        return found

    def change_policy(self, policy_id: int, body: Mapping[str, Any]) -> dict[str, Any]:
        """Change an escalation policy.

        Incidents under way go on with the new steps. Needs the role admin, or a token of scope admin.
        """
        found: dict[str, Any] = self._ask("PUT", f"/policies/{policy_id}", body=body)
        return found

    def delete_policy(self, policy_id: int) -> None:
        """Delete an escalation policy.

        Needs the role admin, or a token of scope admin.
        """
        self._ask("DELETE", f"/policies/{policy_id}")

    def plan_policy(self, policy_id: int, *, opened: str | None = None) -> list[dict[str, Any]]:
        """Who would be told, and when.

        Every step at its time, as long as nobody acknowledges. Needs the role viewer, or a token of scope read.
        """
        found: list[dict[str, Any]] = self._ask("GET", f"/policies/{policy_id}/plan", query={"opened": opened})
        return found

    def list_rotations(self) -> Iterator[dict[str, Any]]:
        """On-call rotations.

        Needs the role viewer, or a token of scope read.
        """
        return self._pages("/rotations")

    def create_rotation(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create a rotation.

        Needs the role admin, or a token of scope admin.
        """
        found: dict[str, Any] = self._ask("POST", "/rotations", body=body)
        return found

    def get_rotation(self, rotation_id: int) -> dict[str, Any]:
        """One rotation, and who is on call.

        Needs the role viewer, or a token of scope read.
        """
        found: dict[str, Any] = self._ask("GET", f"/rotations/{rotation_id}")
        return found

    def change_rotation(self, rotation_id: int, body: Mapping[str, Any]) -> dict[str, Any]:
        """Change a rotation.

        Needs the role admin, or a token of scope admin.
        """
        found: dict[str, Any] = self._ask("PUT", f"/rotations/{rotation_id}", body=body)
        return found

    def delete_rotation(self, rotation_id: int) -> None:
        """Delete a rotation.

        Needs the role admin, or a token of scope admin.
        """
        self._ask("DELETE", f"/rotations/{rotation_id}")

    def add_override(self, rotation_id: int, body: Mapping[str, Any]) -> dict[str, Any]:
        """Let somebody stand in.

        Needs the role editor, or a token of scope write.
        """
        found: dict[str, Any] = self._ask("POST", f"/rotations/{rotation_id}/overrides", body=body)
        return found

    def list_maintenance(self) -> Iterator[dict[str, Any]]:
        """Maintenance windows that are not over.

        Needs the role viewer, or a token of scope read.
        """
        return self._pages("/maintenance")

    def plan_maintenance(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Plan a maintenance window.

        Needs the role editor, or a token of scope write.
        """
        found: dict[str, Any] = self._ask("POST", "/maintenance", body=body)
        return found

    def end_maintenance(self, maintenance_id: int) -> None:
        """End a maintenance window.

        One that has not begun is taken back; one that has ends now. Needs the role editor, or a token of scope
        write.
        """
        self._ask("DELETE", f"/maintenance/{maintenance_id}")
