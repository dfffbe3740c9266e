"""Operations of the HTTP API about channels. Written by tools/make_client.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cliffwatch.client.transport import Transport


class ChannelsApi(Transport):
    """Channels."""

    def list_channels(self) -> Iterator[dict[str, Any]]:
        """The workspace's channels.

        Needs the role admin, or a token of scope admin.
        """
        return self._pages("/channels")

    def create_channel(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Create a channel.

        Needs the role admin, or a token of scope admin.
        """
        found: dict[str, Any] = self._ask("POST", "/channels", body=body)
        return found

    def get_channel(self, channel_id: int) -> dict[str, Any]:
        """One channel.

        Needs the role admin, or a token of scope admin.
        """
        found: dict[str, Any] = self._ask("GET", f"/channels/{channel_id}")
        return found

    def change_channel(self, channel_id: int, body: Mapping[str, Any]) -> dict[str, Any]:
        """Change a channel: its name, settings, switch, quiet hours.

        Needs the role admin, or a token of scope admin.
        """
        found: dict[str, Any] = self._ask("PATCH", f"/channels/{channel_id}", body=body)
        return found

    def delete_channel(self, channel_id: int) -> None:
        """Delete a channel.

        Its delivery log goes with it. Needs the role admin, or a token of scope admin.
        """
        self._ask("DELETE", f"/channels/{channel_id}")

    def test_channel(self, channel_id: int) -> dict[str, Any]:
        """Send a test message.

        Needs the role admin, or a token of scope admin.
        """
        found: dict[str, Any] = self._ask("POST", f"/channels/{channel_id}/test")
        return found

    def list_deliveries(self, *, incident: int | None = None) -> Iterator[dict[str, Any]]:
        """What was delivered, the newest first.

        Needs the role viewer, or a token of scope read.
        """
        return self._pages("/deliveries", query={"incident": incident})

    def get_digests(self) -> dict[str, Any]:
        """When digests leave, and where to.

        Needs the role viewer, or a token of scope read.
        """
        found: dict[str, Any] = self._ask("GET", "/digests")
        return found

    def put_digests(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Choose when digests leave, and where to.

        What is over by now is not sent afterwards. Needs the role admin, or a token of scope admin.
        """
        found: dict[str, Any] = self._ask("PUT", "/digests", body=body)
        return found

    def send_digest(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Send a digest now.

        It tells of the last day or week until now. Needs the role admin, or a token of scope admin.
        """
        found: dict[str, Any] = self._ask("POST", "/digests/send", body=body)
        return found

    def review_noise(self) -> dict[str, Any]:
        """What told too much in the last 30 days, and what would have told less.

        Needs the role viewer, or a token of scope read.
        """
        found: dict[str, Any] = self._ask("GET", "/noise")
        return found

    def list_fixes(self) -> dict[str, Any]:
        """What was done against noise.

        Needs the role viewer, or a token of scope read.
        """
        found: dict[str, Any] = self._ask("GET", "/noise/fixes")
        return found

    def make_fix(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Make a fix that the noise review proposes.

        It holds from the next run on, and can be taken back. Needs the role editor, or a token of scope write.
        """
        found: dict[str, Any] = self._ask("POST", "/noise/fixes", body=body)
        return found

    def undo_fix(self, fix_id: int) -> dict[str, Any]:
        """Take a fix back.

        Needs the role editor, or a token of scope write.
        """
        found: dict[str, Any] = self._ask("POST", f"/noise/fixes/{fix_id}/undo")
        return found
