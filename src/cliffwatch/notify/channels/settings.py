"""What settings of several kinds share: an address that is itself the secret, and a pager's key, level and API."""

from __future__ import annotations

from dataclasses import field
from typing import Any, ClassVar, Self

from cliffwatch.errors import InvalidInput
from cliffwatch.notify.channels.contract import RandomBytes
from cliffwatch.notify.channels.http import needed
from cliffwatch.notify.outbound import check_url


def secret_address(label: str, text: str, placeholder: str) -> Any:
    """The field `url` of a service whose address lets anybody in who knows it."""
    return field(repr=False, metadata={"label": label, "help": text, "placeholder": placeholder, "secret": True})


class AtSecretAddress:
    """Settings that are one address, `url`."""

    __slots__ = ()
    url: str

    def checked(self, random: RandomBytes) -> Self:  # noqa: ARG002 - part of the contract
        check_url("channel setting 'url'", self.url)
        return self


class AtPager:
    """Settings of a pager: a key, how urgent its alerts are, and `api_url`."""

    __slots__ = ()
    KEY: ClassVar[tuple[str, str]]
    """The key's field, and an example."""
    LEVEL: ClassVar[tuple[str, tuple[str, ...]]]
    """The level's field, and what it may be."""
    api_url: str

    def checked(self, random: RandomBytes) -> Self:  # noqa: ARG002 - part of the contract
        (key, example), (level, levels) = self.KEY, self.LEVEL
        check_url("channel setting 'api_url'", self.api_url)
        needed(key, getattr(self, key), example)
        if getattr(self, level) not in levels:
            raise InvalidInput(f"channel setting {level!r}", "is not known.", f"Use: {', '.join(levels)}.")
        return self
