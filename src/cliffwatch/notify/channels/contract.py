"""What a kind of channel is. A new kind is a folder that fulfils `ChannelKind`, and one line in the registry."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, Self, TypeVar

from cliffwatch.errors import InvalidInput
from cliffwatch.notify.message import Message

RandomBytes = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class MailSettings:
    """The installation's mail server; its recipients are the channels' settings. An empty host: there is none."""

    host: str = ""
    port: int = 587
    user: str = ""
    password: str = dataclasses.field(default="", repr=False)
    security: Literal["none", "starttls", "tls"] = "starttls"
    sender: str = "Cliffwatch <cliffwatch@localhost>"


@dataclass(frozen=True, slots=True)
class Transports:
    """What channels share of the installation."""

    mail: MailSettings
    allow_private: bool = False  # whether channels may reach private and loopback addresses
    timeout_seconds: float = 15.0  # for one attempt, from the name's lookup to the answer
    apprise: bool = False  # whether the operator lets people use any service of Apprise


@dataclass(frozen=True, slots=True)
class Letter:
    """A message on its way to one target of a channel.

    `id` is the same at each attempt, so that a receiver can drop what it has got already; `thread` is the same for all
    messages about one incident to one target. `attempt_ms` is the time of this attempt. `reference` is what the other
    side called the first message of the thread ("" where it said nothing): an answer to it stays beside it. `actions`
    are (label, URL) of what may be done from the message; each URL asks once before it does anything. `unsubscribe` is
    where its reader says that they want no more of its kind; "" where nobody has chosen to get it.
    """

    message: Message
    target: str
    id: str
    thread: str
    begins_thread: bool
    attempt_ms: int
    reference: str = ""
    actions: tuple[tuple[str, str], ...] = ()
    unsubscribe: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one attempt. `text` is what the other side said, for people. `retry` says whether trying again
    may help; `retry_after_ms` is the wait that the other side asked for. `reference` is what it calls the message."""

    ok: bool
    text: str
    retry: bool = False
    retry_after_ms: int | None = None
    reference: str = ""

    @classmethod
    def sent(cls, text: str, reference: str = "") -> Answer:
        return cls(True, text[:500], reference=reference)

    @classmethod
    def later(cls, text: str, retry_after_ms: int | None = None) -> Answer:
        return cls(False, text[:500], retry=True, retry_after_ms=retry_after_ms)

    @classmethod
    def never(cls, text: str) -> Answer:
        return cls(False, text[:500])


class ChannelSettings(Protocol):
    """A frozen dataclass. Each field's metadata (`label`, `help`, `secret`) makes its line of the form and the docs."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def checked(self, random: RandomBytes) -> Self:
        """The settings in canonical form, with what the installation makes up (a secret) filled in.

        Raises InvalidInput naming the field.
        """
        ...


S = TypeVar("S", bound=ChannelSettings)


class ChannelKind(Protocol[S]):
    """One kind of channel."""

    kind: str
    label: str
    summary: str
    settings: type[S]
    wakes: bool  # whether it wakes people up: digests do not go there unless somebody wants it so

    def targets(self, settings: S) -> tuple[str, ...]:
        """Whom or what it reaches. Each target has its own delivery, so that one that fails repeats no other."""
        ...

    def send(self, settings: S, letter: Letter, transports: Transports) -> Answer:
        """Make one attempt; takes at most a little longer than `transports.timeout_seconds`, raises nothing."""
        ...


def parse_settings(settings: type[S], data: Mapping[str, Any], random: RandomBytes) -> S:
    """Settings of JSON or form values; a string is split where a list is wanted.

    Raises InvalidInput naming the field.
    """
    known = {field.name: field for field in dataclasses.fields(settings)}
    unknown = sorted(set(data) - set(known))
    if unknown:
        raise InvalidInput(f"channel setting {unknown[0]!r}", "is not known.", f"Use: {', '.join(known)}.")
    hints = typing.get_type_hints(settings)
    values = {name: _value(name, hints[name], data[name]) for name in data}
    missing = [
        name
        for name, field in known.items()
        if name not in values and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise InvalidInput(f"channel setting {missing[0]!r}", "is needed.", "Fill it in.")
    return settings(**values).checked(random)


def dump_settings(settings: ChannelSettings) -> dict[str, Any]:
    """Settings as JSON values."""
    return {
        field.name: list(value) if isinstance(value := getattr(settings, field.name), tuple) else value
        for field in dataclasses.fields(settings)
    }


def _value(name: str, kind: object, value: Any) -> Any:
    if kind is str and isinstance(value, str):
        return value.strip()
    if kind is bool and isinstance(value, bool):
        return value
    if isinstance(kind, types.GenericAlias) and kind.__origin__ is tuple:
        if isinstance(value, str):
            value = value.replace(",", "\n").replace(";", "\n").split("\n")
        if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
            return tuple(item.strip() for item in value if item.strip())
    wanted = {str: "text", bool: "true or false"}.get(kind, "a list of texts")  # type: ignore[call-overload]
    raise InvalidInput(f"channel setting {name!r}", f"must be {wanted}.")
