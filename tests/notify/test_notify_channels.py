"""Channels of a workspace: created, changed, listed and forgotten."""

from __future__ import annotations

import pytest
from tests.notify.conftest import Desk

from cliffwatch.errors import InvalidInput, NotFound
from cliffwatch.notify.channels.email import EmailSettings


def test_a_channel_is_what_was_asked_for(desk: Desk) -> None:
    channel = desk.channels.create(1, "email", "  Team inbox ", {"to": ["a@x.example"]}, 5)
    assert desk.channels.get(1, channel.id) == channel
    assert (channel.kind, channel.name, channel.enabled, channel.created_ms) == ("email", "Team inbox", True, 5)
    assert channel.settings == EmailSettings(("a@x.example",))
    assert desk.channels.list(1) == [channel]


def test_an_unknown_kind_is_refused_with_those_that_there_are(desk: Desk) -> None:
    with pytest.raises(InvalidInput, match="email, slack"):
        desk.channels.create(1, "pigeon", "Roof", {}, 0)


@pytest.mark.parametrize("name", ["", "   ", "x" * 201])
def test_a_channel_needs_a_name_of_some_length(desk: Desk, name: str) -> None:
    with pytest.raises(InvalidInput, match="name"):
        desk.channels.create(1, "email", name, {"to": "a@x.example"}, 0)
    assert desk.channels.list(1) == []


def test_settings_that_are_not_named_stay(desk: Desk) -> None:
    hook = desk.channels.create(1, "webhook", "Hook", {"url": "https://example.com/a"}, 0)
    changed = desk.channels.update(1, hook.id, settings={"url": "https://example.com/b"}, name="New")
    assert changed.name == "New"
    assert changed.settings.url == "https://example.com/b"  # type: ignore[attr-defined]
    assert changed.settings.secret == hook.settings.secret  # type: ignore[attr-defined]


def test_a_bad_change_changes_nothing(desk: Desk) -> None:
    hook = desk.channels.create(1, "webhook", "Hook", {"url": "https://example.com/a"}, 0)
    with pytest.raises(InvalidInput):
        desk.channels.update(1, hook.id, settings={"url": "nonsense"}, enabled=False)
    assert desk.channels.get(1, hook.id) == hook


def test_a_channel_can_be_switched_off_and_forgotten(desk: Desk) -> None:
    channel = desk.channels.create(1, "email", "Team", {"to": "a@x.example"}, 0)
    outbox = desk.outbox()
    desk.open(outbox)
    assert not desk.channels.update(1, channel.id, enabled=False).enabled
    desk.channels.delete(1, channel.id)
    assert desk.channels.list(1) == []
    assert outbox.log(1) == []


def test_another_workspaces_channel_does_not_exist_here(desk: Desk) -> None:
    channel = desk.channels.create(1, "email", "Team", {"to": "a@x.example"}, 0)
    for step in (desk.channels.get, desk.channels.delete, desk.channels.update):
        with pytest.raises(NotFound):
            step(2, channel.id)


def test_a_secret_does_not_show_in_a_log_line(desk: Desk) -> None:
    hook = desk.channels.create(1, "webhook", "Hook", {"url": "https://example.com/a"}, 0)
    assert "whsec_" not in repr(hook)
