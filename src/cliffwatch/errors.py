"""The one exception base: every error names the thing, the rule that it broke, and the way out."""

from __future__ import annotations


class CliffwatchError(Exception):
    """An error that a person can act on.

    `subject` is what was wrong (a field, a file, a stream), `rule` what was expected of it, and `way_out`
    what to do next. The message joins the three into one or two plain sentences.
    """

    def __init__(self, subject: str, rule: str, way_out: str = "") -> None:
        self.subject = subject
        self.rule = rule
        self.way_out = way_out
        super().__init__(subject, rule, way_out)

    def __str__(self) -> str:
        text = f"{self.subject}: {self.rule}"
        return f"{text} {self.way_out}".strip() if self.way_out else text


class NotFound(CliffwatchError):
    """The named thing does not exist, or belongs to another workspace."""


class InvalidInput(CliffwatchError):
    """What a person or a program gave breaks a rule; nothing was changed."""


class Conflict(CliffwatchError):
    """The change contradicts what is already there; nothing was changed."""


class Unavailable(CliffwatchError):
    """A part that is needed (disk, store, network) does not answer now; trying again later is right."""
