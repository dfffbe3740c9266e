"""The filter of a draft: rows of a form for most people, FQL for those who write it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cliffwatch.errors import InvalidInput
from cliffwatch.spec.fql import InvalidFilter, compile_filter
from cliffwatch.spec.fql_form import JOINS, Condition, Form, InvalidCondition, from_fql, to_fql
from cliffwatch.web.forms import Posted

FILTER_FIELDS = ("filter_mode", "filter", "filter_join", "f_path", "f_op", "f_value")
ROWS, TEXT = "rows", "text"
NO_ROWS = "This filter says more than rows can, so it stays text."
BAD_TEXT = "Correct the text first; rows can then show it."
BAD_ROWS = "Complete or remove the marked rows first."


@dataclass(frozen=True, slots=True)
class FilterDraft:
    """Both ways of writing; `mode` says which one counts."""

    mode: str = ROWS
    text: str = ""
    join: str = "and"
    conditions: tuple[Condition, ...] = ()

    @classmethod
    def of(cls, text: str) -> FilterDraft:
        """A filter as it is stored: in rows where rows can say it."""
        form = from_fql(text)
        return cls(TEXT, text) if form is None else cls(ROWS, "", form.join, form.conditions)

    @classmethod
    def read(cls, posted: Posted) -> FilterDraft:
        """What a form carries; an address that has a text alone is read as `of` does."""
        if not posted.has("filter_mode"):
            return cls.of(posted.text("filter"))
        paths, operators, values = (posted.all(name) for name in ("f_path", "f_op", "f_value"))
        rows = zip(paths, operators, values, strict=False)
        join = posted.text("filter_join", "and")
        return cls(
            TEXT if posted.text("filter_mode") == TEXT else ROWS,
            posted.text("filter"),
            join if join in JOINS else "and",
            tuple(Condition(path, operator or "is", value) for path, operator, value in rows),
        )

    def pairs(self) -> list[tuple[str, str]]:
        """As form fields; inverse of `read`."""
        rows = [
            pair for one in self.conditions for pair in zip(("f_path", "f_op", "f_value"), _columns(one), strict=True)
        ]
        return [("filter_mode", self.mode), ("filter", self.text), ("filter_join", self.join), *rows]

    @property
    def is_used(self) -> bool:
        return bool(self.text) if self.mode == TEXT else bool(self._filled())

    def fql(self) -> str:
        """The filter that counts; "" while rows are not complete (see `errors`)."""
        if self.mode == TEXT:
            return self.text
        try:
            return to_fql(Form(self.join, tuple(self.conditions[row] for row in self._filled())))
        except InvalidInput:
            return ""

    def errors(self) -> dict[str, str]:
        """`condition-2` -> what is wrong with that row; `filter` -> with the text."""
        if self.mode == TEXT:
            return self._text_error()
        found = {}
        for row in self._filled():
            try:
                to_fql(Form("and", (self.conditions[row],)))
            except InvalidCondition as error:
                found[f"condition-{row}"] = error.rule[:1].upper() + error.rule[1:]
        return found

    def switched(self, mode: str) -> tuple[FilterDraft, str]:
        """The draft in the other way of writing, or as it is with the reason why it stays."""
        if mode == self.mode:
            return self, ""
        if mode == TEXT:
            return (self, BAD_ROWS) if self.errors() else (replace(self, mode=TEXT, text=self.fql()), "")
        if self._text_error():
            return self, BAD_TEXT
        form = from_fql(self.text)
        return (self, NO_ROWS) if form is None else (FilterDraft(ROWS, "", form.join, form.conditions), "")

    def _filled(self) -> list[int]:
        """The rows in which something was typed."""
        return [row for row, one in enumerate(self.conditions) if one.path or one.value]

    def _text_error(self) -> dict[str, str]:
        try:
            compile_filter(self.text)
        except InvalidFilter as error:
            return {"filter": error.rule[:1].upper() + error.rule[1:]}
        except InvalidInput as error:
            return {"filter": str(error)}
        return {}


def mark(text: str) -> tuple[str, str, str] | None:
    """A wrong filter around the place where it goes wrong: (before, there, after); None when it is right."""
    try:
        compile_filter(text)
    except InvalidFilter as error:
        at = min(error.position, len(text))
        return text[:at], text[at : at + 1] or " ", text[at + 1 :]
    except InvalidInput:
        return None
    return None


def _columns(condition: Condition) -> tuple[str, str, str]:
    return condition.path, condition.operator, condition.value
