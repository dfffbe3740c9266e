"""An explanation in one plain sentence."""

from __future__ import annotations

from collections.abc import Mapping

from cliffwatch.explain.model import Cause, Explanation, Kind, Slice

NAMED = 3  # causes that fit into a sentence
ALL = 0.995  # a share from which on it is "all"; the rest may have moved the other way, so that it is over 1


def sentence(
    explanation: Explanation,
    *,
    measure: str,
    since: str = "",
    names: Mapping[str, str] | None = None,
    head: str = "",
    within: Slice = (),
) -> str:
    """`Revenue is 31 % below expected since 14:00; 94 % of it is app version 4.2.1 in DE.`

    `measure` is the measure's name, `since` a time as the reader writes it ("" leaves it out), `names` maps a
    dimension to what people call it; a dimension mapped to "" is told by its value alone. `head` says what changed
    where the explanation's own sums do not (a percentile is explained by what lies above it). `within` is the slice
    that was looked into.
    """
    head = head or change(explanation.actual_value, explanation.expected_value, measure)
    if since:
        head += f" since {since}"
    causes = explanation.causes or explanation.mix
    if not causes:
        return f"{head}. {explanation.note(words_of(within, names))}".strip()
    if not explanation.causes:
        return f"{head}; rates are as expected, but the mix changed: {listed([mix(c, names or {}) for c in causes])}."
    net = abs(explanation.actual_value - explanation.expected_value)
    gross = sum(abs(c.share) for c in causes)
    cancel = gross > 2 * abs(sum(c.share for c in causes)) or net == 0
    if cancel or causes[0].share < 0:
        parts = [direction(c, names or {}) for c in causes[:NAMED]]
        return f"{head}; {listed(parts)}{more(len(causes))}."
    along = [c for c in causes if c.share > 0][:NAMED]
    alone = len(causes) == 1 and along[0].share >= ALL
    share = "all" if alone else percent(along[0].share)
    parts = [f"{share} of it is {words(along[0].slice_items, names or {})}"]
    parts += [f"{percent(c.share)} {words(c.slice_items, names or {})}" for c in along[1:]]
    against = [c for c in causes[:NAMED] if c.share < 0]
    tail = f", while {listed([direction(c, names or {}) for c in against])}" if against else ""
    return f"{head}; {listed(parts)}{more(len(causes) - len(against))}{tail}."


def change(actual: float, expected: float, measure: str) -> str:
    """`Revenue is 31 % below expected`."""
    if expected == 0:
        return f"{measure} is {number(actual)} where nothing was expected" if actual else f"{measure} is as expected"
    if actual == 0:
        return f"{measure} fell to zero, {number(expected)} expected"
    fraction = (actual - expected) / abs(expected)
    if abs(fraction) < 0.0005:
        return f"{measure} is as expected in total"
    return f"{measure} is {percent(abs(fraction))} {'above' if fraction > 0 else 'below'} expected"


def direction(cause: Cause, names: Mapping[str, str]) -> str:
    """`plan free is 40 % above`, the slice's own change."""
    slice_words = words(cause.slice_items, names)
    actual, expected = cause.actual_value, cause.expected_value
    if expected == 0:
        return f"{slice_words} is new"
    if actual == 0:
        return f"{slice_words} vanished"
    fraction = (actual - expected) / abs(expected)
    return f"{slice_words} is {percent(abs(fraction))} {'above' if fraction > 0 else 'below'}"


def mix(cause: Cause, names: Mapping[str, str]) -> str:
    """`more of plan free`; a mix driver is told by its weight."""
    assert cause.kind is Kind.MIX
    more_of = (cause.actual_weight or 0) > (cause.expected_weight or 0)
    return f"{'more' if more_of else 'less'} of {words(cause.slice_items, names)}"


def words(slice_: Slice, names: Mapping[str, str]) -> str:
    """`app version 4.2.1 in DE`: the dimensions' names with their values, country-like values last."""
    told = [(names.get(dimension, dimension), value or "(not set)") for dimension, value in slice_]
    plain = [f"{name} {value}" for name, value in told if name]
    bare = [value for name, value in told if not name]
    text = " and ".join(plain) if len(plain) < 3 else ", ".join(plain)
    if bare:
        text = f"{text} in {', '.join(bare)}" if text else ", ".join(bare)
    return text or "everything"


def words_of(within: Slice, names: Mapping[str, str] | None) -> str:
    """The words of a slice that was looked into; "" for everything."""
    return words(within, names or {}) if within else ""


def percent(fraction: float) -> str:
    value = abs(fraction) * 100
    return f"{value:,.{0 if value >= 9.95 else 1}f}".removesuffix(".0") + " %"


def number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 or value == round(value) else f"{value:,.3g}"


def listed(parts: list[str]) -> str:
    if len(parts) == 1:
        return parts[0]
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def more(causes: int) -> str:
    return f" and {causes - NAMED} more" if causes > NAMED else ""
